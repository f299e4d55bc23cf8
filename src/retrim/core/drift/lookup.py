"""Counting many numbers in cells fast: a grid of equal steps says which cell; near a cut, a comparison does."""

from dataclasses import dataclass

import numpy as np

STEPS = 1 << 14  # of a grid; its tables stay in the processor's second cache
PART = 1 << 16  # rows looked at together, so that what is in between stays there too
FEW_ROWS, FEW_CUTS = 1 << 15, 8  # up to which a grid does not pay
TRIMS = (0, 1, 2, 4, 8, 16, 32)  # cells left out at either end, so that a long tail does not take all steps


def count_between(values: np.ndarray, cuts: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Rows between cuts, and missing ones.

    Args:
        values: float64, missing as NaN, shape (n,).
        cuts: Upper ends, included, of all cells but the last; ascending, finite, shape (cells - 1,), 1 or more.
        shares: About which share of the rows each cell holds, shape (cells,). Changes the time it takes, nothing else.

    Returns:
        Rows of each cell, then the missing: int64, shape (cells + 1,).
    """
    grid = _grid(cuts, shares) if len(values) > FEW_ROWS and len(cuts) > FEW_CUTS else None
    counts = _searched(values, cuts) if grid is None else _looked_up(values, cuts, grid)
    missing = int(np.count_nonzero(np.isnan(values)))
    counts[-1] -= missing  # NaN is placed above everything
    return np.append(counts, missing)


@dataclass(frozen=True)
class _Grid:
    """Equal steps from `low` on.

    Values and cuts reach their steps by the same sums, which keep their order. So a cut in an earlier step is smaller
    than a value, one in a later step is not, and only those in its own step are compared.
    """

    low: float
    scale: float
    step_of_cut: np.ndarray

    def steps(self, values: np.ndarray) -> np.ndarray:
        """The step of each value, NaN in the last: int32, shape (n,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            place = values - self.low
            place *= self.scale
            place += 1
        np.fmin(place, STEPS - 1, out=place)
        np.fmax(place, 0, out=place)
        return place.astype("int32")


def _grid(cuts: np.ndarray, shares: np.ndarray) -> _Grid | None:
    """The grid that leaves the fewest rows to compare; None where no cuts are apart enough for one."""
    best, least = None, 2.0
    for trim in TRIMS:
        if len(cuts) - 1 - 2 * trim < 1:
            break
        low, high = float(cuts[trim]), float(cuts[-1 - trim])
        with np.errstate(over="ignore"):
            scale = (STEPS - 3) / (np.float64(high) - low)
        if not (np.isfinite(scale) and scale > 0):
            continue
        grid = _Grid(low, float(scale), np.empty(0))
        steps = grid.steps(cuts)
        wide = np.maximum(np.diff(steps, prepend=0, append=STEPS - 1), 1)
        cell = np.arange(len(shares))
        beyond = (cell <= trim) | (cell >= len(cuts) - trim)
        left = float(np.where(beyond, shares, shares / wide).sum())
        if left < least:
            best, least = _Grid(low, float(scale), steps), left
    return best


def _searched(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(cuts, values, side="left"), minlength=len(cuts) + 1).astype("int64")


def _looked_up(values: np.ndarray, cuts: np.ndarray, grid: _Grid) -> np.ndarray:
    of_cut = grid.step_of_cut
    before = np.searchsorted(of_cut, np.arange(STEPS), side="left")  # cuts in earlier steps
    within = np.bincount(of_cut, minlength=STEPS)
    within[[0, -1]] = 3  # the outermost hold what lies far out, and NaN
    marked = within > 0
    ends = np.append(cuts, [np.inf, np.inf])
    first, second = ends[before], np.where(within > 1, ends[before + 1], np.inf)
    plain = np.zeros(STEPS, dtype="int64")
    counts = np.zeros(len(cuts) + 1, dtype="int64")
    for start in range(0, len(values), PART):
        part = values[start : start + PART]
        steps = grid.steps(part)
        plain += np.bincount(steps, minlength=STEPS)
        near = np.flatnonzero(marked[steps])
        step, value = steps[near], part[near]
        many = within[step] > 2
        cell = before[step] + (value > first[step]) + (value > second[step])
        counts += np.bincount(cell[~many], minlength=len(counts))
        counts += _searched(value[many], cuts)
    plain[marked] = 0
    np.add.at(counts, before, plain)
    return counts
