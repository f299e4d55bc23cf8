"""Calibration by group: how far predicted chances lie from what came, and how far chance alone would put them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrim.core.fairness.figures import Bootstrap
from retrim.core.resample import block_means


@dataclass(frozen=True)
class Calibration:
    """The expected calibration error of some rows.

    Args:
        figure: Mean distance of predicted chance and share, over bins of equal rows, 0 to 1.
        by_chance: What a perfectly calibrated model would show on as many rows, on average: few rows look worse.
        interval: Of the figure.
    """

    figure: float
    by_chance: float
    interval: tuple[float, float]

    def as_record(self) -> dict[str, Any]:
        return {"figure": self.figure, "by_chance": self.by_chance, "interval": list(self.interval)}


def calibration(
    actual: np.ndarray, predicted: np.ndarray, *, bins: int, how: Bootstrap, confidence: float
) -> Calibration:
    """Expected calibration error of chances.

    Args:
        actual: 0 or 1, in time order, shape (n,), n at least 2.
        predicted: Chances, shape (n,).
        bins: Bins of equal rows; a bin keeps at least 10 rows.
        how: Blocks and draws.
        confidence: Of the interval, two-sided.

    Source:
        Naeini, Cooper and Hauskrecht (2015), AAAI 29: the error over bins. Its bias on few rows, which
        Roelofs et al. (2022), AISTATS 151, measure, is shown beside it and taken off the interval.
    """
    n = len(actual)
    order = np.argsort(predicted, kind="stable")
    cells = np.empty(n, dtype="int64")
    for place, part in enumerate(np.array_split(order, max(min(bins, n // 10), 1))):
        cells[part] = place
    count = int(cells.max()) + 1
    gaps = predicted - actual
    figure = _error(gaps, cells, count)
    generator = np.random.default_rng(how.seed)
    chance = generator.uniform(size=(min(how.draws, 200), n)) < predicted
    by_chance = float(np.mean([_error(predicted - each, cells, count) for each in chance.astype("float64")]))
    sums = np.column_stack(
        [
            block_means(gaps * (cells == cell), block_rows=how.block(n), draws=how.draws, seed=how.seed)
            for cell in range(count)
        ]
    )
    drawn = np.abs(sums).sum(axis=1)
    off = float(drawn.mean()) - figure  # draws add the noise of the rows once more
    low, high = (float(np.quantile(drawn, part)) - off for part in ((1 - confidence) / 2, (1 + confidence) / 2))
    return Calibration(figure, by_chance, (max(min(low, figure), 0.0), max(high, figure)))


def _error(gaps: np.ndarray, cells: np.ndarray, count: int) -> float:
    """Bins weighted by their rows: the sum of their absolute summed gaps over all rows."""
    return float(np.abs(np.bincount(cells, weights=gaps, minlength=count)).sum() / len(gaps))
