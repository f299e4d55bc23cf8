"""Block bootstrap: intervals for mean losses that follow one another in time, and the blocks drawn together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TAIL_DRAWS = 5  # draws that a quantile rests on, at least
AT_ONCE = 1 << 20  # blocks drawn together: those of all draws over many rows would fill the memory
MOST = 1000  # blocks, at most: more of them cost time and tell nothing


@dataclass(frozen=True)
class Resampling:
    """How uncertainty is drawn: blocks of rows that follow one another are drawn with replacement."""

    draws: int
    block_rows: int  # rows of a block
    seed: int  # same seed, same bounds


def block_size(rows: int, block_rows: int) -> int:
    """Rows of a block: at most half of them, as one block has no spread."""
    return max(min(block_rows, rows // 2), 1)


def count_blocks(rows: int, block_rows: int) -> int:
    """Whole blocks among rows, by which a variance is estimated: 2 or more."""
    return max(rows // block_size(rows, block_rows), 2)


def block_means(values: np.ndarray, *, block_rows: int, draws: int, seed: int) -> np.ndarray:
    """Means of `draws` series put together from blocks of `values`, drawn with replacement: shape (draws,).

    Args:
        values: In time order, shape (n,), n at least 1.
        block_rows: At most n is used. Long enough that rows further apart do not know each other.

    Source:
        Politis and Romano (1992), A circular block-resampling procedure for stationary data.
    """
    n = len(values)
    block = min(block_rows, n)
    count = -(-n // block)
    rng, at_once = np.random.default_rng(seed), max(AT_ONCE // count, 1)
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:block]]))])
    drawn = np.empty(draws)
    for first in range(0, draws, at_once):  # the same draws in any number of parts
        starts = rng.integers(0, n, size=(min(at_once, draws - first), count))
        drawn[first : first + at_once] = (sums[starts + block] - sums[starts]).sum(axis=1)
    return drawn / (count * block)


def mean_intervals(
    values: np.ndarray, confidences: Sequence[float], resampling: Resampling
) -> list[tuple[float, float]]:
    """What the mean lies above, and what it lies below, each with a confidence, one-sided.

    Few blocks see too little of their own spread: bare, the bootstrap of 7 to 14 blocks passed 7 to 10% of equal models
    at a nominal 5%, and one block has no spread at all. So its distances from the mean are widened as for a variance
    estimated from as many blocks, and a block is at most half of the rows. A tail that too few draws lie in is that of
    Student's t beyond the last one that is drawn.

    Args:
        values: In time order, shape (n,), n at least 1.
        confidences: Above 0.5, below 1.

    Returns:
        Low and high, a pair for each confidence.
    """
    from scipy.special import ndtri, stdtrit  # scipy.stats has them too, and takes half a second to import

    block, blocks = (size(len(values), resampling.block_rows) for size in (block_size, count_blocks))
    draws, middle = resampling.draws, float(values.mean())
    means = block_means(values, block_rows=block, draws=draws, seed=resampling.seed)
    intervals = []
    for confidence in confidences:
        shown = min(confidence, 1 - TAIL_DRAWS / draws) if draws > 2 * TAIL_DRAWS else confidence
        low, high = np.quantile(means, [1 - shown, shown])
        wider = float(stdtrit(blocks - 1, confidence) / ndtri(shown)) * (blocks / (blocks - 1)) ** 0.5
        intervals.append((float(middle - wider * (middle - low)), float(middle + wider * (high - middle))))
    return intervals


def mean_bound(values: np.ndarray, *, confidence: float, block_rows: int, draws: int, seed: int) -> float:
    """What the mean lies above with this confidence, one-sided: the lower end of `mean_intervals`."""
    ((low, _),) = mean_intervals(values, [confidence], Resampling(draws, block_rows, seed))
    return low


def error_parts(n: int, *, block_rows: int) -> list[np.ndarray]:
    """The row numbers that are taken together when the error of a mean over `n` rows is computed.

    Fewer than two blocks say nothing, so the rows themselves are the parts then.
    """
    count = n // block_rows
    return np.array_split(np.arange(n), count if count >= 2 else n)


def mean_error(values: np.ndarray, *, block_rows: int) -> float:
    """Standard error of the mean of a series in time order, from the spread of the means of its parts.

    It is 0 or more; infinite below 2 rows, where nothing is known.
    """
    n = len(values)
    if n < 2:
        return float("inf")
    alone = block_rows == 1 or n < 2 * block_rows  # each row is a part: many, and its mean is itself
    means = values if alone else np.array([values[part].mean() for part in error_parts(n, block_rows=block_rows)])
    return float(means.std(ddof=1) / np.sqrt(len(means)))


def ratio_interval(amounts: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """95% interval of a sum of amounts over a sum of weights, from how the two differ over a few stretches of time.

    Args:
        amounts: 0 or more, of 2 stretches or more; the sum is above 0.

    Source:
        Cochran (1977), Sampling Techniques, chapter 6; of the logarithm, as both sums are above 0, and with Student's
        t, as there are few stretches.
    """
    from scipy.special import stdtrit

    ratio = float(amounts.sum() / weights.sum())
    error = mean_error(amounts - ratio * weights, block_rows=1) / float(amounts.mean())
    factor = float(np.exp(stdtrit(len(amounts) - 1, 0.975) * error))
    return ratio / factor, ratio * factor


def block_of(n: int, *, block_rows: int) -> np.ndarray:
    """The block of each of `n` rows in time order, shape (n,): numbers from 0, at least 2 blocks where n allows it."""
    block = max(min(block_rows, n // 2), 1, -(-n // MOST))
    count = max(n // block, 1)
    return np.arange(n) * count // max(n, 1)


def block_sums(values: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """Sum of each column in each block: (n, k) and (n,) to (blocks, k)."""
    starts = np.flatnonzero(np.diff(blocks, prepend=-1))
    return np.asarray(np.add.reduceat(values, starts, axis=0))
