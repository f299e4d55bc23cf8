"""What a check decides: the rules, and what takes their place after a rollback, on probation and in a pause."""

from collections.abc import Sequence

import pandas as pd

from retrim.checking.history import month_spent, new_rows, past_of_store
from retrim.checking.holds import rolled_back
from retrim.checking.mode import mode_now
from retrim.checking.probation import rolled_back_instead
from retrim.checking.totals import deposited, read_totals
from retrim.decision.accumulated_gain import LifeTotals
from retrim.decision.brakes import after_rollback, while_paused
from retrim.decision.check_record import CheckEvidence, CheckRecord, StoredCheck
from retrim.decision.check_verdict import make_verdict
from retrim.decision.history import CheckHistory, summarise_checks
from retrim.decision.rules import Decision, decide
from retrim.decision.stored_rows import DecisionRow
from retrim.decision.triggers import Evidence
from retrim.landing.as_of_view import AsOfTable
from retrim.lineage.workspace import Workspace
from retrim.release.pause import pause_now
from retrim.release.versions import find_live_version


def decide_on(
    workspace: Workspace,
    evidence: CheckEvidence,
    table: AsOfTable,
    *,
    past: Sequence[StoredCheck],
    decisions: Sequence[DecisionRow],
) -> CheckRecord:
    """The record of a check: its evidence, the decision, and the verdict.

    Args:
        past: The checks before, oldest first.
        decisions: All decisions before, theirs among them.
    """
    previous = past[-1] if past else None
    if previous is not None and previous.record.as_of > evidence.as_of:
        return _seen_already(evidence, previous)
    rollback = rolled_back(workspace, decisions, table.times)
    known = _rule_evidence(workspace, evidence, table, past_of_store(workspace, past, decisions, now=evidence.as_of))
    decision = after_rollback(decide(known, workspace.params.triggers), rollback)
    decision = rolled_back_instead(workspace, decision, evidence.probation, previous)
    paused = pause_now(workspace)
    decision = while_paused(decision, paused, version=_back_to(evidence, decision))
    params = workspace.params
    return CheckRecord(
        **vars(evidence),
        decision=decision,
        mode=mode_now(workspace) if decision.outcome == "retrain" else None,
        rolled_back=rollback,
        paused=paused,
        verdict=make_verdict(
            evidence,
            "paused" if decision.stopped == "pause" else decision.outcome,
            loss=params.judge.loss,
            needed_rows=params.gate.min_rows,
            probe_rows=params.probe.min_rows,
            errors=params.gain.errors,
        ),
        totals=read_totals(workspace, previous, evidence),
    )


def _seen_already(evidence: CheckEvidence, previous: StoredCheck) -> CheckRecord:
    """The record of a check that is dated before the newest one: nothing was looked at, nothing is started."""
    reason = f"the check of {previous.as_of} was made already; a check cannot be earlier than the last"
    standing = previous.record.decision
    return CheckRecord(
        **vars(evidence),
        decision=Decision(
            "none", reason, (), f"a check at or after {previous.as_of}", (), standing.held, standing.settled
        ),
        totals=previous.record.totals or LifeTotals.empty(),
    )


def _back_to(evidence: CheckEvidence, decision: Decision) -> int | None:
    """The earlier version that a decision to roll back makes live; None for any other."""
    return None if decision.outcome != "rollback" or evidence.probation is None else evidence.probation.against


def _rule_evidence(workspace: Workspace, evidence: CheckEvidence, table: AsOfTable, past: CheckHistory) -> Evidence:
    """What the rules go by."""
    params, live, gain = workspace.params.gain, find_live_version(workspace), evidence.gain
    newest, drift = evidence.estimate.newest, evidence.drift
    history = summarise_checks(past, champion=evidence.champion, drifted=drift.drifted if drift.findings else None)
    return Evidence(
        now=evidence.as_of,
        champion=evidence.champion,
        accumulated_gain=gain.now,
        deposited=deposited(evidence),
        retraining_cost=gain.retraining_cost,
        errors=params.errors,
        pending=evidence.labels.pending / params.rows_per_check,
        preview=evidence.probe.preview,
        loss=evidence.performance.loss,
        estimate=None if newest is None else newest.loss,
        band=evidence.performance.band,
        labels_until=evidence.labels.until,
        anew=new_rows(workspace, table.times) if evidence.champion is None else None,
        month=month_spent(workspace, now=evidence.as_of),
        live_since=None if live is None else pd.Timestamp(live.as_of),
        **vars(history),
    )
