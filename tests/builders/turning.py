"""A stream whose slope turns round on the way, cut for a policy backtest, with a tiny model fitted for real."""

from functools import cache

import numpy as np
import pandas as pd

from retrim.decision.policy_backtest import FitInputs, LossMatrix, WindowCuts, cut, equal_rows, jobs
from retrim.decision.probe import ProbeParams, ProbeReading, reading_of, refit_losses
from retrim.features.view import FeatureView
from retrim.stats.metrics import row_losses
from retrim.stats.windows import past_of
from retrim.table.data import DataParams
from retrim.training.recipe import Recipe, WindowKind, WindowLengths, fit_recipe

START = pd.Timestamp("2024-01-01", tz="UTC")
TREES = Recipe("gbm", "mse", {"num_leaves": 7, "min_child_samples": 5, "learning_rate": 0.2}, 8, 7)
KINDS: tuple[WindowKind, ...] = ("all", "sliding")
FIRST, WINDOWS, BLOCKS, BLOCK_ROWS, SLIDING, USUAL = 90, 7, 2, 5, 60, 20
DATA = DataParams.model_validate(
    {
        "model": "stream",
        "columns": {
            "at": {"type": "time", "role": "time"},
            "x": {"type": "number", "role": "feature"},
            "y": {"type": "number", "role": "target"},
        },
        "key": ["at"],
        "task": "regression",
        "label_horizon": "3h",
        "batch_every": "7d",
        "suite": "expectations/stream.json",
    }
)


@cache
def table() -> pd.DataFrame:
    """One row an hour; the slope turns round after 150."""
    draw = np.random.default_rng(3)
    n = 230
    x = draw.normal(size=n)
    event = START + pd.to_timedelta(np.arange(n), unit="h")
    y = np.where(np.arange(n) < 150, 2.0, -2.0) * x + draw.normal(scale=0.3, size=n)
    return pd.DataFrame({"_event": event, "_due": event + pd.Timedelta("3h"), "x": x, "y": y})


@cache
def whole() -> WindowCuts:
    return cut(equal_rows(len(table()), first=FIRST, windows=WINDOWS), blocks=BLOCKS, block_rows=BLOCK_ROWS)


@cache
def matrix() -> LossMatrix:
    inputs = FitInputs(table(), whole(), TREES, DATA, SLIDING)
    scored = [inputs.score(job) for job in reversed(jobs(whole(), KINDS))]
    return LossMatrix.of(KINDS, whole(), scored, rows_per_check=USUAL, back=0)


def rows_of(window: int) -> np.ndarray:
    begins = np.append(whole().starts[:: whole().blocks], whole().cells[-1])
    return np.arange(begins[window], begins[window + 1])


def losses_of(model: int, kind: WindowKind, rows: np.ndarray) -> np.ndarray:
    """Losses of the model made just before a window, fitted here by hand."""
    return losses_before(int(rows_of(model)[0]), kind, rows)


def losses_before(begin: int, kind: WindowKind, rows: np.ndarray) -> np.ndarray:
    """Losses of a model made just before a row."""
    past = past_of(table()["_event"], table()["_due"], begin)
    fitted = table().iloc[WindowLengths(SLIDING).rows(past, kind)]
    view = FeatureView.learn(fitted, DATA)
    judged = table().iloc[rows]
    predicted = fit_recipe(TREES, view, fitted, threads=1).predict(view.matrix(judged))
    return row_losses("mse", view.actual(judged), predicted)


def live_reading(champion_losses: np.ndarray, kind: WindowKind, window: int) -> ProbeReading:
    """What the live probe reads off a window, from its rows."""
    params = ProbeParams(blocks=BLOCKS, min_rows=2, when="every")
    losses = refit_losses(table(), rows_of(window), TREES, DATA, params, window=kind, sliding_rows=SLIDING, cores=1)
    return reading_of(champion_losses, losses, apart=np.empty(0), block_rows=BLOCK_ROWS)
