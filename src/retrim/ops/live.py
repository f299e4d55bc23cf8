"""What is live, as the release rows say."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters.store import iso
from retrim.ops.house import House
from retrim.ops.release_log import verify_log


@dataclass(frozen=True)
class Live:
    """The version that is live, since when, who moved it and why, and the one before it."""

    version: int
    since: str
    by: str
    reason: str
    action: str
    previous: int | None

    def as_record(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "since": self.since,
            "by": self.by,
            "reason": self.reason,
            "action": self.action,
            "previous": self.previous,
        }


def live(house: House, *, before: pd.Timestamp | None = None) -> Live | None:
    """What is live now, or was just before a moment, from the release rows; None before the first promotion."""
    rows = [row for row in house.store.releases(house.model) if before is None or row.at < iso(before)]
    if not rows:
        return None
    newest = rows[-1]
    return Live(newest.version, newest.at, newest.actor, newest.reason, newest.action, newest.previous)


def trusted_live(house: House) -> Live | None:
    """What is live now, after the release log was checked against its seals: for who serves it or goes on from it.

    Raises:
        RefusedError: A row of the log was altered.
    """
    verify_log(house, kept=None)
    return live(house)
