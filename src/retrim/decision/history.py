"""Evidence from the history of checks and runs: what the store or a backtest knows, put together alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

TIMETABLE = "schedule"  # a rule whose alarm never goes quiet by itself
RUN_STATES = ("running", "crashed", "failed", "unpushed", "deferred", "waiting", "promoted", "refused", "restored")
UNFINISHED = ("running", "crashed", "unpushed")
"""States of a run that goes on, or is taken up again by whoever comes next."""


@dataclass(frozen=True)
class PastRun:
    """A run: as of when, how it stands (one of `RUN_STATES`), the rules that started it.

    One that was refused because a previous champion won is `restored`: it ends a row of refusals.

    Args:
        as_of: The moment it pretended was now.
        state: How it stands or ended.
        rules: Rules that started it; empty for a person's and for version 1.
        until: When a deferred one is to be tried again; None where that cannot be said.
        changed: Of a deferred one: whether rows, labels or settings have changed since.
        answered: When a person answered for its version; None where none was asked.
    """

    id: str
    as_of: pd.Timestamp
    state: str
    rules: tuple[str, ...]
    until: pd.Timestamp | None
    changed: bool = False
    answered: pd.Timestamp | None = None

    @property
    def over(self) -> pd.Timestamp:
        """When it counts as ended: a person's answer, or the moment that it pretended was now."""
        return self.as_of if self.answered is None else max(self.as_of, self.answered)


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended, or a release that needed no run.

    Args:
        run: Id of the run; None if a previous champion went live again without a run.
        state: promoted, refused, deferred or waiting for a person; unpushed if the DVC remote was not available;
            restored or rolled back.
        reason: The reason, in one sentence.
        version: The version that was made or went live; None if there is none.
    """

    run: str | None
    state: str
    reason: str
    version: int | None

    @property
    def sentence(self) -> str:
        version = "" if self.version is None else f"version {self.version} "
        return f"{version}{self.state}: {self.reason}"


@dataclass(frozen=True)
class Deferral:
    """A deferred run that waits to be tried again.

    Args:
        until: When there will be rows enough; None where that cannot be said.
        changed: Whether rows, labels or settings have changed since: then it is tried again at once.
    """

    until: pd.Timestamp | None
    rules: tuple[str, ...]
    changed: bool


@dataclass(frozen=True)
class PastCheck:
    """A check: when, on which version, and what it left behind.

    Args:
        drifted: Columns over a threshold; None where there were too few rows to look at.
        held: Rules whose alarm it left to a person.
        settled: Rules whose alarm a person had settled before, and that was still up.
        balance: What the accumulated gain held after it.
    """

    as_of: pd.Timestamp
    champion: int | None
    drifted: tuple[str, ...] | None
    held: tuple[str, ...]
    settled: tuple[str, ...] = ()
    balance: float = 0.0
    retraining_cost: float = 0.0


@dataclass(frozen=True)
class Acknowledgement:
    """A person's word that what was held needs no run: when, and the rules whose alarm was up and is answered by it."""

    at: pd.Timestamp
    rules: tuple[str, ...]


@dataclass(frozen=True)
class CheckHistory:
    """All that went before a check, each in time order.

    Args:
        checks: Those before.
        asked: As-of dates of the runs that a person asked for.
        settled: What a person settled without a run, in time order.
    """

    runs: Sequence[PastRun]
    checks: Sequence[PastCheck]
    asked: Sequence[pd.Timestamp]
    settled: Sequence[Acknowledgement] = ()


@dataclass(frozen=True, kw_only=True)
class HistorySummary:
    """What follows for a decision from the past and from what its check found of drift.

    Args:
        drifted: Columns over a threshold at each check that had rows to look at, oldest first.
        looked: Whether this check had, and so is the last of them.
        last_run: As-of date of the last run that was promoted or refused; None if none was.
        checks_since_run: Checks since then, this one counted; None if none was.
        promoted_by: Rules that started that run, if it was promoted.
        refusals: Runs refused one after the other, up to now.
        deferral: The deferred run that waits to be tried again; None if none does.
        going_on: The run that is under way or is taken up again after a kill; None if there is none.
        waiting: The run whose version waits for a person's approval; None if there is none.
        held: Rules whose alarm waits for a person.
        spent: Of each run that was paid for, how many checks ago it was, oldest first; 1: at the check before.
        settled: Rules whose alarm a person has settled; it is answered for as long as it stays up.
        timetable_settled: When a person last settled the timetable's alarm; None if nobody has.
        lowest: The least that the accumulated gain has held since the last refusal, its debit taken; None if that is
            not known.
    """

    drifted: tuple[tuple[str, ...], ...]
    looked: bool
    last_run: pd.Timestamp | None
    checks_since_run: int | None
    promoted_by: tuple[str, ...]
    refusals: int
    deferral: Deferral | None
    going_on: str | None
    waiting: str | None
    held: tuple[str, ...]
    spent: tuple[int, ...]
    settled: tuple[str, ...] = ()
    timetable_settled: pd.Timestamp | None = None
    lowest: float | None = None


