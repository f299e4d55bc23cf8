"""Settings beside other settings: the keys whose values differ, and which of them bear on a rule.

The same moments twice: what history recorded, and what the replay did.

Who served which row: each is the business of the version that was live when it happened.

A replay in one sentence: what both sides lost, how often they retrained, and what that cost at the retraining cost.

Why two sides decided otherwise: from their records, with the figures of both, and the settings that bear on it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import JsonValue

from retrim.decision.check_record import CheckRecord
from retrim.decision.rules import RuleResult
from retrim.stats.codec import to_record

# Where the settings stand that a rule's answer hangs on, beside those of the models it looks at.
BEAR_ON: dict[str, tuple[str, ...]] = {
    "gain": ("gain.", "probe.", "judge.", "gate."),  # it asks what the gate would say
    "drift": ("drift.", "profile.", "triggers.drift_", "data.batch_every"),
    "schedule": ("triggers.every",),
    "performance": ("probe.min_rows", "judge.", "seed"),
    "estimate": ("probe.min_rows", "judge.", "seed"),
}
ASKED = ("triggers.rules", "triggers.max_wait")
HOLD_BACK = (
    "triggers.rules",
    "triggers.cooldown_checks",
    "triggers.loop_checks",
    "triggers.budget",
    "previous_champions.",
)
MAKE = ("data.columns.", "split.", "judge.", "tune.", "train.", "backtest.", "gate.", "retrain.", "profile.")


@dataclass(frozen=True)
class Change:
    """One key of params.yaml, dotted, with its value in history and in the replay; null where it is not there."""

    key: str
    history: Any
    replay: Any

    @property
    def sentence(self) -> str:
        return f"{self.key} is {_shown(self.history)} in history and {_shown(self.replay)} in the replay"


def changes(history: Mapping[str, JsonValue], replay: Mapping[str, JsonValue]) -> tuple[Change, ...]:
    """The keys whose values differ, in order of their names; a list is one value.

    Args:
        history: Settings as they are dumped, section by section.
        replay: The others.
    """
    before, after = _flat(history), _flat(replay)
    return tuple(
        Change(key, before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    )


def merged(settings: Mapping[str, JsonValue], other: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """Settings with those keys of others that stand there, at every depth; a list is one value.

    An empty mapping stands for itself: it empties what was there.

    Args:
        settings: The whole, as a file has it.
        other: A whole, or only what differs.
    """
    made = dict(settings)
    for name, value in other.items():
        before = made.get(name)
        if isinstance(before, Mapping) and isinstance(value, Mapping) and value:
            made[name] = merged(before, value)
        else:
            made[name] = value
    return made


def bearing(found: Iterable[Change], prefixes: tuple[str, ...]) -> tuple[Change, ...]:
    """Those whose key begins with one of the prefixes."""
    return tuple(change for change in found if change.key.startswith(prefixes))


def _flat(settings: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = list(value) if isinstance(value, tuple) else value
    return found


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)


@dataclass(frozen=True)
class ReplaySide:
    """What happened at a moment, on one of the two sides.

    Args:
        outcome: `none`, `retrain`, `restore`, `rollback` or `held`; `settled`, and `rollback` too, may be a person's.
        reason: Why, in a sentence.
        by_person: Whether a person did it.
        state: How the run ended that it started; None where it started none.
        came: What that run says of itself; empty where there is none.
        live: The version that is live after it; None before the first.
        since: Since when that version is live; None before the first.
        check: The record of the check; None where a person did it.
    """

    outcome: str
    reason: str
    by_person: bool
    state: str | None
    came: str
    live: int | None
    since: str | None
    check: CheckRecord | None

    @property
    def word(self) -> str:
        """The decision and its end in a few words, by which two sides are told apart."""
        return self.outcome if self.state is None else f"{self.outcome}, {self.state}"

    @property
    def said(self) -> tuple[RuleResult, ...]:
        """What each rule said."""
        return () if self.check is None else self.check.said

    def as_record(self) -> dict[str, JsonValue]:
        check = self.check
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "person": self.by_person,
            "run": None if self.state is None else {"state": self.state, "reason": self.came},
            "live": self.live,
            "accumulated_gain": None if check is None else check.accumulated_gain.balance,
            "retraining_cost": None if check is None else check.retraining_cost,
            "said": [to_record(said) for said in self.said],
        }


@dataclass(frozen=True)
class ReplayMoment:
    """One moment on both sides; None for a side on which nothing was decided."""

    at: str
    history: ReplaySide | None
    replay: ReplaySide | None

    @property
    def differs(self) -> bool:
        """Whether the two sides decided otherwise; what a person did is the person's, and is not compared."""
        return self.compared and _word(self.history) != _word(self.replay)

    @property
    def compared(self) -> bool:
        """Whether both sides looked, by a check or for the first version."""
        return self.history is not None and self.replay is not None


