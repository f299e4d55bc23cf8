"""What waits for a person: held checks and unanswered rollbacks, and the answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from retrim.adapters.database import iso
from retrim.checking.history import CHECK
from retrim.decision.brakes import RolledBack
from retrim.decision.check_record import (
    HoldAnswer,
    StoredCheck,
)
from retrim.decision.stored_rows import DecisionRow, as_text
from retrim.decision.triggers import repeats
from retrim.errors import BadInputError, RefusedError
from retrim.lineage.workspace import PERSON, SETTLEMENT, Workspace, require_who_and_why
from retrim.release.versions import ROLLBACKS
from retrim.stats.codec import Moment, from_record


@dataclass(frozen=True)
class AcknowledgedHold:
    """An acknowledged hold.

    Args:
        id: Id of the decision.
        as_of: As-of date of the acknowledgement.
        by: Who acknowledged it.
        reason: The reason that was given.
        rules: Rules whose alarm stays acknowledged until it clears; empty if something else caused the hold. The rule
            `gain` is never listed, because it fires on new rows.
        answers: Id of the check that was acknowledged.
    """

    id: str
    as_of: Moment
    by: str
    reason: str
    rules: tuple[str, ...]
    answers: str


def acknowledge(workspace: Workspace, *, reason: str, by: str, now: pd.Timestamp) -> AcknowledgedHold:
    """Answers what is held: nothing is retrained, and checks go on.

    Alarms that wait for a person are answered until they go quiet; one that comes up again is a new one. Refused
    runs and the timetable are counted anew from here.

    Raises:
        BadInputError: No reason or nobody is named, or a check has been made after `now`.
        RefusedError: Nothing is held.
    """
    require_who_and_why(by=by, reason=reason)
    decisions = workspace.store.decisions(workspace.model)
    checks = [row for row in decisions if row.source == CHECK]
    if not is_held(workspace, decisions):
        last = f"the last check, of {checks[-1].as_of}, decided {checks[-1].outcome!r}" if checks else "there was none"
        raise RefusedError(f"nothing is on hold: {last}; `retrim status` shows when something waits for a person")
    if not checks:
        raise RefusedError("no check has run yet, so no alarm can be acknowledged; run one first: retrim check")
    newest = checks[-1]
    if iso(now) < newest.as_of:
        raise BadInputError(
            f"the time {iso(now)} is before the newest check, {newest.as_of}; set --now to that time or to a later time"
        )
    decision = StoredCheck.of(newest).record.decision
    up = [result.rule for result in decision.said if result.fires]
    left = () if _is_answered(newest, decisions) else decision.held
    waits = up if newest.outcome == "held" else left
    rules = tuple(rule for rule in up if rule in waits and repeats(rule))
    hold = AcknowledgedHold(f"{workspace.model}-{now:%Y%m%dT%H%M%SZ}-settled", now, by, reason, rules, newest.id)
    workspace.store.add_decision(
        DecisionRow(
            hold.id,
            workspace.model,
            SETTLEMENT,
            as_of=iso(now),
            at=iso(now),
            outcome="settled",
            actor=by,
            reason=reason,
            text=as_text(HoldAnswer(now, rules, newest.id)),
        )
    )
    return hold


@dataclass(frozen=True)
class GivenAnswer:
    """A person's answer to a hold.

    Args:
        id: Id of the decision that holds the answer.
        as_of: As-of date of the answer.
        by: Who answered.
        outcome: `settled`, or `retrain`.
        reason: The reason that was given.
    """

    id: str
    as_of: Moment
    by: str
    outcome: str
    reason: str


@dataclass(frozen=True)
class StandingAnswer(GivenAnswer):
    """An acknowledgement that still holds.

    Args:
        rules: Rules whose alarm was acknowledged.
    """

    rules: tuple[str, ...]


def answer_to(workspace: Workspace, check: DecisionRow) -> GivenAnswer | None:
    """How a person answered a check that held, or left an alarm to one; None while nobody has.

    A settlement names the check that it answers. A run answers every check that waited since the last that did not;
    one asked for after a check with nothing left to answer is another matter.
    """
    decisions = workspace.store.decisions(workspace.model)
    if not _waited(check):
        return None
    quiet = (row.as_of for row in decisions if row.source == CHECK and row.as_of > check.as_of and not _waited(row))
    over = next(quiet, None)
    for row in decisions:
        settles = row.source == SETTLEMENT and from_record(HoldAnswer, row.record).answers == check.id
        asks = row.source == PERSON and row.as_of >= check.as_of and (over is None or row.as_of <= over)
        if settles or asks:
            return _answer(row)
    return None


def settlement_now(workspace: Workspace) -> StandingAnswer | None:
    """The newest settlement that still holds: no check was made since, or its alarm is still up; else None."""
    decisions = workspace.store.decisions(workspace.model)
    settled = [row for row in decisions if row.source == SETTLEMENT]
    checks = [row for row in decisions if row.source == CHECK]
    if not settled or (checks[-1].as_of > settled[-1].as_of and not StoredCheck.of(checks[-1]).record.decision.settled):
        return None
    rules = from_record(HoldAnswer, settled[-1].record).rules
    return StandingAnswer(**vars(_answer(settled[-1])), rules=rules)


def _waited(row: DecisionRow) -> bool:
    """Whether a check held, or left an alarm to a person."""
    return row.source == CHECK and (row.outcome == "held" or bool(StoredCheck.of(row).record.decision.held))


def _answer(row: DecisionRow) -> GivenAnswer:
    return GivenAnswer(row.id, pd.Timestamp(row.as_of), row.actor, row.outcome, row.reason)


def rolled_back(
    workspace: Workspace, decisions: Sequence[DecisionRow], table: pd.DataFrame | None
) -> RolledBack | None:
    """The rollback that made live what is live, while no person has said anything since; else None.

    Args:
        table: As assembled now; None to go by what the newest check has counted.
    """
    releases = workspace.store.releases(workspace.model)
    if not releases or releases[-1].action not in ROLLBACKS:
        return None
    newest = releases[-1]
    if any(row.source in (PERSON, SETTLEMENT) and row.as_of > newest.as_of for row in decisions):
        return None
    at = pd.Timestamp(newest.as_of)
    rows = _counted(decisions, at) if table is None else int((table["_matured"] > at).sum())
    return RolledBack(newest.version, newest.previous, at, rows, workspace.params.gate.min_rows)


def _counted(decisions: Sequence[DecisionRow], at: pd.Timestamp) -> int:
    """Rows that the newest check found matured since the rollback at this moment; 0 where none was made since."""
    rollbacks = (StoredCheck.of(row).record.rolled_back for row in reversed(decisions) if row.source == CHECK)
    return next((rollback.rows for rollback in rollbacks if rollback is not None and rollback.at == at), 0)


def is_held(workspace: Workspace, decisions: Sequence[DecisionRow]) -> bool:
    """Whether something waits for a person, and nobody answered.

    The newest check was held, or left an alarm to one; or a rollback holds all that would start by itself.
    """
    rollback = rolled_back(workspace, decisions, None)
    if rollback is not None and rollback.holds:
        return True
    checks = [row for row in decisions if row.source == CHECK]
    if not checks:
        return False
    return _waited(checks[-1]) and not _is_answered(checks[-1], decisions)


def _is_answered(check: DecisionRow, decisions: Sequence[DecisionRow]) -> bool:
    """Whether a person has asked for a run, or acknowledged a hold, since a check."""
    return any(row.source in (PERSON, SETTLEMENT) and row.as_of >= check.as_of for row in decisions)


def held_since(workspace: Workspace) -> str:
    """Since when decisions are held that nobody has answered, in words; the newest check is held."""
    first = ""
    for row in reversed(workspace.store.decisions(workspace.model)):
        if row.source in (PERSON, SETTLEMENT) or (row.source == CHECK and row.outcome != "held"):
            break
        if row.source == CHECK:
            first = row.as_of
    return f"since {first[:16].replace('T', ' ')}"
