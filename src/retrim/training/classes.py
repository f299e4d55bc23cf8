"""Classes: weights while a model is fitted, chances corrected afterwards, and the threshold that makes a decision.

A fit on classes of equal weight gives chances as if they were equally frequent. With the shares of the training rows
they become those of the table again, so that log loss and calibration stay honest.
"""

import json
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from retrim.errors import RefusedError
from retrim.features.view import FeatureView, Matrix
from retrim.stats.codec import to_json
from retrim.stats.plugins import SettingsSection
from retrim.training.estimators import MODELS, FitTask, FittedModel, Link, Model, outputs

Balance = Literal["weights", "sample"]
FILE = "balance.json"
LEAST = 1e-12  # a chance below this counts as this where its logarithm is taken


def class_weights(actual: np.ndarray) -> np.ndarray:
    """Weight of each row, shape (n,): all classes that are there weigh alike, and the sum is the number of rows."""
    counts = np.bincount(actual)
    there = counts > 0
    return np.asarray(len(actual) / (there.sum() * counts[actual]))


def sampled(actual: np.ndarray, *, seed: int) -> np.ndarray:
    """Row numbers, ascending: all rows of the rarest class, and as many of every other, drawn without replacement."""
    counts = np.bincount(actual) if len(actual) else np.zeros(1, dtype="int64")
    least = int(counts[counts > 0].min(initial=len(actual)))
    draw = np.random.default_rng(seed)
    drawn = [draw.choice(np.flatnonzero(actual == code), least, replace=False) for code in np.flatnonzero(counts)]
    return np.sort(np.concatenate(drawn)) if drawn else np.empty(0, dtype="int64")


