"""What kept retrainings from being started: how often, and a reminder while a hold lasts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from retrim.adapters.store import Row
from retrim.ops.alerts import alert
from retrim.ops.house import House

LOOKED_BACK = 50  # checks: a version may live through thousands
REMINDED = 10  # checks on hold between two reminders


def stopped_since(house: House, checks: Sequence[Row]) -> dict[str, Any] | None:
    """How often each guard stopped a run since the live version's release, in the newest 50 checks at most.

    Args:
        house: The house.
        checks: Of the model, oldest first, up to the one that is asked about.

    Returns:
        `checks` looked back on, `since` the first of them, how many `guards` stopped, by guard, and how many runs the
        gate `refused`; None before the first check.
    """
    if not checks:
        return None
    releases = [row for row in house.store.releases(house.model) if row.as_of <= checks[-1].as_of]
    since = releases[-1].as_of if releases else ""
    newest = [row for row in checks if row.as_of > since][-LOOKED_BACK:]
    if not newest:
        return None
    started = {row.id for row in newest}
    refused = house.store.runs(house.model, state="refused")
    return {
        "checks": len(newest),
        "since": newest[0].as_of,
        "guards": dict(Counter(stop for row in newest if (stop := row.record.get("stopped")) is not None)),
        "refused": sum(run.decision in started for run in refused),
    }


def remind(house: House, record: Mapping[str, Any], reason: str, *, now: pd.Timestamp) -> None:
    """Tells a person of a hold when it begins, and again at every tenth check that it stops.

    Args:
        house: The house.
        record: Of the check that was made just now, and is stored.
        reason: Its.
        now: Its moment.
    """
    if record.get("stopped") != "hold":
        return
    count = 0
    for row in reversed(house.store.decisions(house.model, source="check")):
        if row.record.get("stopped") != "hold":
            break
        count += 1
    if count % REMINDED == 1:
        alert(house, "on hold", f"check {count} that refusals hold: {reason}", now=now)