def summarise_checks(past: CheckHistory, *, champion: int | None, drifted: tuple[str, ...] | None) -> HistorySummary:
    """What follows from the past and from what this check found of drift.

    Args:
        drifted: Columns over a threshold at this check; None where it had too few rows to look at.
    """
    over = [run for run in past.runs if run.state in ("promoted", "refused", "restored", "deferred")]
    ended = [run for run in over if run.state != "deferred"]
    going_on = [run.id for run in past.runs if run.state in UNFINISHED]
    asking = [run.id for run in past.runs if run.state == "waiting"]
    waits = over[-1] if over and over[-1].state == "deferred" else None
    same = [check.drifted for check in past.checks if check.champion == champion and check.drifted is not None]
    looked = same if drifted is None else [*same, drifted]
    since = None
    if ended:
        since = 1 + sum(check.as_of > ended[-1].as_of for check in past.checks)
    return HistorySummary(
        drifted=tuple(looked),
        looked=drifted is not None,
        last_run=ended[-1].as_of if ended else None,
        checks_since_run=since,
        promoted_by=ended[-1].rules if ended and ended[-1].state == "promoted" else (),
        refusals=_refusals([run for run in ended if not any(answer.at >= run.as_of for answer in past.settled)]),
        deferral=None if waits is None else Deferral(waits.until, waits.rules, waits.changed),
        going_on=going_on[-1] if going_on else None,
        waiting=asking[-1] if asking else None,
        held=_held(past),
        settled=_settled(past, champion),
        timetable_settled=max((answer.at for answer in past.settled if TIMETABLE in answer.rules), default=None),
        spent=_spent(past),
        lowest=_lowest(past, ended),
    )


def _spent(past: CheckHistory) -> tuple[int, ...]:
    """How many checks ago each run was that was paid for, oldest first; the one that is made now counts."""
    paid = (run.as_of for run in past.runs if run.state != "deferred")
    return tuple(1 + sum(check.as_of > moment for check in past.checks) for moment in sorted(paid))


def _lowest(past: CheckHistory, ended: Sequence[PastRun]) -> float | None:
    """The least accumulated gain since the last refusal, its debit taken; None where no check is known."""
    refused = [run.over for run in ended if run.state == "refused"]
    checks = [check for check in past.checks if check.champion is not None]  # without: it looked at no gain
    before = [check for check in checks if refused and check.as_of <= refused[-1]]
    if not before:
        return None
    since = [check.balance for check in checks if check.as_of > refused[-1]]
    return min([max(before[-1].balance - before[-1].retraining_cost, 0.0), *since])


def _refusals(ended: Sequence[PastRun]) -> int:
    """How many runs were refused one after the other, up to now."""
    count = 0
    for run in reversed(ended):
        if run.state != "refused":
            break
        count += 1
    return count


def _held(past: CheckHistory) -> tuple[str, ...]:
    """The rules that the newest check left to a person, unless one has asked for a run or settled them since."""
    if not past.checks:
        return ()
    newest = past.checks[-1]
    answers = (*past.asked, *(answer.at for answer in past.settled))
    return () if any(at >= newest.as_of for at in answers) else newest.held


def _settled(past: CheckHistory, champion: int | None) -> tuple[str, ...]:
    """The rules whose alarm a person has settled: it is answered until it goes quiet, or another version is live.

    The timetable is not among them: it is counted anew from the settlement, and is due again in its time.
    """
    if not past.checks or past.checks[-1].champion != champion:
        return ()
    newest = past.checks[-1]
    since = [rule for answer in past.settled if answer.at >= newest.as_of for rule in answer.rules]
    return tuple(sorted({*newest.settled, *since} - {TIMETABLE}))
