"""Drift tests of one column: two windows in, a statistic and an effect out.

Every test is 0 for a window against itself, is defined and finite for constant,
all-missing and infinite columns, and does not depend on the order of rows.
"""

import numpy as np
import pandas as pd

from retrim.core.drift.result import DRIFT_TESTS, DriftResult
from retrim.errors import BadInputError, EmptyWindowError


@DRIFT_TESTS.register("psi", column="numeric")
def psi(reference: pd.Series, current: pd.Series, *, cells: int) -> DriftResult:
    """Population stability index of `current` against `reference`.

    Cell edges are quantiles of `reference` alone, so they stay put while the
    current window moves. Missing values are a cell of their own, and so is a
    value that spans a whole cell or more: a constant column that moves, either
    way, has drifted. Infinities lie in the outermost cells.

    Args:
        reference: One numeric feature in the reference window, shape (n,).
        current: The same feature in the current window, shape (m,).
        cells: Quantile cells cut from `reference`, 2 or more.

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
    if cells < 2:
        raise BadInputError(f"psi: cells is {cells}; at least 2 are needed")
    _check_rows(reference, current)
    old, new = _floats(reference), _floats(current)
    cuts = _cuts(old[~np.isnan(old)], cells)
    value = _psi(_counts_in(old, cuts), _counts_in(new, cuts))
    return DriftResult(statistic=value, effect=value, p_value=None)


@DRIFT_TESTS.register("ks", column="numeric")
def ks(reference: pd.Series, current: pd.Series) -> DriftResult:
    """Two-sample Kolmogorov-Smirnov test; missing values are dropped.

    Returns:
        Statistic and effect: D, the largest distance between the two empirical
        distribution functions, 0 to 1. The p-value is asymptotic: with ties and in
        small windows too large rather than too small. A column all missing on one
        side has D = 1, on both sides 0, and no p-value.

    Raises:
        EmptyWindowError: Either window has no rows.
    """
    from scipy.stats import ks_2samp

    _check_rows(reference, current)
    old, new = (values[~np.isnan(values)] for values in (_floats(reference), _floats(current)))
    if len(old) == 0 or len(new) == 0:
        apart = float(len(old) != len(new))
        return DriftResult(statistic=apart, effect=apart, p_value=None)
    if len(old) == len(new) == 1:  # either order is equally likely; the asymptotic form divides by zero
        apart = float(old[0] != new[0])
        return DriftResult(statistic=apart, effect=apart, p_value=1.0)
    result = ks_2samp(old, new, method="asymp")
    return DriftResult(float(result.statistic), float(result.statistic), float(result.pvalue))


@DRIFT_TESTS.register("chi2", column="categorical")
def chi2(reference: pd.Series, current: pd.Series) -> DriftResult:
    """Chi-squared test that two windows share one distribution over categories.

    The reference is a sample like the current window, not an exact distribution:
    taking it as exact flags far more often than the p-value says. Missing is a
    category of its own.

    Returns:
        Statistic: chi-squared, 0 or more. Effect: total variation, 0 to 1, the
        share of rows that would have to change category. (Cramer's V is not used:
        it shrinks as the reference outgrows the current window.) The p-value is
        approximate where a category is expected fewer than 5 times.

    Raises:
        EmptyWindowError: Either window has no rows.

    Source:
        Pearson (1911), Biometrika 8(1/2), 250-254.
    """
    from scipy.stats import chi2_contingency

    _check_rows(reference, current)
    old, new = _counts_by_category(reference, current)
    apart = float(np.abs(old / old.sum() - new / new.sum()).sum() / 2)
    if len(old) < 2:
        return DriftResult(statistic=0.0, effect=0.0, p_value=1.0)
    result = chi2_contingency(np.stack([old, new]), correction=False)
    return DriftResult(float(result.statistic), apart, float(result.pvalue))


@DRIFT_TESTS.register("psi_categories", column="categorical")
def psi_categories(reference: pd.Series, current: pd.Series) -> DriftResult:
    """Population stability index over categories; missing is a category of its own.

    A new or vanished category counts as half a row where it is not seen, so it
    weighs what its share in the other window does, and PSI stays finite.

    Returns:
        Statistic and effect: PSI in nats, 0 or more. The p-value is left to calibration.

    Raises:
        EmptyWindowError: Either window has no rows.

    Source:
        As for `psi`.
    """
    _check_rows(reference, current)
    value = _psi(*_counts_by_category(reference, current))
    return DriftResult(statistic=value, effect=value, p_value=None)


@DRIFT_TESTS.register("missing_share", column="any")
def missing_share(reference: pd.Series, current: pd.Series) -> DriftResult:
    """Whether more, or fewer, values are missing than before. Infinities are not missing.

    Returns:
        Statistic: z of the two-proportion test with pooled variance, above 0 when more
        are missing now. Effect: the absolute difference of the shares, 0 to 1. The
        p-value is two-sided; 1 where nothing, or everything, is missing in both.

    Raises:
        EmptyWindowError: Either window has no rows.
    """
    from scipy.stats import norm

    _check_rows(reference, current)
    n, m = len(reference), len(current)
    old, new = int(reference.isna().sum()), int(current.isna().sum())
    pooled = (old + new) / (n + m)
    spread = np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    z = 0.0 if spread == 0 else float((new / m - old / n) / spread)
    return DriftResult(statistic=z, effect=abs(new / m - old / n), p_value=float(2 * norm.sf(abs(z))))


def _check_rows(reference: pd.Series, current: pd.Series) -> None:
    for name, window in (("reference", reference), ("current", current)):
        if len(window) == 0:
            raise EmptyWindowError(name)


def _floats(values: pd.Series) -> np.ndarray:
    return values.to_numpy(dtype=float, na_value=np.nan)


def _cuts(values: np.ndarray, cells: int) -> np.ndarray:
    """Upper ends, included, of all cells but the last; a value that spans a cell is cut off on both sides."""
    if len(values) == 0:
        return np.empty(0)
    # without interpolation, which has no answer between infinities
    ends = np.quantile(values, np.linspace(0, 1, cells + 1), method="inverted_cdf")
    heavy = ends[1:][ends[1:] == ends[:-1]]
    with np.errstate(over="ignore"):  # below the lowest number comes minus infinity, as it should
        below = np.nextafter(heavy, -np.inf)
    return np.unique(np.concatenate([ends[1:-1], heavy, below]))


def _counts_in(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Rows in each cell, the missing ones last."""
    missing = np.isnan(values)
    counts = np.bincount(np.searchsorted(cuts, values[~missing], side="left"), minlength=len(cuts) + 1)
    return np.append(counts, missing.sum())


def _counts_by_category(reference: pd.Series, current: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Rows of each category seen in either window, the missing ones last if there are any."""
    counts = []
    for window in (reference, current):
        seen = window.value_counts()
        counts.append({name: n for name, n in zip(seen.index.tolist(), seen.tolist(), strict=True) if n})
    names = sorted(counts[0].keys() | counts[1].keys(), key=str)
    old, new = (
        np.array([*(seen.get(name, 0) for name in names), window.isna().sum()])
        for seen, window in zip(counts, (reference, current), strict=True)
    )
    either = old + new > 0
    return old[either], new[either]


def _psi(old: np.ndarray, new: np.ndarray) -> float:
    """PSI of two rows of counts; a cell empty in both says nothing and is left out."""
    either = old + new > 0
    old, new = old[either] + 0.5, new[either] + 0.5
    p, q = old / old.sum(), new / new.sum()
    return float(np.sum((q - p) * np.log(q / p)))
