"""What a check finds: what drifted, how the live version does, and what a refit gains."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from retrim.checking.beside import look_at_canary
from retrim.checking.comparison import compare_losses, find_suspects
from retrim.checking.drift import DriftLook, find_drift
from retrim.checking.estimate import estimate_newest
from retrim.checking.gain import balance_after, deposit, refused_since, retraining_cost_now
from retrim.checking.measure import MeasuredRows, beside_judged, judged_rows, measure_champion
from retrim.checking.probation import look_at_probation
from retrim.checking.probe import ProbeOutcome, last_probed, preview_before, run_probe, watch_before
from retrim.checking.rows import row_counts
from retrim.checking.score import score_table
from retrim.decision.accumulated_gain import AccumulatedGain
from retrim.decision.check_record import (
    CheckEvidence,
    DriftEvidence,
    GainEvidence,
    LabelCounts,
    Performance,
    ProbeEvidence,
    StoredCheck,
    TableView,
)
from retrim.decision.loss_comparison import excess_of
from retrim.decision.probe import EVERY
from retrim.decision.probe_watch import ProbeWatch, Signs
from retrim.decision.rows_counted import Kind, LedgerEntry, RowCounts
from retrim.drift.findings import DriftFinding
from retrim.drift.performance import EstimateEvidence
from retrim.drift.profile import CONFIDENCE, SCORE, TARGET
from retrim.drift.slices import LossChange
from retrim.landing.as_of_view import AsOfTable, landed_since
from retrim.lineage.workspace import Workspace
from retrim.release.versions import Stored, load_champion
from retrim.table.data import overdue_labels

SLICES_KEPT = 10  # in the record of a check: the slices with the clearest changes


def gather(
    workspace: Workspace, table: AsOfTable, *, past: Sequence[StoredCheck], now: pd.Timestamp
) -> tuple[CheckEvidence, Sequence[LedgerEntry]]:
    """The evidence of a check, and the rows that it counts.

    A check that is dated before an earlier one looks at nothing of the live version: those rows were counted.
    """
    champion, previous = load_champion(workspace), past[-1] if past else None
    counts = row_counts(workspace, table, champion)
    evidence = CheckEvidence(
        as_of=now,
        landed=landed_since(workspace, None if previous is None else previous.record, rows=len(table), now=now),
        labels=LabelCounts(overdue=overdue_labels(table.times, workspace.params.data, as_of=now)),
        view=TableView(workspace.params.data.rows, workspace.params.data.label_horizon),
        gain=GainEvidence(
            now=AccumulatedGain.empty(),
            retraining_cost=retraining_cost_now(workspace),
            money=workspace.params.gain.money,
        ),
    )
    if champion is None or (previous is not None and previous.record.as_of > now):
        return evidence, counts.to_write({})
    evidence, taken = _of_champion(workspace, evidence, table, champion, counts, past=past)
    return evidence, counts.to_write(taken)


def _of_champion(
    workspace: Workspace,
    evidence: CheckEvidence,
    table: AsOfTable,
    champion: Stored,
    counts: RowCounts,
    *,
    past: Sequence[StoredCheck],
) -> tuple[CheckEvidence, dict[Kind, np.ndarray]]:
    """The evidence with all that is found of the live version; and by kind, the rows of the table that it counts."""
    version, predictor, now = champion.version, champion.predictor, evidence.as_of
    previous, mature = past[-1] if past else None, table.mature()
    score_table(workspace, table, champion, now=now)
    drift = find_drift(workspace, table, champion, counts)
    measured = measure_champion(workspace, mature, predictor, version, counts, now=now)
    estimate = estimate_newest(workspace, table, predictor, version, past=past, now=now)
    probation = look_at_probation(workspace, table, predictor, previous=previous, now=now)
    look_at_canary(workspace, table, now=now)
    performance, drift_evidence = _performance(
        workspace, table, champion, counts, measured, estimate, drift, past=past, now=now
    )
    refused = refused_since(workspace, past)
    before = balance_after(version, past, refused)
    watch = watch_before(previous, version)
    if measured is not None:
        watch = watch.after_rows(_signs(performance, measured, drift.findings))
    probed_at = last_probed(workspace, version, previous)
    gain = replace(evidence.gain, now=before, before=before, debited=tuple(run.id for run in refused))
    probe = ProbeEvidence(preview=preview_before(previous, version), watch=watch, until=probed_at)
    taken = dict(drift.taken)
    if measured is not None:
        taken["measured"] = measured.taken
    if watch.asks or workspace.params.probe.when == EVERY:
        ran = run_probe(
            workspace, mature, predictor, version, counts, watch=watch, retraining_cost=gain.retraining_cost
        )
        if ran is not None:
            taken["deposited"] = ran.taken
            gain = replace(gain, now=deposit(workspace, before, ran.reading))
            probe = _probe_evidence(workspace, ran, gain, watch, now=now)
    return replace(
        evidence,
        champion=version,
        labels=LabelCounts(
            pending=int(((table.times["_due"] > now).to_numpy() & counts.waiting("deposited")).sum()),
            overdue=evidence.labels.overdue,
            until=pd.Timestamp(mature.times["_matured"].max()) if len(mature) else None,
        ),
        counted={kind: int(rows.sum()) for kind, rows in taken.items()},
        drift=drift_evidence,
        performance=performance,
        estimate=estimate,
        probe=probe,
        gain=gain,
        probation=probation,
    ), taken


def _performance(
    workspace: Workspace,
    table: AsOfTable,
    champion: Stored,
    counts: RowCounts,
    measured: MeasuredRows | None,
    estimate: EstimateEvidence,
    drift: DriftLook,
    *,
    past: Sequence[StoredCheck],
    now: pd.Timestamp,
) -> tuple[Performance, DriftEvidence]:
    """How the live version does, and the drift with the change of the loss that goes with each column."""
    newest, part = estimate.newest, None if measured is None else measured.part
    estimated = 0 if newest is None else newest.rows
    rows = estimated if measured is None else measured.loss.window.rows
    band, changed, comparison = None, LossChange({}, ()), None
    if rows:
        judged = judged_rows(workspace, table, champion, counts)
        band, changed = beside_judged(workspace, champion, judged, part, rows=rows)
        comparison = compare_losses(workspace, table, champion, judged, measured, newest, past=past)
    performance = Performance(
        measured=None if measured is None else measured.loss,
        comparison=comparison,
        band=band,
        slices=changed.slices[:SLICES_KEPT],
        suspects=find_suspects(workspace, table, part, newest, drift.findings, now=now),
    )
    return performance, drift.with_losses(changed.shifted).evidence


def _signs(performance: Performance, measured: MeasuredRows, findings: Sequence[DriftFinding]) -> Signs:
    """What makes the check probe: the loss beside expected and naive, and drift of the target and the predictions."""
    comparison = performance.comparison
    expected = None if comparison is None else comparison.expected
    ceiling = expected.high / expected.loss if expected is not None and expected.high and expected.loss > 0 else 1.0
    tested = [finding for finding in findings if finding.column in (TARGET, SCORE, CONFIDENCE)]
    return Signs(
        start=measured.loss.window.start,
        loss=measured.loss.loss if comparison is None else comparison.loss,
        is_high=comparison is not None and comparison.is_too_high,
        excess=0.0 if comparison is None else excess_of(comparison),
        ceiling=max(ceiling, 1.0),
        is_drifting=any(finding.over for finding in tested) if tested else None,
    )


def _probe_evidence(
    workspace: Workspace, ran: ProbeOutcome, gain: GainEvidence, watch: ProbeWatch, *, now: pd.Timestamp
) -> ProbeEvidence:
    """What a probe found; a refit with enough rows from after the change that surely does not help ends the watch."""
    reading = ran.reading
    return ProbeEvidence(
        reading=reading,
        refits=ran.refits,
        losses=ran.losses,
        cost=ran.cost,
        preview=ran.preview,
        watch=watch.after_probe(
            reading.newest_gain,
            reading.newest_error,
            errors=workspace.params.gain.errors,
            loss=reading.champion_loss,
            is_learned=reading.after_change >= workspace.params.gate.min_rows,
            short=gain.retraining_cost - gain.now.balance,
        ),
        until=now,
    )