def pair(
    history: Sequence[tuple[str, ReplaySide]], replay: Sequence[tuple[str, ReplaySide]]
) -> tuple[ReplayMoment, ...]:
    """Both sides by moment, in time order. Several things at one moment are paired in their order.

    Args:
        history: Moments, ISO 8601 in UTC, and what happened there.
        replay: The same.
    """
    left, right = _by_moment(history), _by_moment(replay)
    found: list[ReplayMoment] = []
    for at in sorted(left.keys() | right.keys()):
        mine, other = left.get(at, []), right.get(at, [])
        places = range(max(len(mine), len(other)))
        found += [ReplayMoment(at, _nth(mine, place), _nth(other, place)) for place in places]
    return tuple(found)


def _by_moment(sides: Sequence[tuple[str, ReplaySide]]) -> dict[str, list[ReplaySide]]:
    """Sides by moment; a check before what a person did at the same moment."""
    found: dict[str, list[ReplaySide]] = {}
    for at, side in sorted(sides, key=lambda each: (each[0], each[1].by_person)):
        found.setdefault(at, []).append(side)
    return found


def _nth(sides: list[ReplaySide], place: int) -> ReplaySide | None:
    return sides[place] if place < len(sides) else None


def _word(side: ReplaySide | None) -> str | None:
    return None if side is None else side.word


@dataclass(frozen=True)
class ServedLosses:
    """Losses of rows on both sides, each by the version that was live when it happened.

    Args:
        event: When each row happened, in time order, shape (n,).
        history: Loss of each in history, shape (n,).
        replay: The same in the replay.
    """

    event: pd.Series
    history: np.ndarray
    replay: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.event)

    def between(self, since: pd.Timestamp, until: pd.Timestamp) -> "ServedLosses":
        """The rows that happened in `[since, until)`."""
        inside = ((self.event >= since) & (self.event < until)).to_numpy()
        return ServedLosses(self.event[inside], self.history[inside], self.replay[inside])

    @property
    def means(self) -> tuple[float, float] | None:
        """Mean loss in history and in the replay; None without rows."""
        return (float(self.history.mean()), float(self.replay.mean())) if self.rows else None


def losses_as_served(
    rows: pd.DataFrame, releases: Sequence[tuple[pd.Timestamp, int]], losses: Callable[[int, pd.DataFrame], np.ndarray]
) -> np.ndarray:
    """The loss of each row by the version that was live when it happened.

    Args:
        rows: With `_event`, in time order, shape (n, columns).
        releases: When each version went live, oldest first. It serves what happens from then on.
        losses: What a version loses on rows: shape (m,) for m of them.

    Returns:
        Shape (n,); NaN where nothing was live yet, which is everywhere where nothing ever went live.
    """
    found = np.full(len(rows), np.nan)
    event = rows["_event"]
    ends = [*(at for at, _ in releases[1:]), None][: len(releases)]
    for (at, version), end in zip(releases, ends, strict=True):
        mine = (event >= at) if end is None else (event >= at) & (event < end)
        place = np.flatnonzero(mine.to_numpy())
        if len(place):
            found[place] = losses(version, rows.iloc[place])
    return found


