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
        previous: The champion that it replaced, which a rollback goes back to. Where a recipe was fitted once more that
            is not the version that was judged, but the one before.
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
    return _last(house, [row for row in rows if before is None or row.as_of < iso(before)])


def live_at(house: House, moment: pd.Timestamp) -> Live | None:
    """What was live at a moment of the clock, whatever was taken for now; None where nothing was."""
    return _last(house, [row for row in house.store.releases(house.model) if row.at <= iso(moment)])


def _last(house: House, rows: Sequence[Row]) -> Live | None:
    if not rows:
        return None
    row = rows[-1]
    return Live(row.version, row.as_of, row.at, row.actor, row.reason, row.action, replaced(house, rows))


def replaced(house: House, releases: Sequence[Row]) -> int | None:
    """The champion that the newest of these moves replaced; None where it is the first.

    A version that was fitted once more went live right after the one that was judged: the two are one move.
    """
    newest = releases[-1]
    judged = judged_in_place_of(house, newest.version)
    if newest.action == "promote" and judged is not None and newest.previous == judged:
        before: int | None = releases[-2].previous
        return before
    found: int | None = newest.previous
    return found


def judged_in_place_of(house: House, version: int) -> int | None:
    """The version that was judged, where this one is its recipe fitted once more; None for any other."""
    row = house.store.version(house.model, version)
    judged: int | None = None if row is None else row.verdict.get("agreement")
    return judged


def champions_before(house: House, releases: Sequence[Row], version: int) -> list[int]:
    """Those that were live before, the newest first, without `version`.

    Of a recipe that was fitted once more only the second version counts: the one that was judged says the same.
    """
    numbers = list(dict.fromkeys(row.version for row in reversed(releases)))
    twins = {judged_in_place_of(house, number) for number in numbers}
    return [number for number in numbers if number != version and number not in twins]


def trusted_live(house: House) -> Live | None:
    """What is live now, after the release log was verified: for who serves it or goes on from it.

    Raises:
        RefusedError: A row of the log was altered.
    """
    verify_log(house, kept=None)
    return live(house)
