"""What is live, as the release rows say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.ops.house import House
from retrim.ops.release_log import verify_log


@dataclass(frozen=True)
class Live:
    """What is live.

    Args:
        version: Its number.
        as_of: As of when it went live, by what the run, check or command took for now.
        since: Since when, by the clock.
        by: Who moved it, or decided that it moves.
        reason: Why.
        action: What the release log calls the move.
        previous: The version before it.
    """

    version: int
    as_of: str
    since: str
    by: str
    reason: str
    action: str
    previous: int | None

    def as_record(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "as_of": self.as_of,
            "since": self.since,
            "by": self.by,
            "reason": self.reason,
            "action": self.action,
            "previous": self.previous,
        }


def live(house: House, *, before: pd.Timestamp | None = None) -> Live | None:
    """What is live now, or went live as of a moment before `before`, from the release rows; None where nothing did."""
    rows = house.store.releases(house.model)
    return _last([row for row in rows if before is None or row.as_of < iso(before)])


def live_at(house: House, moment: pd.Timestamp) -> Live | None:
    """What was live at a moment of the clock, whatever was taken for now; None where nothing was."""
    return _last([row for row in house.store.releases(house.model) if row.at <= iso(moment)])


def _last(rows: Sequence[Row]) -> Live | None:
    if not rows:
        return None
    row = rows[-1]
    return Live(row.version, row.as_of, row.at, row.actor, row.reason, row.action, row.previous)


def trusted_live(house: House) -> Live | None:
    """What is live now, after the release log was verified: for who serves it or goes on from it.

    Raises:
        RefusedError: A row of the log was altered.
    """
    verify_log(house, kept=None)
    return live(house)