@dataclass(frozen=True)
class Cost:
    """Cost of one side.

    Args:
        loss: Sum of the loss over all rows.
        promoted: Runs that were promoted; each is paid for.
        refused: Runs that were refused; each is paid for.
        restored: Previous champions that went live again, at no cost.
        held: Checks that waited for a person.
        probes: Cost of the probes in mean loss x checks, each at the retraining cost of its side.
        again: Cost of fitting a promoted recipe again, as a share of a retraining.
    """

    loss: float
    promoted: int
    refused: int
    restored: int
    held: int
    probes: float
    again: float = 0.0

    @property
    def retrainings(self) -> int:
        return self.promoted + self.refused

    def total(self, *, rows_per_check: int, retraining_cost: float) -> float:
        """Loss and retrainings, in mean loss x checks; the probes left out."""
        return self.loss / rows_per_check + retraining_cost * (self.retrainings + self.again * self.promoted)


@dataclass(frozen=True)
class Summary:
    """Totals of history and replay.

    Args:
        since: Start of the time in which rows are counted.
        until: End of that time, by which labels had to have arrived.
        loss: Name of the loss.
        rows: Rows that both sides were evaluated on.
        rows_per_check: Rows of a usual check.
        retraining_cost: Cost of a retraining in the workspace, in units of the loss; the same for both sides.
        history: What history cost.
        replay: What the replay cost.
        compared: Moments at which both sides decided.
        differing: Moments among those at which the decisions differ.
    """

    since: pd.Timestamp
    until: pd.Timestamp
    loss: str
    rows: int
    rows_per_check: int
    retraining_cost: float
    history: Cost
    replay: Cost
    compared: int
    differing: int

    @property
    def sentence(self) -> str:
        """The result in one sentence, with its figures."""
        decisions = f"Decisions differ at {self.differing} of {_count(self.compared, 'moment')}"
        if not self.rows:
            return f"{decisions}; no row both occurred and matured in the replayed time, so there is no loss."
        mine, other = self._totals
        if f"{mine:.4g}" == f"{other:.4g}":
            verdict = "the same"
        else:
            verdict = f"{abs(other - mine):.4g} {'less' if other < mine else 'more'} in the replay"
        return (
            f"From {_day(self.since)} to {_day(self.until)}, over {self.rows:,} rows, {self.loss} was "
            f"{self.history.loss / self.rows:.4g} in history with {_retrained(self.history)}, and "
            f"{self.replay.loss / self.rows:.4g} in the replay with {_retrained(self.replay)}. At "
            f"{self.retraining_cost:.4g} per retraining, the total cost in mean loss x checks was {mine:.4g} in "
            f"history and {other:.4g} in the replay: {verdict}. With the probes, the total cost was "
            f"{mine + self.history.probes:.4g} in history and {other + self.replay.probes:.4g} in the replay. "
            f"{decisions}."
        )

    @property
    def _totals(self) -> tuple[float, float]:
        mine, other = (
            side.total(rows_per_check=self.rows_per_check, retraining_cost=self.retraining_cost)
            for side in (self.history, self.replay)
        )
        return mine, other

    def as_record(self) -> dict[str, JsonValue]:
        totals = self._totals
        return {
            "loss": self.loss,
            "rows": self.rows,
            "retraining_cost": self.retraining_cost,
            "compared": self.compared,
            "differing": self.differing,
            **{
                name: {
                    "loss": side.loss / self.rows if self.rows else None,
                    "retrainings": side.retrainings,
                    "promoted": side.promoted,
                    "refused": side.refused,
                    "restored": side.restored,
                    "held": side.held,
                    "cost": total,
                    "cost_with_probes": total + side.probes,
                }
                for name, side, total in zip(("history", "replay"), (self.history, self.replay), totals, strict=True)
            },
        }


def _retrained(side: Cost) -> str:
    said = _count(side.retrainings, "retraining")
    if side.retrainings:
        said += f" ({side.promoted} promoted, {side.refused} refused)"
    return said if not side.restored else f"{said} and {side.restored} restored"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _day(time: pd.Timestamp) -> str:
    return f"{time:%Y-%m-%d}" if time == time.normalize() else f"{time:%Y-%m-%d %H:%M}"


