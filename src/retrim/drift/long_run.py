"""How far the mean of values that follow one another strays: autocovariances up to where a series forgets itself."""

from dataclasses import dataclass

import numpy as np

NEXT_LAGS = 5  # lags in a row that must be quiet before a series is taken to have forgotten
QUIET = 2.0  # a lag is quiet when its correlation is below this many times sqrt(log10(N) / N)
LEAST = 0.1  # of the spectrum of single values: the least that any frequency is given
LARGEST_CARRY = 0.97  # a series is never taken for a random walk


@dataclass(frozen=True)
class LongRun:
    """What `long_run` found of J series of N values."""

    carry: np.ndarray  # what each value takes over from the one before, shape (J,)
    # autocovariances of what is new in each value, of lag 0, 1, ..., by their weight, shape (lags, J)
    covariances: np.ndarray
    freedom: np.ndarray  # degrees of freedom that a variance made of them is worth, 1 or more, shape (J,)

    def variance(self, length: float) -> np.ndarray:
        """Variance of the sum of `length` values in a row, over `length`: 0 only where the series is constant, (J,).

        The spectrum, seen through a window of that length.
        """
        points = 256 if length < 32 else 2048
        length = min(max(length, 1.0), points / 8)  # beyond, longer stretches stray no more
        angle = np.pi * (np.arange(points) + 0.5) / points
        seen = (np.sin(length * angle / 2) / np.sin(angle / 2)) ** 2 / length
        lag = np.arange(1, len(self.covariances))
        new = self.covariances[0] + 2 * np.cos(np.outer(angle, lag)) @ self.covariances[1:]
        new = np.maximum(new, LEAST * self.covariances[0])
        carried = 1 + self.carry**2 - 2 * np.outer(np.cos(angle), self.carry)
        return np.asarray(seen @ (new / carried) / seen.sum())


def long_run(series: np.ndarray, families: np.ndarray) -> LongRun:
    """Autocovariances of J series up to the lag at which each has forgotten itself.

    What a value takes over from the one before is taken out first, and put back in the end: that is most of what
    there is where blocks are about as long as their memory. Series of one family are taken to carry over alike, as
    far as they do not show otherwise.

    Args:
        series: Around their means, in time order, shape (N, J).
        families: Number of the family of each series, shape (J,).

    Source:
        Kendall (1954), Biometrika 41, 403-404, what a correlation is low by; Andrews and Monahan (1992), Econometrica
        60(4), 953-966, taking out; Politis and Romano (1995), J. Time Series
        Analysis 16(1), 67-103: weight 1 up to the lag `m`, then falling to 0 at `2 m`, which leaves less bias than
        weights that fall at once.
    """
    n, wide = series.shape
    spread = autocovariance(series, 0)
    alone = autocovariance(series, 1) / np.where(spread > 0, spread, 1)
    carry, weight_alone = alone.copy(), np.ones(wide)
    for family in np.unique(families):
        mine = (families == family) & (spread > 0)
        carry[mine], weight_alone[mine] = drawn_together(alone[mine], error=1 / n**0.5)
    # Around its own mean a correlation is measured low. That of a series alone is left so: its larger error makes up.
    carry = np.clip(carry + (1 - weight_alone) * (1 + 3 * carry) / n, -LARGEST_CARRY, LARGEST_CARRY)
    new = np.concatenate([series[:1] * np.sqrt(1 - carry**2), series[1:] - carry * series[:-1]])
    lags = memory(new)
    most = min(2 * int(lags.max(initial=1)) - 1, n - 1)
    weights = np.clip(2 - np.arange(most + 1)[:, None] / lags, 0, 1)
    weights[1:2, lags == 1] = 0  # it is taken out already
    whole = (1 + np.maximum(carry, 0)) / (1 - np.maximum(carry, 0))
    freedom = np.maximum(n / (1 + 2 * weight_alone * whole + 2 * (weights[2:] ** 2).sum(axis=0)), 1.0)
    covariances = np.zeros((most + 1, wide))
    for lag in range(most + 1):
        heard = weights[lag] > 0
        covariances[lag, heard] = weights[lag, heard] * autocovariance(new[:, heard], lag)
    taken = n / np.maximum(n - np.maximum(n / freedom, whole), n / 2)  # the mean was taken from the same values
    return LongRun(carry, covariances * taken, freedom)


def drawn_together(values: np.ndarray, *, error: float) -> tuple[np.ndarray, float]:
    """Measures of one kind, drawn towards their mean as far as their errors alone could have parted them.

    None is moved by more than its error, so that the odd one out stays that.

    Returns:
        The drawn values, and the share of its variance that each keeps of its own, 1 / k to 1.

    Source:
        Efron and Morris (1972), JASA 67, 130-139: James's and Stein's estimator with limited translation.
    """
    k = len(values)
    if k < 4:
        return values, 1.0
    middle = values.mean()
    weight_alone = max(1 - (k - 3) * error**2 / max(float(((values - middle) ** 2).sum()), 1e-300), 1 / k)
    moved = np.clip((1 - weight_alone) * (middle - values), -error, error)
    return values + moved, weight_alone


def autocovariance(series: np.ndarray, lag: int) -> np.ndarray:
    """Sum of the products of values `lag` apart, over N whatever the lag, shape (J,)."""
    n = len(series)
    return np.asarray(np.einsum("nj,nj->j", series[: n - lag], series[lag:]) / n)


def memory(series: np.ndarray) -> np.ndarray:
    """The lag after which the correlations of each series stay quiet, at least 1, at most N / 4: (N, J) to (J,).

    Source:
        Politis (2003), J. Nonparametric Statistics 15, 703-718. Unlike there one lag is always looked at: a
        correlation too small to be seen in N values still widens the mean of many.
    """
    n, wide = series.shape
    most = max(min(n // 4, 10 * (int(np.log10(max(n, 2))) + 1)), 1)
    spread = autocovariance(series, 0)
    loud = np.zeros((most + NEXT_LAGS + 1, wide), dtype=bool)
    for lag in range(1, min(most + NEXT_LAGS, n - 1) + 1):
        loud[lag] = np.abs(autocovariance(series, lag)) > QUIET * np.sqrt(np.log10(n) / n) * spread
    forgotten = np.full(wide, most)
    for lag in range(most, 0, -1):
        forgotten[~loud[lag + 1 : lag + 1 + NEXT_LAGS].any(axis=0)] = lag
    return forgotten
