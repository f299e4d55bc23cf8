"""What the champion lost on rows that matured, and what the rows that judged it say of that loss."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.checking.served import predictions_of
from retrim.decision.band import Band, reference_band
from retrim.decision.check_record import MeasuredLoss, MeasuredWindow
from retrim.decision.rows_counted import RowCounts
from retrim.drift.slices import LossChange, SlicedRows, loss_change
from retrim.landing.as_of_view import AsOfTable
from retrim.lineage.workspace import Workspace
from retrim.release.versions import Stored
from retrim.stats.bootstrap import mean_bound
from retrim.stats.metrics import measure, row_losses
from retrim.training.baseline import baselines_of
from retrim.training.bundle import Predictor

STRAGGLERS = 0.05  # of some rows: so many may be older than where the rows are taken to begin

CONFIDENCE = 0.95  # one-sided, at either end: the interval holds the mean loss with 90%


def start_without_stragglers(events: pd.Series) -> pd.Timestamp:
    """When rows begin, but for the oldest 5%: as far before the others as evenly spaced rows would, no further.

    Args:
        events: Their event times in order, shape (n,), n at least 1.
    """
    first, rest, last = (pd.Timestamp(events.iloc[number]) for number in (0, int(STRAGGLERS * len(events)), -1))
    return max(first, rest - (last - rest) * (STRAGGLERS / (1 - STRAGGLERS)))


def naive_losses_on(
    workspace: Workspace, mature: AsOfTable, predictor: Predictor, rows: pd.DataFrame
) -> dict[str, np.ndarray]:
    """Loss on each row of every baseline of the task, fitted on the labels that were due before these rows.

    Args:
        rows: Mature rows in time order, shape (n, columns), n at least 1.

    Returns:
        Losses by baseline, each shape (n,); empty if no label was due before.
    """
    view, gate, entity = predictor.view, workspace.params.gate, workspace.params.data.series
    first = start_without_stragglers(rows["_event"])
    before = (mature.times["_due"] <= first) & ~mature.times["_key"].isin(rows["_key"])
    if not before.any():
        return {}
    fitted = mature.only(before)
    is_renamed = view.target not in fitted.times
    train = fitted.read([*entity, *([view.target] if is_renamed else [])]) if entity or is_renamed else fitted.times
    cut = {"season": pd.Timedelta(gate.season), "cells": gate.season_cells, "entity": entity}
    return {
        name: losses_on(workspace, predictor, rows, baseline(view, train, rows, **cut))
        for name, baseline in baselines_of(view.task).items()
    }


def losses_on(workspace: Workspace, predictor: Predictor, rows: pd.DataFrame, predicted: np.ndarray) -> np.ndarray:
    """The loss of some predictions on each row."""
    return row_losses(workspace.params.judge.loss, predictor.view.actual(rows), predicted)


@dataclass(frozen=True)
class MeasuredRows:
    """The champion on matured rows that no check has measured.

    Args:
        loss: Its loss on them, of what was served, else of the champion.
        part: The rows with the loss on each.
        taken: Rows of the table that were measured, shape (rows,).
    """

    loss: MeasuredLoss
    part: SlicedRows
    taken: np.ndarray


def measure_champion(
    workspace: Workspace, mature: AsOfTable, predictor: Predictor, version: int, counts: RowCounts, *, now: pd.Timestamp
) -> MeasuredRows | None:
    """The champion's loss on the matured rows that no check has measured; None where those are too few."""
    params, fresh = workspace.params, counts.waiting("measured")[mature.places]
    if fresh.sum() < params.probe.min_rows:
        return None
    rows = mature.only(fresh).read()
    predicted, served = predictions_of(workspace, rows, predictor, version, now=now)
    judged = predictor.view.seen(rows)
    actual = predictor.view.actual(judged)
    losses = row_losses(params.judge.loss, actual, predicted)
    return MeasuredRows(
        loss=MeasuredLoss(
            window=MeasuredWindow(len(rows), start_without_stragglers(rows["_event"]), rows["_event"].iloc[-1]),
            loss=float(losses.mean()),
            interval=_interval(workspace, losses),
            metrics=measure(params.judge.metrics, actual, predicted, task=predictor.view.task),
            served=served,
        ),
        part=SlicedRows(judged, losses),
        taken=mature.in_whole(fresh),
    )


def _interval(workspace: Workspace, losses: np.ndarray) -> tuple[float, float]:
    judge = workspace.params.judge
    low, high = (
        sign
        * mean_bound(
            sign * losses,
            confidence=CONFIDENCE,
            block_rows=judge.block_rows,
            draws=judge.draws,
            seed=workspace.params.gate.seed,
        )
        for sign in (1, -1)
    )
    return low, high


def beside_judged(
    workspace: Workspace, champion: Stored, judged: SlicedRows, measured: SlicedRows | None, *, rows: int
) -> tuple[Band | None, LossChange]:
    """What the rows that judged the champion say of a loss on `rows` rows.

    Args:
        measured: The rows that the loss was measured on; None where it is estimated, or there is none.
        rows: How many, at least 1.

    Returns:
        The band to hold it against, None where there is none or too few rows have judged; and its change by column and
        slice, empty where it was not measured.
    """
    judge = workspace.params.judge
    band = reference_band(
        judged.losses, rows=rows, block_rows=judge.block_rows, draws=judge.draws, seed=workspace.params.gate.seed
    )
    if measured is None:
        return band, LossChange({}, ())
    features = champion.predictor.view.features
    return band, loss_change(judged, measured, features, block_rows=judge.block_rows)


def judged_rows(workspace: Workspace, table: AsOfTable, champion: Stored, counts: RowCounts) -> SlicedRows:
    """The rows that judged the champion, as far as they are in the table, with its loss on each.

    Where the final fit predicts, which has seen these rows, the losses are those of the judged fit.
    """
    mature, predictor = table.mature(), champion.predictor
    if champion.judged_losses is not None:
        known = predictor.view.seen(mature.only(mature.times["_key"].isin(champion.judged_losses.index)).read())
        return SlicedRows(known, champion.judged_losses.loc[known["_key"]].to_numpy())
    span = mature.times["_event"].between(predictor.used_until, predictor.judged_until, inclusive="right")
    judging = predictor.view.seen(mature.only(span & counts.used[mature.places]).read())  # others came since
    losses = row_losses(workspace.params.judge.loss, predictor.view.actual(judging), predictor.predict(judging))
    return SlicedRows(judging, losses)
