"""When a probability becomes a decision: the section `decide` of params.yaml, and a threshold by what errors cost."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from retrim.stats.plugins import SettingsSection


class ErrorCosts(SettingsSection):
    """What a wrong decision costs, in any unit: only the ratio moves the threshold."""

    false_positive: float = Field(gt=0, description="cost of selecting a negative row")
    false_negative: float = Field(gt=0, description="cost of passing over a positive row")


class DecideParams(SettingsSection):
    """The threshold of a binary task, the same for every row."""

    threshold: Annotated[float, Field(gt=0, lt=1)] | ErrorCosts | None = Field(
        default=None,
        description=(
            "probability from which a row is selected; {false_positive: 1, false_negative: 5}: the cheapest on "
            "backtest rows where errors cost that; null: none is made"
        ),
    )

    @property
    def start(self) -> float:
        """The threshold of all rows together, from which thresholds by group begin."""
        return self.threshold if isinstance(self.threshold, float) else 0.5


@dataclass(frozen=True)
class ChosenThreshold:
    """A threshold, and what deciding by it costs.

    Args:
        threshold: A row is selected from this probability on.
        cost: Mean cost of a backtest row by it.
        expected: The threshold that would be cheapest were probabilities exact ...
        expected_cost: ... and its mean cost.
        rows: Backtest rows.
    """

    threshold: float
    cost: float
    expected: float
    expected_cost: float
    rows: int

    def as_record(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("threshold", "cost", "expected", "expected_cost", "rows")}


def threshold_of(scores: np.ndarray, actual: np.ndarray, decide: DecideParams) -> ChosenThreshold:
    """The threshold that the section asks for; it asks for one.

    Args:
        scores: As for `cheapest`.
        actual: Likewise.
        decide: The section.
    """
    assert decide.threshold is not None
    if isinstance(decide.threshold, ErrorCosts):
        return cheapest(
            scores,
            actual,
            false_positive=decide.threshold.false_positive,
            false_negative=decide.threshold.false_negative,
        )
    expected = 0.5
    by = [
        cost_of(scores, actual, threshold, false_positive=1.0, false_negative=1.0)
        for threshold in (decide.threshold, expected)
    ]
    return ChosenThreshold(decide.threshold, by[0], expected, by[1], len(scores))


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
        false_positive: Cost of selecting a negative row.
        false_negative: Cost of passing over a positive row.

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
    place = int(best[np.argmin(np.abs(tried[best] - expected))])
    own = int(np.searchsorted(tried, expected))
    return ChosenThreshold(float(tried[place]), float(costs[place]), expected, float(costs[own]), len(scores))
