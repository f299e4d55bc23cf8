"""Label horizons: how long labels take to come, and what a shorter or longer wait costs on the history."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd

from retrim.profile.first_model import MODEL, FirstRows
from retrim.stats.metrics import row_losses
from retrim.stats.plugins import span_text
from retrim.table.data import DataParams
from retrim.training.estimators import FitTask

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Of the answers that a horizon may wait for: which of them is tried on the history, where it is long enough."""
UNITS = (pd.Timedelta("1D"), pd.Timedelta("1h"), pd.Timedelta("1min"))
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
class LabelHistory:
    """A history whose label times are known, at least one.

    Args:
        table: Typed rows in order of time, labelled and not, with `_event`.
        known: When each label became known, not before its event, index of `table`; missing where no time says so.
    """

    table: pd.DataFrame
    known: pd.Series
    target: str

    @cached_property
    def delays(self) -> pd.Series:
        """From event to label, of the rows whose label is known."""
        since: pd.Series = self.known - self.table["_event"]
        return since[self.known.notna()]

    @cached_property
    def waiting(self) -> pd.Series:
        """How long rows without a label have waited when the history ends."""
        event = self.table["_event"]
        until_end: pd.Series = max(event.max(), self.known.max()) - event
        return until_end[self.table[self.target].isna()]

    def spans(self, *, classes: bool) -> dict[float, pd.Timedelta]:
        """The span after which each of `SHARES` of the answers are known, of every class too, rounded up to a unit.

        Rows that still wait are counted as answers that take at least that long (Kaplan and Meier 1958), so that a
        history cut off today does not make answers look quick.
        """
        from scipy.stats import CensoredData, ecdf

        seconds, waiting = self.delays.dt.total_seconds(), self.waiting.dt.total_seconds()
        left = ecdf(CensoredData(uncensored=seconds.to_numpy(), right=waiting.to_numpy())).sf
        spans = {}
        for share in SHARES:
            reached = np.flatnonzero(left.probabilities <= 1 - share + 1e-12)
            # The longest known where that many are not known yet.
            latest = min(left.quantiles[reached[0]] if len(reached) else np.inf, seconds.max())
            if classes:
                by_class = seconds.groupby(self.table.loc[seconds.index, self.target].astype("str"))
                latest = max(latest, by_class.quantile(share).max())
            span = pd.Timedelta(np.ceil(latest), "s")
            unit = next((unit for unit in UNITS if span > unit), UNITS[-1])
            spans[share] = max(-(-span // unit), 1) * unit
        return spans

    def known_by(self, horizon: pd.Timedelta) -> str:
        """How many of the labels that are known were so by then, in words."""
        share, latest = float((self.delays <= horizon).mean()), self.delays.max()
        unit = next((unit for unit in UNITS if latest >= 2 * unit), pd.Timedelta("1s"))
        after = span_text(pd.Timedelta(round(latest / unit) * unit))
        return f"of the {len(self.delays)} known labels, {share:.1%} were, the latest after {after}"


@dataclass(frozen=True)
class HorizonTrial:
    """A horizon on the history, mean over the moments, in units of the loss.

    Args:
        loss: Of a model made from the rows that were due and known by each moment, on the rows that came next.
        bias: What it lost beyond one that knows the labels of all rows due by then.
        stale: What that one lost beyond one that knows the labels of all rows.
    """

    horizon: pd.Timedelta
    loss: float
    bias: float
    stale: float


def try_horizons(
    history: LabelHistory,
    data: DataParams,
    horizons: Sequence[pd.Timedelta],
    *,
    complete: pd.Timestamp,
    loss: str,
    seed: int,
    threads: int,
) -> list[HorizonTrial]:
    """Each horizon at several moments of the history, as a loop would have trained there and then.

    Args:
        complete: Newest event of which all labels are known.

    Returns:
        The horizons that leave enough rows at every moment, in their order; none where the history is too short.
    """
    labelled = np.flatnonzero(history.table[history.target].notna())
    spread = np.linspace(0, len(labelled) - 1, min(len(labelled), MOST_ROWS)).astype("int64")
    sample = labelled[np.unique(spread)]
    rows, known = (part.iloc[sample].reset_index(drop=True) for part in (history.table, history.known))
    until = int((rows["_event"] <= complete).sum())
    edges = np.linspace(FIRST_SHARE * until, until, MOMENTS + 1).astype("int64")
    if edges[1] - edges[0] < LEAST_ROWS:
        return []
    losses = [
        _at_moment(rows, known, data, horizons, begin=begin, end=end, loss=loss, seed=seed, threads=threads)
        for begin, end in pairwise(edges.tolist())
    ]
    return [
        HorizonTrial(horizon, known_only, known_only - due, due - at_once)
        for horizon, (known_only, due, at_once) in zip(horizons, np.mean(losses, axis=0), strict=True)
        if np.isfinite(known_only)
    ]


def least(trials: Sequence[HorizonTrial]) -> HorizonTrial:
    """The longest of those, at least one, that lose as little as the best, to within a hundredth."""
    best = min(trial.loss for trial in trials)
    return max((trial for trial in trials if trial.loss <= best + TIE * abs(best)), key=lambda trial: trial.horizon)


def _at_moment(
    rows: pd.DataFrame,
    known: pd.Series,
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
    whole = FirstRows.cut(past, judged, data)

    def lost(fitted: np.ndarray) -> float:
        actual = whole.actual[fitted]
        if len(fitted) < LEAST_ROWS or len(np.unique(actual)) < max(len(whole.view.classes), 2):
            return np.nan
        model = (
            replace(whole, matrix=whole.matrix[fitted], actual=actual)
            .fit(FitTask(loss, FIT, ROUNDS, seed, threads))
            .model
        )
        return float(row_losses(loss, whole.truth, model.predict(whole.newest)).mean())

    at_once = lost(np.arange(begin))
    losses = np.full((len(horizons), 3), np.nan)
    for row, horizon in enumerate(horizons):
        due = (past["_event"] + horizon <= moment).to_numpy()
        there = due & (known.iloc[:begin].isna() | (known.iloc[:begin] <= moment)).to_numpy()
        known_only = lost(np.flatnonzero(there))
        losses[row] = known_only, known_only if there.sum() == due.sum() else lost(np.flatnonzero(due)), at_once
    return losses
