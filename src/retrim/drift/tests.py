"""The drift tests of a single column, which is counted in cells (see `cells`): numeric, categorical, missing values.

Every test is 0 for a window against itself. It is finite for constant, all-missing and infinite columns, and the order
of rows does not matter. It takes one pair of windows or many at once: rows of shape (..., cells + 1). A window without
rows is an EmptyWindowError.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from retrim.drift.cells import Counts, merged, pair, shares, xlogy
from retrim.stats.plugins import PluginRegistry, Several


@dataclass(frozen=True)
class DriftResult:
    """One test of one column in two windows, or in many pairs of windows at once; every number is finite."""

    statistic: np.ndarray  # the test's own statistic, a number for each pair of windows, shape (...)
    # how far the windows are apart, 0 or more, whatever their sizes; thresholds are on this. Shape (...)
    effect: np.ndarray
    # between 0 and 1, shape (...), for rows that know nothing of one another; None where the test has none, and where
    # it is left to calibration
    p_value: np.ndarray | None


DriftTest = Callable[..., DriftResult]  # (reference: Counts, current: Counts, *, its arguments in params.yaml)

# A test is registered with two facts. `column`: "numeric", "categorical" or "any".
# `sees`: "shape" (any change of the distribution), "missing" or "new" (categories).
DRIFT_TESTS: PluginRegistry[DriftTest] = PluginRegistry("drift test")


def stability(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Population stability index in nats; a cell empty in both windows says nothing: (..., cells) to (...)."""
    half = np.where(old + new > 0, 0.5, 0.0)
    p, q = shares(old + half), shares(new + half)
    return np.asarray((xlogy(q, q) - xlogy(q, p) + xlogy(p, p) - xlogy(p, q)).sum(axis=-1)).clip(min=0.0)


@DRIFT_TESTS.register("psi", column="numeric", sees="shape")
def psi(reference: Counts, current: Counts, *, cells: Several) -> DriftResult:
    """Population stability index of `current` against `reference`.

    Cells are quantiles of the reference alone, so they stay put while the current window moves.
    Missing values are a cell of their own, and so is a value that spans a whole cell or more: a
    constant column that moves, either way, has drifted.

    Returns:
        Statistic and effect: PSI in nats, 0 or more. The p-value is left to calibration.

    Source:
        Wu and Olson (2010), J. Oper. Res. Soc. 61(2), 179-190. Unlike the source,
        a cell seen in either window starts at half a row, so PSI stays finite.
    """
    value = stability(*pair(merged(reference, cells=cells), merged(current, cells=cells)))
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

    Source:
        Smirnov (1939), Bull. Moscow Univ. 2(2), 3-14.
    """
    from scipy.special import kolmogorov

    old, new = (rows[..., :-1] for rows in pair(reference, current))
    n, m = old.sum(axis=-1), new.sum(axis=-1)
    apart = np.abs(np.cumsum(shares(old), axis=-1) - np.cumsum(shares(new), axis=-1)).max(axis=-1)
    known = (n > 0) & (m > 0)
    distance = np.where(known, apart, np.where((n > 0) != (m > 0), 1.0, 0.0))
    weight = np.sqrt(np.divide(n * m, n + m, out=np.zeros_like(n * m), where=n + m > 0))
    return DriftResult(distance, distance, np.where(known, kolmogorov(weight * distance), 1.0))


@DRIFT_TESTS.register("chi2", column="categorical", sees="shape")
def chi2(reference: Counts, current: Counts) -> DriftResult:
    """Chi-squared test that two windows share one distribution over categories.

    The reference is a sample like the current window, not an exact distribution: taking it as
    exact flags far more often than the p-value says. Missing is a category of its own, and all
    categories that the reference did not have are one.

    Returns:
        Statistic: chi-squared, 0 or more. Effect: total variation, 0 to 1, the share of rows that
        would have to change category. (Cramer's V is not used: it shrinks as the reference outgrows
        the current window.) The p-value is approximate where a category is expected fewer than 5 times, and 1 where
        only one category is seen.

    Source:
        Pearson (1911), Biometrika 8(1/2), 250-254.
    """
    from scipy.special import chdtrc

    old, new = pair(reference, current)
    n, m, both = old.sum(axis=-1, keepdims=True), new.sum(axis=-1, keepdims=True), old + new
    parts = [
        np.divide((rows - expected) ** 2, expected, out=np.zeros_like(both), where=expected > 0).sum(axis=-1)
        for rows, expected in ((old, both * (n / (n + m))), (new, both * (m / (n + m))))
    ]
    statistic, freedom = np.asarray(parts[0] + parts[1]), (both > 0).sum(axis=-1) - 1
    total_variation = np.asarray(np.abs(shares(old) - shares(new)).sum(axis=-1) / 2)
    p_value = np.where(freedom > 0, chdtrc(np.maximum(freedom, 1), statistic), 1.0)
    return DriftResult(statistic, total_variation, p_value)


@DRIFT_TESTS.register("psi_categories", column="categorical", sees="shape")
def psi_categories(reference: Counts, current: Counts) -> DriftResult:
    """Population stability index over categories. Missing is a category, and so are all unseen ones together.

    A new or vanished category counts as half a row where it is not seen, so it weighs what its share
    in the other window does, and PSI stays finite. All else is as for `psi`.
    """
    value = stability(*pair(reference, current))
    return DriftResult(statistic=value, effect=value, p_value=None)


@DRIFT_TESTS.register("new_categories", column="categorical", sees="new")
def new_categories(reference: Counts, current: Counts) -> DriftResult:
    """Share of rows in the current window whose category does not occur in the reference window.

    Where categories are hashed, one that falls into a bucket with a known one is not seen.

    Returns:
        Statistic: rows. Effect: their share, 0 to 1. The p-value is left to calibration.
    """
    old, new = pair(reference, current)
    rows = np.where(old > 0, 0.0, new)[..., :-1].sum(axis=-1)
    return DriftResult(rows, rows / new.sum(axis=-1), None)


@DRIFT_TESTS.register("missing_share", column="any", sees="missing")
def missing_share(reference: Counts, current: Counts) -> DriftResult:
    """Tests whether more or fewer values are missing than before. Infinities are not missing.

    Returns:
        Statistic: z of the two-proportion test with pooled variance, above 0 when more
        are missing now. Effect: the absolute difference of the shares, 0 to 1. The
        p-value is two-sided; 1 where nothing, or everything, is missing in both.
    """
    from scipy.special import ndtr

    old, new = pair(reference, current)
    n, m = old.sum(axis=-1), new.sum(axis=-1)
    difference = shares(new)[..., -1] - shares(old)[..., -1]
    pooled = (old[..., -1] + new[..., -1]) / (n + m)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    z = np.divide(difference, spread, out=np.zeros_like(spread), where=spread > 0)
    return DriftResult(statistic=z, effect=np.abs(difference), p_value=2 * ndtr(-np.abs(z)))
