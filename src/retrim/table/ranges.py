"""Statistics of many ranges of one sequence at once; each rests on the values of its own range and on no other.

A running sum that takes rows in and puts them out again would be quicker, and would carry the rounding of a huge value
on after it has left. Here every range is put together from pieces of 1, 2, 4, ... of its own values.
"""

from collections.abc import Callable, Mapping

import numpy as np

Moments = tuple[np.ndarray, np.ndarray]
"""Mean, and sum of squares around it, of pieces of one size."""


def counts(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How many values each range `[low, high)` holds, as float64."""
    return np.asarray(high - low, dtype="float64")


def sums(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The sum of each range; NaN where it is empty."""
    return _put_together(values, low, high, np.add)


def means(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The mean of each range; NaN where it is empty."""
    return np.asarray(sums(values, low, high) / np.maximum(high - low, 1))


def minima(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The least value of each range; NaN where it is empty."""
    return _put_together(values, low, high, np.minimum)


def maxima(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The largest value of each range; NaN where it is empty."""
    return _put_together(values, low, high, np.maximum)


def newest(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The last value of each range; NaN where it is empty."""
    result = np.full(len(low), np.nan)
    there = high > low
    result[there] = values[high[there] - 1]
    return result


def deviations(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The standard deviation of each range (n - 1 in the denominator); NaN for fewer than 2 values.

    Source:
        Chan, Golub and LeVeque (1983), American Statistician 37(3), 242-247: how moments of two parts combine.
    """
    size = high - low
    mean, squares, held = np.zeros(len(low)), np.zeros(len(low)), np.zeros(len(low))
    at, piece, largest = low.copy(), 1, int(size.max(initial=0))
    level: Moments = (values, np.zeros(len(values)))
    while piece <= largest:
        taken = np.flatnonzero(size & piece)
        more_mean, more_squares = level[0][at[taken]], level[1][at[taken]]
        total = held[taken] + piece
        apart = more_mean - mean[taken]
        squares[taken] += more_squares + apart**2 * held[taken] * piece / total
        mean[taken] += apart * piece / total
        held[taken] = total
        at[taken] += piece
        if 2 * piece > largest:
            break
        first, second = (tuple(part[start : len(part) - piece + start] for part in level) for start in (0, piece))
        level = (
            first[0] / 2 + second[0] / 2,
            first[1] + second[1] + (second[0] - first[0]) ** 2 * (piece / 2),
        )
        piece *= 2
    result = np.full(len(low), np.nan)
    there = size > 1
    result[there] = np.sqrt(squares[there] / (size[there] - 1))
    return result


def _put_together(values: np.ndarray, low: np.ndarray, high: np.ndarray, join: np.ufunc) -> np.ndarray:
    """The values of each range joined, as float64; NaN where it is empty."""
    size = high - low
    result = np.full(len(low), np.nan)
    at, piece, level, largest = low.copy(), 1, values, int(size.max(initial=0))
    while piece <= largest:
        taken = np.flatnonzero(size & piece)
        more = level[at[taken]]
        first = at[taken] == low[taken]
        result[taken] = np.where(first, more, join(result[taken], more))
        at[taken] += piece
        if 2 * piece > largest:
            break
        level = join(level[: len(level) - piece], level[piece:])
        piece *= 2
    return result


STATISTICS: Mapping[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": means,
    "min": minima,
    "max": maxima,
    "std": deviations,
    "count": counts,
    "sum": sums,
    "last": newest,
}
"""By the name that params.yaml gives them. Each takes values and the ranges `[low, high)` of their places."""
