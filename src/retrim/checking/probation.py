"""The champion on probation: each check scores it beside the one before; where it is worse, a rollback follows."""

from dataclasses import replace

import pandas as pd

from retrim.adapters.database import iso
from retrim.checking.history import newest_check
from retrim.checking.previous_champions import forbidden_in
from retrim.decision.alerts import AlertKind
from retrim.decision.check_record import StoredCheck
from retrim.decision.history import RunOutcome
from retrim.decision.probation import (
    ProbationCheck,
    ProbationFacts,
    ProbationNow,
    ProbationState,
    ProbationVerdict,
    in_words,
    roll_back_instead,
)
from retrim.decision.rules import Decision
from retrim.decision.stored_rows import ReleaseRow
from retrim.errors import BadInputError, RefusedError
from retrim.landing.as_of_view import AsOfTable
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.pause import refuse_while_paused
from retrim.release.release import make_live
from retrim.release.versions import PROBATION_ROLLBACK, find_live_version, load_stored_version
from retrim.stats.codec import from_record, to_record
from retrim.stats.metrics import row_losses
from retrim.training.bundle import Predictor

PROBATION = "probation"
WATCHED = ("promote", "restore", "import")
"""Moves of the champion that begin a probation; a rollback is a person's word, or this one's."""


def begin_probation(workspace: Workspace) -> ReleaseRow | None:
    """The move of the champion whose probation goes on or has ended; None where what is live never had one."""
    releases = workspace.store.releases(workspace.model)
    if not releases or not workspace.params.probation.checks:
        return None
    newest = releases[-1]
    return newest if newest.action in WATCHED and newest.previous is not None else None


def look_at_probation(
    workspace: Workspace, table: AsOfTable, champion: Predictor, *, previous: StoredCheck | None, now: pd.Timestamp
) -> ProbationCheck | None:
    """The probation of the champion after the rows that matured since the check before; None where there is none.

    One that has ended stays as it was. Its end is kept in the version's envelope, once.

    Args:
        previous: The check before; None at the first.
    """
    move, before = begin_probation(workspace), _before(previous)
    if before is not None and before.ended is None and (move is None or move.sequence != before.release):
        _keep_end(workspace, _replaced(workspace, before, now))
    if move is None:
        return None
    if before is None or before.release != move.sequence or before.loss != workspace.params.judge.loss:
        before = _begin(workspace, move)
    if before.ended is not None:
        _keep_end(workspace, before)
        return before
    probation = _after(workspace, table, champion, before, now=now)
    if probation.ended is not None:
        _keep_end(workspace, probation)
        if probation.outcome != "worse" or not acts(workspace):
            kind = AlertKind(f"probation {probation.outcome}")
            record_alert(workspace, kind, probation.said, now=now, about=str(probation.version))
    return probation


def acts(workspace: Workspace) -> bool:
    """Whether a version that is worse on probation is rolled back without a person."""
    return workspace.params.probation.acts and "manual" not in workspace.params.triggers.rules


def rolled_back_instead(
    workspace: Workspace, decision: Decision, probation: ProbationCheck | None, previous: StoredCheck | None
) -> Decision:
    """The decision to roll back where a probation asks for that now, else what was decided."""
    if probation is None or not acts(workspace) or not _is_to_act(probation, previous):
        return decision
    return roll_back_instead(decision, probation, text=probation.said)


def _is_to_act(probation: ProbationCheck, previous: StoredCheck | None) -> bool:
    """Whether a probation that ended worse is to be acted on now.

    It ended at this check, or a kill, a refusal or a pause came between the check before and its rollback. What was
    proposed to a person is that person's.
    """
    if probation.outcome != "worse":
        return False
    before = _before(previous)
    if before is None or before.release != probation.release or before.ended is None:
        return True
    assert previous is not None
    return previous.outcome == "rollback" or previous.record.decision.stopped == "pause"


def carry_out(workspace: Workspace, decision: str, *, now: pd.Timestamp) -> RunOutcome:
    """Carries out a decision to roll back: the champion before goes live, if what it was held against still is.

    Raises:
        RefusedError: Something else is live by now, or the champion before cannot go live; that is told, too.
    """
    row = workspace.store.decision(decision)
    assert row is not None, decision
    refuse_while_paused(workspace, decision)
    facts = StoredCheck.of(row).record.probation
    assert facts is not None, decision
    version, against = facts.version, facts.against
    done = RunOutcome(None, "rolled back", row.reason, against)
    now_live = find_live_version(workspace)
    assert now_live is not None
    if now_live.version == against and now_live.reason == row.reason:
        return done
    if now_live.version != version:
        raise RefusedError(
            f"version {version} was on probation, but version {now_live.version} is live now; run a check again"
        )
    try:
        make_live(
            workspace, against, action=PROBATION_ROLLBACK, expected=version, by=row.actor, reason=row.reason, now=now
        )
    except RefusedError as error:
        record_alert(
            workspace,
            AlertKind.ROLLBACK_REFUSED,
            f"version {version} is worse on probation, but stays live: {error}",
            now=now,
        )
        raise
    return done