UNKNOWN = "no differing setting and no earlier decision explains this: settings or code have changed since then"

# What was said on either side, and what it comes from: settings, or what happened before.
Found = tuple[list[str], list[str]]


def explain(moment: ReplayMoment, changed: Sequence[Change]) -> tuple[str, ...]:
    """Sentences that say why the decisions of a moment differ; none where they do not.

    First what was said on either side, with its figures; then the settings that bear on it, and what had come before.

    Args:
        moment: Both sides.
        changed: All settings that differ.
    """
    history, replay = moment.history, moment.replay
    if history is None or replay is None or not moment.differs:
        return ()
    parts = [part(history, replay, changed) for part in (_rules, _held_back, _runs)]
    said = [sentence for each, _ in parts for sentence in each]
    causes = [sentence for _, each in parts for sentence in each] + _before(history, replay)
    return tuple(dict.fromkeys([*said, *(causes or [UNKNOWN])]))


def _rules(history: ReplaySide, replay: ReplaySide, changed: Sequence[Change]) -> Found:
    """What each rule said that answered otherwise, or was asked on one side only."""
    left, right = _said(history), _said(replay)
    said, causes = [], []
    for rule in dict.fromkeys([*left, *right]):
        mine, other = left.get(rule), right.get(rule)
        if mine is not None and other is not None:
            if mine.fires != other.fires:
                said.append(f"{rule}: history says {_answer(mine)}; the replay says {_answer(other)}")
                causes += _sentences(bearing(changed, BEAR_ON.get(rule, ("triggers.",))))
            continue
        only = mine or other
        assert only is not None
        said.append(f"{rule} was evaluated in {'history' if other is None else 'the replay'} only: {_answer(only)}")
        causes += _sentences(bearing(changed, ASKED))
    return said, causes


def _held_back(history: ReplaySide, replay: ReplaySide, changed: Sequence[Change]) -> Found:
    """What followed from the rules, where the outcomes differ although every rule answered alike."""
    if history.outcome == replay.outcome or _fired(history) != _fired(replay):
        return [], []
    said = [
        f"the outcome in history was {history.outcome}: {history.reason}",
        f"the outcome in the replay was {replay.outcome}: {replay.reason}",
    ]
    return said, _sentences(bearing(changed, HOLD_BACK))


def _runs(history: ReplaySide, replay: ReplaySide, changed: Sequence[Change]) -> Found:
    """How the runs ended, where both sides started one."""
    if history.state is None or replay.state is None or history.state == replay.state:
        return [], []
    said = (
        f"the run in history was {history.state}: {history.came}; the run in the replay was {replay.state}: "
        f"{replay.came}"
    )
    return [said], _sentences(bearing(changed, MAKE))


def _before(history: ReplaySide, replay: ReplaySide) -> list[str]:
    """What already differed when the moment came: the version that was live, and the accumulated gain."""
    found = []
    checks = [side.check for side in (history, replay)]
    left, right = (None if check is None else check.champion for check in checks)
    if left != right:
        found.append(
            f"by then version {left or 'none'} was live in history, and version {right or 'none'} in the replay"
        )
    mine, other = (None if check is None else check.accumulated_gain_before for check in checks)
    if mine and other and (here := f"{mine.balance:.4g}") != (there := f"{other.balance:.4g}"):
        found.append(f"before this moment, the accumulated gain was {here} in history and {there} in the replay")
    return found


def _said(side: ReplaySide) -> dict[str, RuleResult]:
    return {said.rule: said for said in side.said}


def _fired(side: ReplaySide) -> dict[str, bool]:
    return {said.rule: said.fires for said in side.said}


def _answer(said: RuleResult) -> str:
    return f"{'yes' if said.fires else 'no'} ({said.text})"


def _sentences(changed: Iterable[Change]) -> list[str]:
    return [change.sentence for change in changed]
