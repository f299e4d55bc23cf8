"""Label horizons tried on the history: what labels that have not come by then bias, against what waiting makes old."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from retrim.core.init.first_model import MODEL, FirstRows
from retrim.core.metrics import row_losses
from retrim.core.table import DataParams
from retrim.core.view import FeatureView

MOST_ROWS = 20_000
"""Rows of the history that are tried, spread evenly."""
LEAST_ROWS = 60
"""Rows that a model is made from, or that judge, at least."""
FIRST_SHARE = 0.4
"""Of the rows, before the first moment."""
MOMENTS = 6
TIE = 0.01
"""Share of the loss by which a shorter horizon has to be better than a longer one."""
FIT = {**MODEL, "learning_rate": 0.1}
ROUNDS = 60


@dataclass(frozen=True)
class Tried:
    """A horizon on the history, mean over the moments, in units of the loss.

    Args:
        horizon: Which.
        loss: Of a model made from the rows that were due and known by each moment, on the rows that came next.
        bias: What it lost beyond one that knows the labels of all rows due by then.
        stale: What that one lost beyond one that knows the labels of all rows.
    """

    horizon: pd.Timedelta
    loss: float
    bias: float
    stale: float


def try_horizons(
    table: pd.DataFrame,
    known: pd.Series,
    data: DataParams,
    horizons: Sequence[pd.Timedelta],
    *,
    complete: pd.Timestamp,
    loss: str,
    seed: int,
    threads: int,
) -> list[Tried]:
    """Each horizon at several moments of the history, as a loop would have trained there and then.

    Args:
        table: Labelled rows in order of time, with `_event`.
        known: When each label became known, index of `table`; missing: when it was due.
        data: What the table is; its horizon does not count.
        horizons: Those to try, any order.
        complete: Rows of events after this judge nothing, as labels may be missing that depend on the answer.
        loss: Per-row loss.
        seed: Same seed, same answer.
        threads: For LightGBM.

    Returns:
        The horizons that leave enough rows at every moment, in their order; none where the history is too short.
    """
    taken = np.unique(np.linspace(0, len(table) - 1, min(len(table), MOST_ROWS)).astype("int64"))
    rows, came = table.iloc[taken].reset_index(drop=True), known.iloc[taken].reset_index(drop=True)
    until = int((rows["_event"] <= complete).sum())
    edges = np.linspace(FIRST_SHARE * until, until, MOMENTS + 1).astype("int64")
    if edges[1] - edges[0] < LEAST_ROWS:
        return []
    lost = [
        _at_moment(rows, came, data, horizons, begin=begin, end=end, loss=loss, seed=seed, threads=threads)
        for begin, end in pairwise(edges.tolist())
    ]
    means = np.mean(lost, axis=0)
    return [
        Tried(horizon, own, own - due, due - at_once)
        for horizon, (own, due, at_once) in zip(horizons, means, strict=True)
        if np.isfinite(own)
    ]


def least(tried: Sequence[Tried]) -> Tried:
    """The longest of those that lose as little as the best, to within a hundredth.

    Args:
        tried: At least one.
    """
    best = min(one.loss for one in tried)
    return max((one for one in tried if one.loss <= best + TIE * abs(best)), key=lambda one: one.horizon)


def _at_moment(
    rows: pd.DataFrame,
    came: pd.Series,
    data: DataParams,
    horizons: Sequence[pd.Timedelta],
    *,
    begin: int,
    end: int,
    loss: str,
    seed: int,
    threads: int,
) -> np.ndarray:
    """Losses on the rows `[begin, end)` with each horizon, shape (horizons, 3): due and known, due, all; NaN: too few.

    `begin` is the moment: rows before it are there, and labels as far as they had become known.
    """
    past, judged, moment = rows.iloc[:begin], rows.iloc[begin:end], rows["_event"].iloc[begin]
    view = FeatureView.learn(past, data)
    matrix, actual, asked, truth = view.matrix(past), view.actual(past), view.matrix(judged), view.actual(judged)

    def lost(fitted: np.ndarray) -> float:
        if len(fitted) < LEAST_ROWS or len(np.unique(actual[fitted])) < max(len(view.classes), 2):
            return np.nan
        part = FirstRows(past, judged, view, matrix[fitted], actual[fitted], asked, truth)
        model = part.fit(loss=loss, hyperparameters=FIT, rounds=ROUNDS, seed=seed, threads=threads).model
        return float(row_losses(loss, truth, model.predict(asked)).mean())

    at_once = lost(np.arange(begin))
    found = np.full((len(horizons), 3), np.nan)
    for place, horizon in enumerate(horizons):
        due = (past["_event"] + horizon <= moment).to_numpy()
        there = due & (came.iloc[:begin].isna() | (came.iloc[:begin] <= moment)).to_numpy()
        own = lost(np.flatnonzero(there))
        found[place] = own, own if there.sum() == due.sum() else lost(np.flatnonzero(due)), at_once
    return found
