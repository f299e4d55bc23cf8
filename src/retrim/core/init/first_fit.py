"""A quick model in order of time, against the naive floor, a rule, and chance: whether a model is the right tool."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.init.first_model import first_rows
from retrim.core.init.notes import Note
from retrim.core.init.rhythm import Season
from retrim.core.metrics import row_losses
from retrim.core.models.baseline import BASELINES
from retrim.core.resample import mean_bound
from retrim.core.table import DataParams

MOST_FITTED, MOST_JUDGED = 50_000, 20_000
RULE = {
    "num_leaves": 8,
    "learning_rate": 1.0,
    "min_child_samples": 20,
    "feature_fraction": 1.0,
    "bagging_fraction": 1.0,
}
DRAWS = 1000
LOOK_BACK = " The model sees no earlier values of the target; to give it those known by then: --ahead SPAN."


@dataclass(frozen=True)
class FirstFit:
    """Losses of the newest rows, by a model and by what is simpler.

    Args:
        rows: Judged rows.
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

    @property
    def useless(self) -> list[str]:
        """The simpler ones that the model does not certainly beat."""
        return [name for name, low in self.bounds.items() if low <= 0]


def first_fit(
    table: pd.DataFrame,
    data: DataParams,
    *,
    loss: str,
    season: Season | None,
    confidence: float,
    seed: int,
    threads: int,
) -> FirstFit | None:
    """Fits on the older three quarters and judges on the rest; None where too little is left to do so.

    Args:
        table: Labelled rows in order of time, with `_event` and `_due`.
        data: What the table is.
        loss: Per-row loss.
        season: Of the target.
        confidence: Of the gate's bound.
        seed: Same seed, same answer.
        threads: For LightGBM.
    """
    rows = first_rows(table, data, most_fitted=MOST_FITTED, most_judged=MOST_JUDGED)
    if rows is None:
        return None
    view, fitted, judged, truth = rows.view, rows.fitted, rows.judged, rows.truth

    def losses(predicted: np.ndarray) -> np.ndarray:
        return row_losses(loss, truth, predicted)

    model = losses(rows.first_model(loss=loss, seed=seed, threads=threads).predict(rows.asked))
    others = {}
    if data.task != "multiclass":
        tree = rows.fit(loss=loss, hyperparameters=RULE, rounds=1, seed=seed, threads=threads).model
        others["rule"] = losses(_by_leaf(tree, rows.matrix, rows.actual, rows.asked, loss=loss))
    length, cells = (pd.Timedelta(season.span), season.cells) if season else (pd.Timedelta("1D"), 1)
    for entry in BASELINES:
        if data.task in entry.facts["tasks"] and (season is not None or entry.name != "seasonal_mean"):
            others[entry.name] = losses(
                entry.value(view, fitted, judged, season=length, cells=cells, entity=data.series)
            )
    block = max(len(judged) // 20, 1)
    gains, bounds = {}, {}
    for name, other in others.items():
        saved = other - model
        base = float(other.mean()) or 1.0
        low = mean_bound(saved, confidence=confidence, block_rows=block, draws=DRAWS, seed=seed)
        gains[name], bounds[name] = float(saved.mean()) / base, low / base
    return FirstFit(len(judged), model, others, gains, bounds)


def _by_leaf(tree: Any, fitted: np.ndarray, actual: np.ndarray, judged: np.ndarray, *, loss: str) -> np.ndarray:
    """What one tree says as a rule: median, quantile or mean of each leaf, by the loss; of classes their share."""
    own, asked = (tree.booster.predict(rows, pred_leaf=True).reshape(len(rows), -1)[:, 0] for rows in (fitted, judged))
    level = 0.5 if loss == "mae" else float(loss.partition("@")[2] or 0)
    middle: Callable[[np.ndarray], Any] = partial(np.quantile, q=level) if level else np.mean
    usual = float(middle(actual))
    # A share, or a mean count, starts from one row of the usual, so that no leaf is sure of what it has not seen.
    said = {
        leaf: float(middle(actual[own == leaf]))
        if level or loss == "mse"
        else float((actual[own == leaf].sum() + usual) / ((own == leaf).sum() + 1))
        for leaf in np.unique(own)
    }
    return np.array([said.get(leaf, usual) for leaf in asked])


def _words(name: str) -> str:
    return name.replace("_", " ")


def _what_the_gate_asks(fit: FirstFit, *, judge_rows: int, floors: Sequence[str]) -> str:
    """How a verdict of the gate on the newest of these rows can be another, and what this model gains there."""
    rows = min(judge_rows, fit.rows)
    model = float(fit.model[-rows:].mean())
    there = [name for name in floors if name in fit.others]
    gains = [1 - model / (float(fit.others[name][-rows:].mean()) or 1.0) for name in there]
    said = ", ".join(f"{gain:.1%} over the {_words(name)}" for name, gain in zip(there, gains, strict=True))
    asked = " and the ".join(_words(name) for name in floors)
    return (
        f"That is said of one quick fit and the {fit.rows} newest rows. The gate asks another question: does a "
        f"searched model, fitted up to there, beat the {asked} on the newest {rows} (this one gains {said})? "
        "It may promote, and both are true"
    )


def worth_notes(
    fit: FirstFit | None,
    *,
    loss: str,
    confidence: float,
    judge_rows: int,
    floors: Sequence[str],
    looks_back: bool,
) -> list[Note]:
    """Whether a model is the right tool, in sentences.

    Args:
        fit: The first model; None: there was none.
        loss: By which it is judged.
        confidence: Of the bounds.
        judge_rows: Rows by which the gate will judge.
        floors: Baselines that it will ask a model to beat.
        looks_back: Whether features of the past could be asked for, and were not.
    """
    if fit is None:
        return [
            Note(
                "wrong tool",
                "",
                "too few labelled rows for a first model in order of time",
                "nothing is known of what a model would be worth",
                "warn",
            )
        ]
    naive = [name for name in fit.useless if name != "rule"]
    said = {
        name: f"{fit.gains[name]:.1%} (above {fit.bounds[name]:.1%} with {confidence:.0%} confidence)"
        for name in fit.gains
    }
    if naive:
        back = LOOK_BACK if looks_back and "last_value" in naive else ""
        best = min(fit.others, key=lambda name: float(fit.others[name].mean()))
        worst = min(naive, key=lambda name: fit.gains[name])
        if "mean" in naive and fit.gains["mean"] <= 0.005:
            seen = f"no signal beyond chance: a first model's {loss} gains {said['mean']} over the mean"
        else:
            how = "does as well" if fit.gains[worst] > 0 else "does better"
            seen = f"the naive {_words(worst)} {how}: a first model's {loss} gains {said[worst]} over it"
        return [
            Note(
                "wrong tool",
                "",
                seen,
                f"a model is the wrong tool until that changes (least loss: {_words(best)}).{back} "
                f"{_what_the_gate_asks(fit, judge_rows=judge_rows, floors=floors)}",
                "warn",
            )
        ]
    if "rule" in fit.useless:
        seen = f"one rule of at most 8 cases does as well: a first model's {loss} gains {said['rule']} over it"
        asked = _what_the_gate_asks(fit, judge_rows=judge_rows, floors=floors)
        return [Note("wrong tool", "", seen, f"a rule may be the better tool: it can be read. {asked}", "warn")]
    worst = min(fit.bounds, key=lambda name: fit.bounds[name])
    seen = (
        f"a first model on {fit.rows} newest rows: {loss} {fit.model.mean():.4g}, gain over the "
        f"{_words(worst)} {said[worst]}"
    )
    return [Note("worth", "", seen, "a model is worth making")]
