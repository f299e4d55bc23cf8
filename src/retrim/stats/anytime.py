"""Evidence that may be looked at after every block and acted on at once: an e-process for the mean of a series.

A test that is looked at again and again passes in the end by luck alone. An e-process does not: under the null its
expectation stays at 1 or below however it is stopped, so it ever exceeds 1/alpha with probability alpha at most.

It takes the means of blocks, not rows: means of many rows are nearly normal whatever the rows are, and blocks that are
longer than errors stay alike hardly know each other. What is left of that is measured (the correlation of neighbours),
and the blocks count for fewer; the promise is exact for independent normal blocks and approximate beyond them.
"""

from dataclasses import dataclass, replace

import numpy as np

PRIOR = 1.0
"""Variance of the effect that the bets are spread over, in standard deviations of a number squared."""
PLACES, WEIGHTS = np.polynomial.legendre.leggauss(64)  # of the integral over w
ALIKE_AT_MOST = 0.9
ROUNDING = 1e-9
"""Numbers whose typical distance from the first is below this share of it are one number, written with rounding."""
LEAST = 2.0  # numbers that do not know each other: one has no spread to hold it against
BISECTIONS = 60


@dataclass(frozen=True)
class RunningSums:
    """Sums of a series of numbers, of constant size, from which its evidence is computed.

    Distances are taken from the first number: those of a series that never changes are 0 and not what rounding left.

    Args:
        count: Numbers so far.
        first: First number.
        last: Last number.
        total: Sum of the distances from the first number.
        squares: Sum of the squared distances.
        neighbours: Sum of the products of each distance and the one before it.
    """

    count: int
    first: float
    last: float
    total: float
    squares: float
    neighbours: float

    @classmethod
    def empty(cls) -> "RunningSums":
        return cls(0, 0.0, 0.0, 0.0, 0.0, 0.0)

    def plus(self, value: float) -> "RunningSums":
        """The sums with one more number."""
        if not self.count:
            return RunningSums(1, value, value, 0.0, 0.0, 0.0)
        distance = value - self.first
        return replace(
            self,
            count=self.count + 1,
            last=value,
            total=self.total + distance,
            squares=self.squares + distance * distance,
            neighbours=self.neighbours + distance * (self.last - self.first),
        )

    @property
    def mean(self) -> float:
        """0 where there is none yet."""
        return self.first + self.total / self.count if self.count else 0.0

    @property
    def spread(self) -> float:
        """Sum of squared distances from the mean; 0 where only rounding sets the numbers apart."""
        if not self.count or self.squares <= self.count * (ROUNDING * self.first) ** 2:
            return 0.0
        return max(self.squares - self.total**2 / self.count, 0.0)

    @property
    def alike(self) -> float:
        """Correlation of neighbours, from 0 to 0.9, leaning to the upper side as few numbers understate it.

        The estimate of n numbers is too low by about (1 + 3 r) / n (Kendall, 1954), which is added. Numbers that never
        change are as alike as can be: they do not show that the next one could not differ.
        """
        spread = self.spread
        if spread <= 0:
            return ALIKE_AT_MOST
        shift = self.total / self.count
        ends = 2 * self.total - (self.last - self.first)
        correlation = (self.neighbours - shift * ends + (self.count - 1) * shift**2) / spread
        correlation = max(correlation, 0.0)
        return float(min(correlation + (1 + 3 * correlation) / self.count, ALIKE_AT_MOST))