@dataclass(frozen=True)
class BalanceCorrected:
    """A model of classes that counted alike, with the chances that they have in the table.

    `shifts` are, by class, the logarithm of its share of the training rows less that of its share in the fit.

    Source:
        Elkan (2001), IJCAI 17, theorem 2; Saerens, Latinne and Decaestecker (2002), Neural Computation 14, 21-41,
        equation 2.4; for undersampling Dal Pozzolo et al. (2015), IEEE Symposium on Computational Intelligence,
        equation 4: chances times the ratio of the shares, made to sum to 1 again.
    """

    model: Model
    shifts: tuple[float, ...]

    @property
    def link(self) -> Link:
        return "log odds" if self.model.link in ("log odds", "chance") else "log shares"

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return outputs(self.scores(matrix), self.link)

    def files(self) -> dict[str, bytes]:
        return {**self.model.files(), FILE: to_json({"shifts": list(self.shifts)})}

    def gains(self) -> np.ndarray:
        return self.model.gains()

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        """Log odds or logarithms of shares; corrected, these only move by a constant."""
        if self.model.link in ("log odds", "log shares"):
            return np.asarray(self.model.scores(matrix) + self._moved)
        chances = np.clip(self.model.predict(matrix), LEAST, None)
        if chances.ndim == 2:
            return np.asarray(np.log(chances) + self._moved)
        return np.asarray(np.log(chances / np.clip(1 - chances, LEAST, None))[:, None] + self._moved)

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Those of the model, and the correction in the base value.

        Raises:
            RefusedError: It scores chances, of which the correction is no sum; or has no exact contributions itself.
        """
        if self.model.link not in ("log odds", "log shares"):
            raise RefusedError(
                "the model cannot be explained, because probabilities that are corrected for balanced classes have no "
                "exact contributions; to explain predictions, train a version without class balancing"
            )
        parts = self.model.contributions(matrix)
        parts[:, :, -1] += self._moved
        return parts

    @property
    def _moved(self) -> np.ndarray:
        """What is added to each score."""
        moved = np.array(self.shifts)
        return moved if self.link == "log shares" else moved[1:] - moved[:1]


def fit_balanced(
    model: str,
    balance: Balance | None,
    view: FeatureView,
    matrix: Matrix,
    actual: np.ndarray,
    task: FitTask,
) -> FittedModel:
    """A fit of a kind of model, with classes as they are or balanced."""
    kind = MODELS[model]
    if balance is None or not len(actual):
        return kind.fit(view, matrix, actual, task)
    weights, stop = task.weights, task.stop
    places = sampled(actual, seed=task.seed) if balance == "sample" else np.arange(len(actual))
    fit_weights = None if weights is None else weights[places]
    if balance == "weights":
        fit_weights = class_weights(actual) if fit_weights is None else fit_weights * class_weights(actual)
    if stop is not None and set(np.unique(stop[1])) == set(np.unique(actual)):
        watched = sampled(stop[1], seed=task.seed)
        stop = (stop[0][watched], stop[1][watched])
    fitted = kind.fit(view, matrix[places], actual[places], replace(task, weights=fit_weights, stop=stop))
    classes = max(len(view.classes), 2)
    known = np.ones(len(actual)) if weights is None else weights
    true = np.bincount(actual, weights=known, minlength=classes)
    held = np.bincount(actual[places], weights=fit_weights, minlength=classes)
    there = true > 0
    shifts = np.zeros(classes)
    shifts[there] = np.log(true[there] / true.sum()) - np.log(held[there] / held.sum())
    return FittedModel(BalanceCorrected(fitted.model, tuple(float(shift) for shift in shifts)), fitted.rounds)


def load_balanced(model: str, view: FeatureView, files: dict[str, bytes]) -> Model:
    """A stored model of a kind, corrected where it was fitted on balanced classes."""
    loaded = MODELS[model].load(view, files)
    if FILE not in files:
        return loaded
    return BalanceCorrected(loaded, tuple(map(float, json.loads(files[FILE])["shifts"])))


class ErrorCosts(SettingsSection):
    """What a wrong decision costs, in any unit: only the ratio moves the threshold."""

    false_positive: float = Field(gt=0, description="cost of selecting a negative row")
    false_negative: float = Field(gt=0, description="cost of not selecting a positive row")


class DecideParams(SettingsSection):
    """The threshold of a binary task, the same for every row."""

    threshold: Annotated[float, Field(gt=0, lt=1)] | ErrorCosts | None = Field(
        default=None,
        description=(
            "probability at or above which a row is selected; if the costs of errors are set instead, such as "
            "{false_positive: 1, false_negative: 5}, the cheapest threshold on backtest rows is used; null: no "
            "threshold"
        ),
    )


@dataclass(frozen=True)
class ChosenThreshold:
    """A threshold, and what deciding by it costs.

    Args:
        threshold: A row is selected from this probability on.
        cost: Mean cost of a backtest row by it.
        expected: The threshold that would be cheapest were probabilities exact ...
        expected_cost: ... and its mean cost.
    """

    threshold: float
    cost: float
    expected: float
    expected_cost: float
    rows: int


def threshold_of(scores: np.ndarray, actual: np.ndarray, decide: DecideParams) -> ChosenThreshold:
    """The threshold that the section asks for; it asks for one."""
    stated, expected = decide.threshold, 0.5
    assert stated is not None
    if isinstance(stated, ErrorCosts):
        return cheapest(scores, actual, false_positive=stated.false_positive, false_negative=stated.false_negative)
    cost, expected_cost = (
        cost_of(scores, actual, threshold, false_positive=1.0, false_negative=1.0) for threshold in (stated, expected)
    )
    return ChosenThreshold(stated, cost, expected, expected_cost, len(scores))


def cost_of(
    scores: np.ndarray, actual: np.ndarray, threshold: float, *, false_positive: float, false_negative: float
) -> float:
    """Mean cost of a row that is decided by a threshold."""
    selected = scores >= threshold
    return float(np.mean(false_positive * (selected & (actual == 0)) + false_negative * (~selected & (actual == 1))))


def cheapest(
    scores: np.ndarray, actual: np.ndarray, *, false_positive: float, false_negative: float
) -> ChosenThreshold:
    """The threshold with the least cost on these rows; of several the one nearest to what exact probabilities ask.

    Args:
        scores: Probabilities of rows that the model was not fitted on, shape (n,), n at least 1.
        actual: 0 or 1, shape (n,).

    Source:
        Elkan (2001), The foundations of cost-sensitive learning, IJCAI 17: of exact probabilities select from
        false_positive / (false_positive + false_negative). Sheng and Ling (2006), Thresholding for making classifiers
        cost-sensitive, AAAI 21: of others the cheapest on rows held back.
    """
    expected = false_positive / (false_positive + false_negative)
    ranked = np.unique(scores)
    between = (ranked[1:] + ranked[:-1]) / 2
    tried = np.unique(np.concatenate([[expected], between, [ranked[0] / 2, (1 + ranked[-1]) / 2]]))
    positive, negative = np.sort(scores[actual == 1]), np.sort(scores[actual == 0])
    missed = np.searchsorted(positive, tried, side="left")
    selected = len(negative) - np.searchsorted(negative, tried, side="left")
    costs = (false_negative * missed + false_positive * selected) / len(scores)
    best = np.flatnonzero(costs == costs.min())
    chosen = int(best[np.argmin(np.abs(tried[best] - expected))])
    at_expected = int(np.searchsorted(tried, expected))
    return ChosenThreshold(float(tried[chosen]), float(costs[chosen]), expected, float(costs[at_expected]), len(scores))
