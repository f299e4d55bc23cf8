"""A quick model of a table, fitted on the older rows and asked about the newest: whether a model is the right tool."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from retrim.features.view import FeatureView
from retrim.profile.rhythm import TableSeason
from retrim.profile.table import TableNote
from retrim.stats.bootstrap import mean_bound
from retrim.stats.metrics import row_losses
from retrim.stats.windows import keep_back
from retrim.table.data import DataParams
from retrim.training.baseline import baselines_of
from retrim.training.estimators import MODELS, FitTask, FittedModel, Model

SEED = 7
"""That `init`, `profile` and the stage validate pass: a table has the same findings in each."""
JUDGED = 0.25
MODEL = {
    "num_leaves": 31,
    "learning_rate": 0.05,
    "min_child_samples": 20,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
}
ROUNDS, PATIENCE = 400, 30
MOST_FITTED, MOST_JUDGED = 50_000, 20_000
RULE = {
    "num_leaves": 8,
    "learning_rate": 1.0,
    "min_child_samples": 20,
    "feature_fraction": 1.0,
    "bagging_fraction": 1.0,
}
DRAWS = 1000
WORTH = "worth a model"
"""What the note is about that says whether a model is the right tool: yes or no first."""
GATE = " This is one quick fit: the gate judges a tuned model, and may still promote it"


@dataclass(frozen=True)
class FirstRows:
    """Older rows to fit on and the newest rows to judge, as numbers.

    Args:
        matrix: Shape (fitted rows, features).
        newest: Shape (judged rows, features).
    """

    fitted: pd.DataFrame
    judged: pd.DataFrame
    view: FeatureView
    matrix: np.ndarray
    actual: np.ndarray
    newest: np.ndarray
    truth: np.ndarray

    @classmethod
    def cut(cls, fitted: pd.DataFrame, judged: pd.DataFrame, data: DataParams) -> "FirstRows":
        """With the view of the rows to fit on."""
        view = FeatureView.learn(fitted, data)
        numbers = view.matrix(fitted), view.actual(fitted), view.matrix(judged), view.actual(judged)
        return cls(fitted, judged, view, *numbers)

    def of(self, names: Collection[str]) -> "FirstRows":
        """The same rows with these features only."""
        columns = [column for column, name in enumerate(self.view.features) if name in names]
        features = {name: kind for name, kind in self.view.features.items() if name in names}
        levels = {name: levels for name, levels in self.view.levels.items() if name in names}
        view = replace(self.view, features=features, levels=levels)
        return replace(self, view=view, matrix=self.matrix[:, columns], newest=self.newest[:, columns])

    def fit(self, task: FitTask, held: np.ndarray | None = None) -> FittedModel:
        """A model of all fitted rows, or of all but those `held` back, which say when to stop."""
        fitted = slice(None) if held is None else np.setdiff1d(np.arange(len(self.matrix)), held)
        stop = None if held is None else (self.matrix[held], self.actual[held])
        task = replace(task, stop=stop, patience=PATIENCE)
        return MODELS["gbm"].fit(self.view, self.matrix[fitted], self.actual[fitted], task)

    def first_model(self, *, loss: str, seed: int, threads: int) -> Model:
        """As a run does: rounds from rows held back, then all rows. What is newest may matter most."""
        task = FitTask(loss, MODEL, ROUNDS, seed, threads)
        _, held = keep_back(np.arange(len(self.matrix)), share=0.1)
        return self.fit(replace(task, rounds=max(self.fit(task, held).rounds, 1))).model


def first_rows(table: pd.DataFrame, data: DataParams, *, most_fitted: int, most_judged: int) -> FirstRows | None:
    """Cuts the newest quarter off; None where too little is left to fit or to judge.

    Args:
        table: Labelled rows in order of time, with `_event` and `_due`.
    """
    judged = table.iloc[len(table) - min(int(len(table) * JUDGED), most_judged) :]
    fitted = table.iloc[: len(table) - len(judged)]
    fitted = fitted[fitted["_due"] <= judged["_event"].iloc[0]].iloc[-most_fitted:] if len(judged) else fitted
    if len(judged) < 8 or len(fitted) < 9 or fitted[data.target].nunique() < 2:
        return None
    return FirstRows.cut(fitted, judged, data)


@dataclass(frozen=True)
class FirstFit:
    """Losses of the newest rows, by a model and by what is simpler.

    Args:
        model: Loss of each by a quick model, shape (rows,), in order of time.
        others: The same by naive baselines, and by a `rule` of one tree with 8 leaves.
        gains: Share of the model's loss against each of them.
        bounds: What that gain lies above with the gate's confidence.
    """

    rows: int
    model: np.ndarray
    others: dict[str, np.ndarray]
    gains: dict[str, float]
    bounds: dict[str, float]

    def naive_loss(self, floors: Sequence[str]) -> float | None:
        """Lowest mean loss of these naive baselines; None if none of them was fitted."""
        return min((float(self.others[name].mean()) for name in floors if name in self.others), default=None)

    @property
    def useless(self) -> list[str]:
        """The simpler ones that the model does not certainly beat."""
        return [name for name, low in self.bounds.items() if low <= 0]

    @property
    def hardest(self) -> str:
        """The simpler one that the model beats least surely."""
        return min(self.bounds, key=lambda name: self.bounds[name])


def first_fit(
    table: pd.DataFrame,
    data: DataParams,
    *,
    loss: str,
    season: TableSeason | None,
    confidence: float,
    seed: int,
    threads: int,
) -> FirstFit | None:
    """Fits on the older three quarters and judges on the rest; None where too little is left to do so.

    Args:
        table: Labelled rows in order of time, with `_event` and `_due`.
    """
    rows = first_rows(table, data, most_fitted=MOST_FITTED, most_judged=MOST_JUDGED)
    if rows is None:
        return None
    losses = partial(row_losses, loss, rows.truth)
    model = losses(rows.first_model(loss=loss, seed=seed, threads=threads).predict(rows.newest))
    others = {}
    if data.task != "multiclass":
        tree = rows.fit(FitTask(loss, RULE, 1, seed, threads)).model
        others["rule"] = losses(_by_leaf(tree, rows, loss))
    length, cells = (pd.Timedelta(season.span), season.cells) if season else (pd.Timedelta("1D"), 1)
    for name, baseline in baselines_of(data.task).items():
        if season is not None or name != "seasonal_mean":
            others[name] = losses(
                baseline(rows.view, rows.fitted, rows.judged, season=length, cells=cells, entity=data.series)
            )
    block = max(len(model) // 20, 1)
    gains, bounds = {}, {}
    for name, other in others.items():
        saved, base = other - model, float(other.mean()) or 1.0
        low = mean_bound(saved, confidence=confidence, block_rows=block, draws=DRAWS, seed=seed)
        gains[name], bounds[name] = float(saved.mean()) / base, low / base
    return FirstFit(len(model), model, others, gains, bounds)


def saves(fit: FirstFit, other: FirstFit, *, confidence: float, seed: int) -> bool:
    """Whether a model loses less than another on the same rows, with so much confidence."""
    saved = other.model - fit.model
    return mean_bound(saved, confidence=confidence, block_rows=max(len(saved) // 20, 1), draws=DRAWS, seed=seed) > 0


def _by_leaf(tree: Any, rows: FirstRows, loss: str) -> np.ndarray:
    """What one tree says as a rule: median, quantile or mean of each leaf, by the loss; of classes their share."""
    leaves, newest = (
        tree.booster.predict(x, pred_leaf=True).reshape(len(x), -1)[:, 0] for x in (rows.matrix, rows.newest)
    )
    level = 0.5 if loss == "mae" else float(loss.partition("@")[2] or 0)
    middle: Callable[[np.ndarray], Any] = partial(np.quantile, q=level) if level else np.mean
    usual, values = float(middle(rows.actual)), {}
    for leaf in np.unique(leaves):
        inside = rows.actual[leaves == leaf]
        # A share, or a mean count, starts from one row of the usual, so that no leaf is sure of what it has not seen.
        shrunk = (inside.sum() + usual) / (len(inside) + 1)
        values[leaf] = float(middle(inside) if level or loss == "mse" else shrunk)
    return np.array([values.get(leaf, usual) for leaf in newest])


def _words(name: str) -> str:
    return name.replace("_", " ")


def worth_notes(
    fit: FirstFit | None,
    *,
    loss: str,
    confidence: float,
    unsure: Collection[str] = (),
    without: FirstFit | None = None,
) -> list[TableNote]:
    """Whether a model is the right tool, in sentences.

    Args:
        unsure: Columns that may be known only after the event.
    """
    if fit is None:
        seen = "unknown: too few labelled rows for a first model in order of time"
        return [TableNote(WORTH, "", seen, "land more labelled rows", "warn")]
    gains = {
        name: f"{gain:z.1%} (above {fit.bounds[name]:z.1%} with {confidence:.0%} confidence)"
        for name, gain in fit.gains.items()
    }
    naive = [name for name in fit.useless if name != "rule"]
    if naive:
        lowest = min(fit.others, key=lambda name: float(fit.others[name].mean()))
        done = f"a model is the wrong tool unless that changes (lowest loss: {_words(lowest)})."
        best = min(naive, key=lambda name: fit.gains[name])
        how = "does as well" if fit.gains[best] > 0 else "does better"
        seen = f"the naive {_words(best)} {how}: a first model gains {gains[best]} over it in {loss}"
        if "mean" in naive and fit.gains["mean"] <= 0.005:
            seen = f"no signal beyond chance: a first model gains {gains['mean']} over the mean in {loss}"
        return [TableNote(WORTH, "", f"no: {seen}", done + GATE, "warn")]
    if "rule" in fit.useless:
        seen = f"no: one rule of at most 8 cases does as well: a first model gains {gains['rule']} over it in {loss}"
        done = f"a rule may be the better tool, because people can read it.{GATE}"
        return [TableNote(WORTH, "", seen, done, "warn")]
    seen = f"a first model on the {fit.rows} newest rows: {loss} {fit.model.mean():.4g}, gain over the "
    seen += f"{_words(fit.hardest)} {gains[fit.hardest]}"
    if not unsure:
        return [TableNote(WORTH, "", f"yes: {seen}", "a model is worth training")]
    left = "unknown, as no feature is left that a first model can use"
    if without is not None:
        answer, gain = "no" if without.useless else "yes", without.gains[without.hardest]
        left = f"{answer}, {loss} {without.model.mean():.4g}, gain over the {_words(without.hardest)} {gain:z.1%}"
    seen = f"only if {', '.join(unsure)} is known before the event: {seen}"
    return [TableNote(WORTH, "", seen, f"without: {left}", "warn")]
