"""The champion's loss on the rows of a check, beside its expected loss and the naive baselines on the same rows."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from retrim.batches.concern import suspicion_of
from retrim.batches.units import UnitChange, find_unit
from retrim.checking.measure import MeasuredRows, losses_on, naive_losses_on, start_without_stragglers
from retrim.decision.check_record import StoredCheck
from retrim.decision.check_verdict import SuspectBatch
from retrim.decision.loss_comparison import (
    LEAST_BLOCKS,
    SPANS,
    LossComparison,
    RowLosses,
    expect_estimated,
    expect_loss,
    find_worse_slice,
    find_worse_than,
    naive_losses,
)
from retrim.drift.findings import DriftFinding
from retrim.drift.performance import Estimate
from retrim.drift.slices import SlicedRows
from retrim.landing.as_of_view import AsOfTable
from retrim.lineage.workspace import Workspace
from retrim.release.acknowledged import unanswered_suspects
from retrim.release.versions import Stored

LEAST_SHARE = 0.2  # of the rows of a loss that a suspicious batch has to bring to be its likely cause
KNOWN_ROWS = 2000  # newest rows before that tell what a column usually is
LIKELY = 0.35  # share of a column's distance that a unit may leave: of a few hundred rows less is hard to see


def compare_losses(
    workspace: Workspace,
    table: AsOfTable,
    champion: Stored,
    judged: SlicedRows,
    measured: MeasuredRows | None,
    estimate: Estimate | None,
    *,
    past: Sequence[StoredCheck],
) -> LossComparison | None:
    """The comparison on the rows that this check measured; on those of the estimate while too few labels are known.

    Args:
        measured: The champion on the rows that this check measured; None if they are too few.
        estimate: The estimated loss of newer rows; None if it cannot be said.

    Returns:
        None where there is neither a measured nor an estimated loss.
    """
    judge = workspace.params.judge
    reference = _beside_constant(workspace, champion, judged)
    if measured is None:
        if estimate is None:
            return None
        expected = expect_estimated(reference, rows=estimate.rows, block_rows=judge.block_rows)
        return LossComparison(estimate.rows, estimate.loss, estimated=True, expected=expected, naive={})
    rows, losses = measured.part.rows, measured.part.losses
    if set(measured.loss.served.by_version) - {
        champion.version
    }:  # what an earlier version served is not this one's loss
        losses = losses_on(workspace, champion.predictor, rows, champion.predictor.predict(rows))
    window = _beside_constant(workspace, champion, SlicedRows(rows, losses))
    naive = naive_losses_on(workspace, table.mature(), champion.predictor, rows)
    comparison = LossComparison(
        len(losses),
        float(losses.mean()),
        estimated=False,
        expected=expect_loss(reference, window, block_rows=judge.block_rows),
        naive=naive_losses(losses, naive, block_rows=judge.block_rows),
    )
    earlier = _earlier(past, champion.version)
    best, features = comparison.best_naive, champion.predictor.view.features
    worse_slice = None
    if best is not None and len(losses) >= LEAST_BLOCKS * judge.block_rows:
        worse_slice = find_worse_slice(rows, losses, naive[best], features, block_rows=judge.block_rows)
    return replace(
        comparison,
        worse_than=find_worse_than(comparison, earlier),
        worse_slice=worse_slice,
    )


def find_suspects(
    workspace: Workspace,
    table: AsOfTable,
    measured: SlicedRows | None,
    estimate: Estimate | None,
    findings: Sequence[DriftFinding],
    *,
    now: pd.Timestamp,
) -> tuple[SuspectBatch, ...]:
    """The suspicious batches that brought rows of the loss, those with most rows first.

    If none was suspicious when it landed, it is the largest one, where a column that drifted looks like another unit.
    """
    if measured is not None:
        batches = measured.rows["_batch"]
    elif estimate is not None:
        batches = table.times["_batch"][table.times["_arrived"] > estimate.since]
    else:
        return ()
    rows = batches.value_counts()
    suspects = [
        SuspectBatch(file.batch, int(rows[file.batch]), suspicion_of(file.suspicious))
        for file in unanswered_suspects(workspace, now=now)
        if rows.get(file.batch, 0) >= LEAST_SHARE * len(batches)
    ]
    if suspects or measured is None:
        return tuple(sorted(suspects, key=lambda suspect: -suspect.rows))
    drifted = sorted({finding.column for finding in findings if finding.over} & set(measured.rows))
    if not drifted:
        return ()
    known = table.only((table.times["_event"] < start_without_stragglers(measured.rows["_event"])).to_numpy())
    before = known.tail(KNOWN_ROWS).read(drifted)
    units = {column: _find_jump(before[column], measured.rows[column]) for column in drifted if len(before)}
    texts = [f"{column}: as if in another unit ({unit.name})" for column, unit in units.items() if unit is not None]
    return (SuspectBatch(str(rows.index[0]), int(rows.iloc[0]), "; ".join(texts)),) if texts else ()


def _find_jump(before: pd.Series, now: pd.Series) -> UnitChange | None:
    """The change of unit that sets these rows apart from all before and from the last ones: a season comes by and by.

    Args:
        before: Values of earlier rows, in order of time.
    """
    unit = find_unit(before, now, undone=LIKELY)
    return unit if unit is not None and unit == find_unit(before.tail(len(now)), now, undone=LIKELY) else None


def _earlier(past: Sequence[StoredCheck], version: int) -> list[LossComparison]:
    """The newest comparisons of a version on measured rows, newest first."""
    newest = [check.earlier for check in reversed(past[-(max(SPANS) - 1) :])]
    return [
        check.performance.comparison
        for check in newest
        if check.champion == version
        and check.performance.comparison is not None
        and not check.performance.comparison.estimated
    ]


def _beside_constant(workspace: Workspace, champion: Stored, part: SlicedRows) -> RowLosses:
    view = champion.predictor.view
    if not len(part.losses):
        return RowLosses(part.losses, part.losses)
    return RowLosses.of(
        part.losses,
        view.actual(part.rows),
        task=view.task,
        loss=workspace.params.judge.loss,
        classes=len(view.classes),
    )
