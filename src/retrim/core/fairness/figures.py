"""A measure by group: fairlearn's figures, and draws of them from blocks over time."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from retrim.core.fairness.outcomes import Outcomes
from retrim.core.resample import block_means


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: blocks of rows that follow one another are drawn with replacement."""

    block_rows: int
    draws: int
    seed: int

    def block(self, rows: int) -> int:
        """Rows of a block: at most half of them, as one block has no spread."""
        return max(min(self.block_rows, rows // 2), 1)

    def widening(self, rows: int, confidence: float) -> float:
        """Factor by which a bootstrap's distance grows, as for a variance estimated from so few blocks."""
        from scipy.special import ndtri, stdtrit

        blocks = max(rows // self.block(rows), 2)
        return float(stdtrit(blocks - 1, confidence) / ndtri(confidence)) * float((blocks / (blocks - 1)) ** 0.5)


@dataclass(frozen=True)
class Figures:
    """One measure in each group of one column.

    Args:
        measure: Its name.
        groups: Their names, sorted.
        counts: Rows behind each figure, shape (groups,): for a false negative rate the positive ones.
        values: Shape (groups,); NaN where no row stands behind it.
        draws: Of the bootstrap, shape (draws, groups).
        floors: Standard errors that no interval falls below, shape (groups,).
    """

    measure: str
    groups: tuple[str, ...]
    counts: np.ndarray
    values: np.ndarray
    draws: np.ndarray
    floors: np.ndarray

    @cached_property
    def errors(self) -> np.ndarray:
        """Standard errors, shape (groups,)."""
        return np.asarray(np.maximum(self.draws.std(axis=0), self.floors))


def by_group(outcomes: Outcomes, groups: np.ndarray, names: tuple[str, ...]) -> dict[str, dict[str, float | None]]:
    """Every measure of every group, by fairlearn's MetricFrame: measure, then group; None where no row counts.

    Args:
        outcomes: Judged rows.
        groups: Group of each row, shape (n,).
        names: The groups wanted.

    Source:
        Weerts et al. (2023), Fairlearn: Assessing and Improving Fairness of AI Systems, JMLR 24(257), 1-8.
    """
    from fairlearn.metrics import MetricFrame, false_negative_rate, false_positive_rate, selection_rate
    from sklearn.metrics import mean_absolute_error, zero_one_loss

    decided: dict[str, Any] = {
        "selection_rate": selection_rate,
        "false_positive_rate": false_positive_rate,
        "false_negative_rate": false_negative_rate,
        "error_rate": zero_one_loss,
    }
    # A group may hold one class alone, from which fairlearn could not tell which of two labels is the positive one.
    rates = {name: _of_two(name, decided[name]) for name in outcomes.measures if name in decided}
    sizes: dict[str, Any] = {"mean_error": _mean_error, "mean_absolute_error": mean_absolute_error}
    sizes = {name: measure for name, measure in sizes.items() if name in outcomes.measures}
    found: dict[str, dict[str, float | None]] = {}
    for metrics, predicted in ((rates, outcomes.selected), (sizes, outcomes.predicted)):
        if not metrics:
            continue
        frame = MetricFrame(
            metrics=metrics, y_true=outcomes.actual, y_pred=predicted, sensitive_features=groups.astype(str)
        )
        for measure in metrics:
            column = frame.by_group[measure]
            weights = outcomes.parts(measure)[1]
            found[measure] = {name: float(column[name]) if weights[groups == name].any() else None for name in names}
    return found


def drawn(outcomes: Outcomes, groups: np.ndarray, names: tuple[str, ...], measure: str, how: Bootstrap) -> Figures:
    """One measure of every group with its bootstrap draws; all groups of a draw come from the same blocks.

    A rate that is 0 or 1 in all rows of a group has no spread to draw from, yet is not certain. So no
    standard error falls below that of a rate with one more row of either kind, or of a mean of rows alone.

    Source:
        Agresti and Caffo (2000), The American Statistician 54(4), 280-288, for the added rows.
    """
    values, weights = outcomes.parts(measure)
    rows, block = len(values), how.block(len(values))
    figures, draws, counts, floors = [], [], [], []
    for name in names:
        inside = (groups == name).astype("float64")
        top, bottom = values * inside, weights * inside
        count = float(bottom.sum())
        figure = float(top.sum() / count) if count else float("nan")
        tops, bottoms = (block_means(part, block_rows=block, draws=how.draws, seed=how.seed) for part in (top, bottom))
        draws.append(np.where(bottoms > 0, tops / np.where(bottoms > 0, bottoms, 1.0), figure))
        if measure in ("mean_error", "mean_absolute_error"):
            own = values[(inside * weights) > 0]
            floors.append(float(own.std() / max(len(own), 1) ** 0.5) if len(own) else float("nan"))
        else:
            smoothed = (float(top.sum()) + 1) / (count + 2)
            floors.append((smoothed * (1 - smoothed) / (count + 2)) ** 0.5)
        figures.append(figure)
        counts.append(int(count))
    assert rows
    return Figures(measure, names, np.array(counts), np.array(figures), np.column_stack(draws), np.array(floors))


def _mean_error(actual: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.mean(np.asarray(predicted) - np.asarray(actual)))


def _of_two(name: str, measure: Any) -> Any:
    if name == "selection_rate":
        return lambda actual, selected: measure(actual, selected, pos_label=1)
    if name == "error_rate":
        return measure
    return lambda actual, selected: measure(actual, selected, pos_label=1)
