"""The same moments twice: what history recorded, and what the replay did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Side:
    """What happened at a moment, on one of the two sides.

    Args:
        outcome: `none`, `retrain`, `restore`, `rollback` or `held`; `settled`, and `rollback` too, may be a person's.
        reason: Why, in a sentence.
        by_person: Whether a person did it.
        state: How the run ended that it started; None where it started none.
        came: What that run says of itself; empty where there is none.
        live: The version that is live after it; None before the first.
        since: Since when that version is live; None before the first.
        record: The check's record; empty where a person did it.
    """

    outcome: str
    reason: str
    by_person: bool
    state: str | None
    came: str
    live: int | None
    since: str | None
    record: dict[str, Any]

    @property
    def word(self) -> str:
        """The decision and its end in a few words, by which two sides are told apart."""
        return self.outcome if self.state is None else f"{self.outcome}, {self.state}"

    def as_record(self) -> dict[str, Any]:
        account = self.record.get("account")
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "person": self.by_person,
            "run": None if self.state is None else {"state": self.state, "reason": self.came},
            "live": self.live,
            "account": None if account is None else account["balance"],
            "price": self.record.get("price"),
            "said": self.record.get("said", []),
        }


@dataclass(frozen=True)
class Moment:
    """One moment on both sides; None on a side where nothing was decided."""

    at: str
    history: Side | None
    replay: Side | None

    @property
    def differs(self) -> bool:
        """Whether the two sides decided otherwise; what a person did is the person's, and is not compared."""
        return self.compared and _word(self.history) != _word(self.replay)

    @property
    def compared(self) -> bool:
        """Whether both sides looked, by a check or for the first version."""
        return self.history is not None and self.replay is not None


def pair(history: Sequence[tuple[str, Side]], replay: Sequence[tuple[str, Side]]) -> tuple[Moment, ...]:
    """Both sides by moment, in time order. Several things at one moment are paired in their order.

    Args:
        history: Moments, ISO 8601 in UTC, and what happened there.
        replay: The same.
    """
    left, right = _by_moment(history), _by_moment(replay)
    found: list[Moment] = []
    for at in sorted(left.keys() | right.keys()):
        mine, other = left.get(at, []), right.get(at, [])
        places = range(max(len(mine), len(other)))
        found += [Moment(at, _nth(mine, place), _nth(other, place)) for place in places]
    return tuple(found)


def _by_moment(sides: Sequence[tuple[str, Side]]) -> dict[str, list[Side]]:
    """Sides by moment; a check before what a person did at the same moment."""
    found: dict[str, list[Side]] = {}
    for at, side in sorted(sides, key=lambda each: (each[0], each[1].by_person)):
        found.setdefault(at, []).append(side)
    return found


def _nth(sides: list[Side], place: int) -> Side | None:
    return sides[place] if place < len(sides) else None


def _word(side: Side | None) -> str | None:
    return None if side is None else side.word