def log_evidence(sums: RunningSums, *, above: float) -> float:
    """Logarithm of the e-process against "the mean is `above` or less"; 0 below two numbers.

    A bet on the mean lying above by delta standard deviations is worth, after n numbers,
    exp(-n delta^2 / 2) E[exp(w delta r)] with w chi-distributed on n degrees of freedom, r the sum over the root of the
    sum of squares: it does not depend on the unknown standard deviation. It is averaged over delta, half-normal
    with variance `PRIOR`. Numbers as alike as these are count for fewer: for n (1 - r) / (1 + r) that are not.

    Source:
        Lai (1976), Annals of Statistics 4(2), the test; Wang and Ramdas (2024), Anytime-valid t-tests and confidence
        sequences for Gaussian means with unknown variance; Perez-Ortiz et al. (2024), E-statistics, group invariance
        and anytime-valid testing. Counting for fewer is ours: measured by simulation, not proved.
    """
    n = sums.count * (1 - sums.alike) / (1 + sums.alike)
    if n < LEAST:
        return 0.0
    spread = sums.spread * n / sums.count
    return float(_log_evidence(np.array([n]), np.array([n * (sums.mean - above)]), np.array([spread]))[0])


def _log_evidence(n: np.ndarray, total: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """The same for several series, each `LEAST` numbers or more: their sums, and squared distances from their means."""
    from scipy.special import gammaln, log_ndtr

    squares = total * total / n + spread
    ratio = np.divide(total, np.sqrt(squares), out=np.zeros_like(total), where=squares > 0)
    share = ratio * ratio * PRIOR / (1 + n * PRIOR)  # below 1, as ratio squared is n at most
    middle, width = np.sqrt((n - 1) / (1 - share)), 8 / np.sqrt(2 * (1 - share))
    low, high = np.maximum(middle - width, 1e-12), middle + width
    w = ((low + high) / 2)[:, None] + ((high - low) / 2)[:, None] * PLACES
    tilt = np.sign(ratio) * np.sqrt(share)
    logs = (n - 1)[:, None] * np.log(w) - w * w * (1 - share)[:, None] / 2 + log_ndtr(w * tilt[:, None])
    weighted = logs + np.log(WEIGHTS * ((high - low) / 2)[:, None])
    summed = np.logaddexp.reduce(weighted, axis=1)  # scipy's logsumexp takes the whole three times as long
    chi = (n / 2 - 1) * np.log(2) + gammaln(n / 2)
    return np.asarray(summed - chi + np.log(2) - np.log1p(n * PRIOR) / 2)


def log_evidence_since(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The logarithm of `log_evidence` against "the mean is 0 or less" of `values[start:]`, for each start: (k,)."""
    n = len(values)
    moved = values - values[0]
    count = (n - starts).astype("float64")
    totals, squares = (np.concatenate([[0.0], np.cumsum(series)]) for series in (moved, moved**2))
    products = np.concatenate([[0.0, 0.0], np.cumsum(moved[1:] * moved[:-1])])
    total = totals[n] - totals[starts]
    mean = total / count
    spread = np.maximum(squares[n] - squares[starts] - total**2 / count, 0.0)
    spread[spread <= count * (ROUNDING * np.abs(values).max()) ** 2] = 0.0
    neighbours = products[n] - products[np.minimum(starts + 1, n)]
    ends = 2 * total - moved[starts] - moved[-1]
    correlation = neighbours - mean * ends + (count - 1) * mean**2
    correlation = np.maximum(np.divide(correlation, spread, out=np.ones(len(starts)), where=spread > 0), 0.0)
    alike = np.minimum(correlation + (1 + 3 * correlation) / count, ALIKE_AT_MOST)
    left = count * (1 - alike) / (1 + alike)
    enough, logs = left >= LEAST, np.zeros(len(starts))
    if enough.any():
        counted = left[enough]
        sums = counted * (mean[enough] + values[0])
        logs[enough] = _log_evidence(counted, sums, spread[enough] * counted / count[enough])
    return logs


def lower_bound(sums: RunningSums, *, alpha: float) -> float:
    """What the mean lies above with confidence 1 - alpha, at whatever moment one looks; minus infinity at first.

    The bounds of all moments together hold with that confidence (a confidence sequence).
    """
    wanted = -float(np.log(alpha))
    reach = float(np.sqrt(sums.spread)) + abs(sums.mean) or 1.0
    low, high = sums.mean - 1e3 * reach, sums.mean
    if not sums.count or log_evidence(sums, above=low) < wanted:
        return -float("inf")
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if log_evidence(sums, above=middle) >= wanted else (low, middle)
    return low