def probation_now(workspace: Workspace) -> ProbationNow | None:
    """The probation of what is live, as the newest check left it, `said` in words; None where it has none."""
    move = begin_probation(workspace)
    if move is None:
        return None
    probation = _before(newest_check(workspace))
    if probation is None or probation.release != move.sequence:
        probation = _begin(workspace, move)
    return probation.now


def probation_ends(workspace: Workspace) -> dict[int, str]:
    """How the probation of each version ended, in a word; `going on` for the one that has not."""
    ends: dict[int, str] = {
        row.version: from_record(ProbationFacts, rows[-1].record).outcome
        for row in workspace.store.versions(workspace.model)
        if (rows := workspace.store.envelope(workspace.model, row.version, kind=PROBATION))
    }
    probation = probation_now(workspace)
    if probation is not None:
        ends[probation.version] = probation.outcome
    return ends


def _before(previous: StoredCheck | None) -> ProbationCheck | None:
    return None if previous is None else previous.record.probation


def _begin(workspace: Workspace, move: ReleaseRow) -> ProbationCheck:
    """A probation without a row: those that matured when the version was made, or brought back, have judged it."""
    row = workspace.store.version(workspace.model, move.version)
    assert row is not None, move.version
    since = row.as_of if move.action == "promote" else move.as_of
    assert move.previous is not None, move.version
    watch, params = ProbationState.begin(move.version, move.previous), workspace.params.probation
    judged = watch.judge(params)
    return _of(
        watch,
        judged,
        release=move.sequence,
        text=in_words(watch, judged, params),
        until=pd.Timestamp(since),
        loss=workspace.params.judge.loss,
    )


def _of(
    watch: ProbationState, judged: ProbationVerdict, *, release: int, text: str, until: pd.Timestamp, loss: str
) -> ProbationCheck:
    """A probation that goes on, or ends now."""
    return ProbationCheck(
        **vars(judged),
        release=release,
        version=watch.version,
        against=watch.against,
        said=text,
        until=until,
        ended=None if judged.outcome == "going on" else until,
        loss=loss,
        watch=watch,
    )


def _after(
    workspace: Workspace, table: AsOfTable, champion: Predictor, before: ProbationCheck, *, now: pd.Timestamp
) -> ProbationCheck:
    params, watch = workspace.params, before.watch
    try:
        previous_champion = load_stored_version(workspace, watch.against).predictor
        forbidden = forbidden_in(workspace, list(previous_champion.view.features))
        if forbidden:  # then it must not go live by itself, however good it is
            raise RefusedError(f"version {watch.against} uses {', '.join(forbidden)}, which data.columns forbids now")
        unseen = table.times["_event"] > max(champion.judged_until, previous_champion.judged_until)
        rows = table.only(unseen & (table.times["_matured"] > before.until)).read()
        new, old = (
            row_losses(before.loss, one.view.actual(rows), one.predict(rows)) for one in (champion, previous_champion)
        )
    except (RefusedError, BadInputError) as error:
        text = f"version {watch.version} cannot be compared with the previous champion, {watch.against}: {error}"
        return replace(before, outcome="over", said=text, until=now, ended=now)
    if not len(rows):
        return replace(before, until=now)
    watch = watch.after(new, old, params.probation, block_rows=params.probation.block_rows(params.gain.rows_per_check))
    judged = watch.judge(params.probation)
    text = in_words(watch, judged, params.probation)
    return _of(watch, judged, release=before.release, text=text, until=now, loss=before.loss)


def _replaced(workspace: Workspace, before: ProbationCheck, now: pd.Timestamp) -> ProbationCheck:
    newest = workspace.store.releases(workspace.model)[-1]
    text = f"{before.said}; then version {newest.version} went live ({newest.action})"
    return replace(before, outcome="replaced", said=text, ended=now)


def _keep_end(workspace: Workspace, probation: ProbationCheck) -> None:
    """Keeps how a probation ended in the version's envelope; asked again, nothing is added."""
    assert probation.ended is not None
    workspace.store.add_to_envelope(
        workspace.model,
        probation.version,
        kind=PROBATION,
        name=f"release {probation.release}",
        at=iso(probation.ended),
        record=to_record(probation.facts),
    )
