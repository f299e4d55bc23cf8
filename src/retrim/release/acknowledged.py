"""Kinds of warnings that a person has acknowledged: until when they are neither sent nor counted."""

from collections.abc import Collection

import pandas as pd

from retrim.adapters.database import iso
from retrim.decision.check_record import AcknowledgedKind
from retrim.decision.model_health import KINDS, SUSPICIOUS_BATCH
from retrim.decision.stored_rows import DecisionRow, as_text
from retrim.errors import BadInputError, RefusedError
from retrim.lineage.workspace import MUTE, Workspace, require_who_and_why
from retrim.reading.landed import BatchFile
from retrim.stats.codec import from_record


def acknowledge_kind(
    workspace: Workspace, kind: str, *, until: pd.Timestamp, by: str, reason: str, now: pd.Timestamp
) -> AcknowledgedKind:
    """Mutes warnings of a kind until a moment; an earlier answer of the same kind gives way.

    Raises:
        BadInputError: There is no such kind, `until` is not after `now`, or nobody or no reason is named.
        RefusedError: Another process acknowledged something at the same moment.
    """
    require_who_and_why(by=by, reason=reason)
    if kind not in KINDS:
        raise BadInputError(f"there is no warning of kind {kind!r}; name one of: {', '.join(KINDS)}")
    if until <= now:
        raise BadInputError(f"--until {iso(until)} is not after {iso(now)}; name a later moment")
    answer = AcknowledgedKind(now, kind, until)
    row = DecisionRow(
        f"{workspace.model}-{now:%Y%m%dT%H%M%SZ}-acknowledged-{kind}",
        workspace.model,
        MUTE,
        as_of=iso(now),
        at=iso(now),
        outcome="acknowledged",
        actor=by,
        reason=reason,
        text=as_text(answer),
    )
    if not workspace.store.add_decision(row):
        raise RefusedError(f"{kind} was acknowledged at the same moment by another process; see `retrim status`")
    return answer


def acknowledged_kinds(workspace: Workspace, *, now: pd.Timestamp) -> dict[str, AcknowledgedKind]:
    """The newest answer of each kind that was given by `now`."""
    rows = workspace.store.decisions(workspace.model, source=MUTE)
    answers = [from_record(AcknowledgedKind, row.record) for row in rows if pd.Timestamp(row.as_of) <= now]
    return {answer.kind: answer for answer in answers}


def muted_kinds(workspace: Workspace, *, now: pd.Timestamp) -> set[str]:
    """Kinds whose warnings are neither sent nor counted at a moment."""
    return {kind for kind, answer in acknowledged_kinds(workspace, now=now).items() if answer.until > now}


def unanswered_suspects(workspace: Workspace, *, now: pd.Timestamp, named: Collection[str] = ()) -> list[BatchFile]:
    """Suspicious batches that nobody has withdrawn or acknowledged by `now`."""
    answer = acknowledged_kinds(workspace, now=now).get(SUSPICIOUS_BATCH)
    standing = [file for file in workspace.landing.standing() if file.arrived <= now]
    suspects = [file for file in standing if file.suspicious or file.batch in named]
    return [file for file in suspects if answer is None or file.arrived > answer.as_of]
