"""Drift tests of a numeric column, on counts in quantile cells of the reference (see `cells`).

Every test is 0 for a window against itself, is defined and finite for constant, all-missing
and infinite columns, and knows nothing of the order of rows. Each takes one pair of windows, or
many at once: rows of shape (..., cells + 1).
"""

import numpy as np

from retrim.core.drift.cells import Counts, NumericCells
from retrim.core.drift.divergence import jensen_shannon, stability
from retrim.core.drift.result import DRIFT_TESTS, DriftResult
from retrim.core.drift.shares import merged, pair, shares


@DRIFT_TESTS.register("psi", column="numeric", sees="shape")
def psi(reference: Counts, current: Counts, *, cells: int) -> DriftResult:
    """Population stability index of `current` against `reference`.

    Cells are quantiles of the reference alone, so they stay put while the current window moves.
    Missing values are a cell of their own, and so is a value that spans a whole cell or more: a
    constant column that moves, either way, has drifted.

    Args:
        reference: The reference window, or many.
        current: The current one, or many.
        cells: Cells of about equal share, 2 or more.

    Returns:
        Statistic and effect: PSI in nats, 0 or more; 0 for a window against itself.
        The p-value is left to calibration.

    Raises:
        EmptyWindowError: Either window has no rows.
        BadInputError: Fewer than 2 cells.

    Source:
        Wu and Olson (2010), J. Oper. Res. Soc. 61(2), 179-190. Unlike the source,
        a cell seen in either window starts at half a row, so PSI stays finite.
    """
    value = stability(*pair(merged(reference, cells=cells), merged(current, cells=cells)))
    return DriftResult(statistic=value, effect=value, p_value=None)


@DRIFT_TESTS.register("js", column="numeric", sees="shape")
def js(reference: Counts, current: Counts, *, cells: int) -> DriftResult:
    """Jensen-Shannon divergence; cells as for `psi`, missing values are one of their own.

    Args:
        reference: The reference window, or many.
        current: The current one, or many.
        cells: Cells of about equal share, 2 or more.

    Returns:
        Statistic and effect: the divergence in bits, 0 to 1. The p-value is left to calibration.

    Raises:
        EmptyWindowError: Either window has no rows.
        BadInputError: Fewer than 2 cells.

    Source:
        Lin (1991), IEEE Trans. Inf. Theory 37(1), 145-151; equal weights.
    """
    value = jensen_shannon(*pair(merged(reference, cells=cells), merged(current, cells=cells)))
    return DriftResult(statistic=value, effect=value, p_value=None)


@DRIFT_TESTS.register("ks", column="numeric", sees="shape")
def ks(reference: Counts, current: Counts) -> DriftResult:
    """Two-sample Kolmogorov-Smirnov test at the ends of the cells; missing values are dropped.

    Between two ends the distribution functions may lie further apart than at either, by at most
    the smaller of the two windows' shares of that cell: with 120 cells D is too small by at most 1/120
    (a heavier value has cells that end at it, and loses nothing).

    Returns:
        Statistic and effect: D, the largest distance between the two distribution functions, 0 to 1.
        The p-value is asymptotic: with ties, with cells and in small windows too large rather than too
        small. A column all missing on one side has D = 1, on both sides 0, and p = 1: `missing_share` sees it.

    Raises:
        EmptyWindowError: Either window has no rows.

    Source:
        Smirnov (1939), Bull. Moscow Univ. 2(2), 3-14.
    """
    from scipy.special import kolmogorov

    old, new = (rows[..., :-1] for rows in pair(reference, current))
    distance, known = _apart(old, new, np.abs(_distribution(old) - _distribution(new)).max(axis=-1))
    n, m = old.sum(axis=-1), new.sum(axis=-1)
    weight = np.sqrt(np.divide(n * m, n + m, out=np.zeros_like(n * m), where=n + m > 0))
    return DriftResult(distance, distance, np.where(known, kolmogorov(weight * distance), 1.0))


@DRIFT_TESTS.register("wasserstein", column="numeric", sees="shape")
def wasserstein(reference: Counts, current: Counts) -> DriftResult:
    """How far values moved on average: the first Wasserstein distance, in standard deviations of the reference.

    Each cell lies at the mean of its finite reference values, and what lies beyond the reference's range one
    standard deviation beyond it: how far beyond does not count. Missing values are dropped.

    Returns:
        Statistic and effect: standard deviations, 0 or more. A constant reference has none: a row that left it counts
        as one. A column all missing on one side is 1 apart, on both sides 0. The p-value is left to calibration.

    Raises:
        EmptyWindowError: Either window has no rows.

    Source:
        Vallender (1974), Theory Probab. Appl. 18(4), 784-786: the area between the distribution functions.
    """
    assert isinstance(reference.cells, NumericCells)
    old, new = (rows[..., :-1] for rows in pair(reference, current))
    area = np.abs(_distribution(old) - _distribution(new))[..., :-1] @ np.diff(reference.cells.places)
    distance, _ = _apart(old, new, area)
    return DriftResult(distance, distance, None)


def _distribution(rows: np.ndarray) -> np.ndarray:
    return np.cumsum(shares(rows), axis=-1)


def _apart(old: np.ndarray, new: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distance where both sides have values, 1 where one has none, 0 where neither has; whether both have."""
    has_old, has_new = old.sum(axis=-1) > 0, new.sum(axis=-1) > 0
    return np.where(has_old & has_new, distance, np.where(has_old != has_new, 1.0, 0.0)), has_old & has_new
