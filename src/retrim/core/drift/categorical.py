"""Drift tests of a category column, on counts of its categories (see `cells`), and of missing values.

What holds for the numeric tests holds here: 0 for a window against itself, finite always, one pair of windows or many.
"""

import numpy as np

from retrim.core.drift.cells import Counts
from retrim.core.drift.divergence import expected, jensen_shannon, stability, total_variation
from retrim.core.drift.result import DRIFT_TESTS, DriftResult
from retrim.core.drift.shares import pair, shares, xlogy


@DRIFT_TESTS.register("chi2", column="categorical", sees="shape")
def chi2(reference: Counts, current: Counts) -> DriftResult:
    """Chi-squared test that two windows share one distribution over categories.

    The reference is a sample like the current window, not an exact distribution: taking it as
    exact flags far more often than the p-value says. Missing is a category of its own, and all
    categories that the reference did not have are one.

    Returns:
        Statistic: chi-squared, 0 or more. Effect: total variation, 0 to 1, the share of rows that
        would have to change category. (Cramer's V is not used: it shrinks as the reference outgrows
        the current window.) The p-value is approximate where a category is expected fewer than 5 times.

    Raises:
        EmptyWindowError: Either window has no rows.

    Source:
        Pearson (1911), Biometrika 8(1/2), 250-254.
    """
    old, new = pair(reference, current)
    old_expected, new_expected, freedom = expected(old, new)
    parts = [
        np.divide((rows - wanted) ** 2, wanted, out=np.zeros_like(wanted), where=wanted > 0).sum(axis=-1)
        for rows, wanted in ((old, old_expected), (new, new_expected))
    ]
    statistic = np.asarray(parts[0] + parts[1])
    return DriftResult(statistic, total_variation(old, new), _upper_tail(statistic, freedom))


@DRIFT_TESTS.register("g", column="categorical", sees="shape")
def g(reference: Counts, current: Counts) -> DriftResult:
    """G test, the likelihood ratio of the same question as `chi2`; categories as there.

    Returns:
        Statistic: G, 0 or more: the Jensen-Shannon divergence in nats, windows weighed by their rows, times twice the
        rows. Effect and p-value as for `chi2`.

    Raises:
        EmptyWindowError: Either window has no rows.

    Source:
        Wilks (1935), Ann. Math. Statist. 6(4), 190-196.
    """
    old, new = pair(reference, current)
    old_expected, new_expected, freedom = expected(old, new)
    nats = xlogy(old, old) - xlogy(old, old_expected) + xlogy(new, new) - xlogy(new, new_expected)
    statistic = np.asarray(2 * nats.sum(axis=-1)).clip(min=0.0)
    return DriftResult(statistic, total_variation(old, new), _upper_tail(statistic, freedom))


@DRIFT_TESTS.register("psi_categories", column="categorical", sees="shape")
def psi_categories(reference: Counts, current: Counts) -> DriftResult:
    """Population stability index over categories; missing is one, and so are all that the reference did not have.

    A new or vanished category counts as half a row where it is not seen, so it weighs what its share
    in the other window does, and PSI stays finite.

    Returns:
        Statistic and effect: PSI in nats, 0 or more. The p-value is left to calibration.

    Raises:
        EmptyWindowError: Either window has no rows.

    Source:
        As for `psi`.
    """
    value = stability(*pair(reference, current))
    return DriftResult(statistic=value, effect=value, p_value=None)


@DRIFT_TESTS.register("js_categories", column="categorical", sees="shape")
def js_categories(reference: Counts, current: Counts) -> DriftResult:
    """Jensen-Shannon divergence over categories, as for `psi_categories`.

    Returns:
        Statistic and effect: the divergence in bits, 0 to 1. The p-value is left to calibration.

    Raises:
        EmptyWindowError: Either window has no rows.

    Source:
        As for `js`.
    """
    value = jensen_shannon(*pair(reference, current))
    return DriftResult(statistic=value, effect=value, p_value=None)


@DRIFT_TESTS.register("total_variation", column="categorical", sees="shape")
def variation(reference: Counts, current: Counts) -> DriftResult:
    """The share of rows that would have to change category; categories as for `chi2`.

    Returns:
        Statistic and effect: 0 to 1. The p-value is left to calibration.

    Raises:
        EmptyWindowError: Either window has no rows.

    Source:
        Levin and Peres (2017), Markov Chains and Mixing Times, 2nd ed., section 4.1.
    """
    value = total_variation(*pair(reference, current))
    return DriftResult(statistic=value, effect=value, p_value=None)


@DRIFT_TESTS.register("new_categories", column="categorical", sees="new")
def new_categories(reference: Counts, current: Counts) -> DriftResult:
    """How many rows of the current window have a category that the reference window does not.

    Where categories are hashed, one that falls into a bucket with a known one is not seen.

    Returns:
        Statistic: rows. Effect: their share, 0 to 1. The p-value is left to calibration.

    Raises:
        EmptyWindowError: Either window has no rows.
    """
    old, new = pair(reference, current)
    rows = np.where(old > 0, 0.0, new)[..., :-1].sum(axis=-1)
    return DriftResult(rows, rows / new.sum(axis=-1), None)


@DRIFT_TESTS.register("vanished_categories", column="categorical", sees="vanished")
def vanished_categories(reference: Counts, current: Counts) -> DriftResult:
    """How large a share of the reference had a category that the current window does not.

    A small window misses rare categories without any drift: read it beside the rows of the window.

    Returns:
        Statistic: categories that vanished. Effect: their share of the reference, 0 to 1. The p-value is
        left to calibration.

    Raises:
        EmptyWindowError: Either window has no rows.
    """
    old, new = pair(reference, current)
    gone = ((new == 0) & (old > 0))[..., :-1]
    share = np.where(gone, old[..., :-1], 0.0).sum(axis=-1) / old.sum(axis=-1)
    return DriftResult(gone.sum(axis=-1).astype("float64"), share, None)


@DRIFT_TESTS.register("missing_share", column="any", sees="missing")
def missing_share(reference: Counts, current: Counts) -> DriftResult:
    """Whether more, or fewer, values are missing than before. Infinities are not missing.

    Returns:
        Statistic: z of the two-proportion test with pooled variance, above 0 when more
        are missing now. Effect: the absolute difference of the shares, 0 to 1. The
        p-value is two-sided; 1 where nothing, or everything, is missing in both.

    Raises:
        EmptyWindowError: Either window has no rows.
    """
    from scipy.special import ndtr

    old, new = pair(reference, current)
    n, m = old.sum(axis=-1), new.sum(axis=-1)
    difference = shares(new)[..., -1] - shares(old)[..., -1]
    pooled = (old[..., -1] + new[..., -1]) / (n + m)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    z = np.divide(difference, spread, out=np.zeros_like(spread), where=spread > 0)
    return DriftResult(statistic=z, effect=np.abs(difference), p_value=2 * ndtr(-np.abs(z)))


def _upper_tail(statistic: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """P-value of a chi-squared statistic; 1 without a degree of freedom."""
    from scipy.special import chdtrc

    return np.where(freedom > 0, chdtrc(np.maximum(freedom, 1), statistic), 1.0)
