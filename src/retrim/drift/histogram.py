"""Two windows of a column side by side, for people: a few bars instead of the many cells that tests look at."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from retrim.drift.cells import CategoryCells, NumericCells, as_floats, shares
from retrim.drift.profile import ColumnProfile

MOST_BARS = 24
"""Bars of a column, beside those of the ends and of the missing values."""
TAIL = 0.01
"""Share of a window beyond either end of the range that is cut into equal bars."""


@dataclass(frozen=True)
class Bar:
    """A range of values or a category, and the share of each window in it, 0 to 1."""

    label: str
    reference: float
    current: float


def compare_windows(reference: ColumnProfile, values: pd.Series) -> tuple[Bar, ...]:
    """Bars of a column in the reference and in another window.

    A numeric column with few cells has a bar for each; else bars are equally wide between the outer hundredths of both
    windows. Of categories the most frequent have a bar, the others share one.

    Args:
        reference: The column there.
        values: The other window, shape (n,).
    """
    cells, counted = reference.cells, reference.of(values)
    rows = np.stack([shares(each.rows.astype("float64")) for each in (reference.window(), counted)])
    if isinstance(cells, CategoryCells):
        labels, groups = _of_categories(cells, rows)
    elif cells.size <= MOST_BARS:
        labels = [*(f"up to {cut:.4g}" for cut in cells.cuts), f"above {cells.cuts[-1]:.4g}"]
        groups = np.arange(cells.size)
    else:
        return _of_numbers(cells, rows, as_floats(values))
    placed = np.append(groups, len(labels))
    of_reference, of_current = (np.bincount(placed, weights=each, minlength=len(labels) + 1) for each in rows)
    return _bars(labels, of_reference, of_current)


def _of_numbers(cells: NumericCells, rows: np.ndarray, values: np.ndarray) -> tuple[Bar, ...]:
    """Equally wide bars; the rows of a cell of the reference lie at its mean.

    Args:
        cells: Of the reference.
        rows: Shares of both windows in the cells, the missing last, shape (2, cells + 1).
        values: The other window.
    """
    middles, present = cells.mean + cells.sd * cells.places, values[np.isfinite(values)]
    within = np.cumsum(rows[0, :-1]) / max(rows[0, :-1].sum(), TAIL)
    ends = [middles[min(int(np.searchsorted(within, at)), cells.size - 1)] for at in (TAIL, 1 - TAIL)]
    if len(present):
        ends += list(np.quantile(present, [TAIL, 1 - TAIL]))
    edges = np.linspace(min(ends), max(ends), MOST_BARS + 1)
    labels = [f"{start:.4g} to {end:.4g}" for start, end in pairwise(edges)]
    labels = [f"below {edges[0]:.4g}", *labels, f"{edges[-1]:.4g} and above"]

    def placed(numbers: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.bincount(np.searchsorted(edges, numbers, side="right"), weights=weights, minlength=len(labels))

    known = ~np.isnan(values)
    current = placed(values[known], np.full(int(known.sum()), 1 / max(len(values), 1)))
    return _bars(labels, np.append(placed(middles, rows[0, :-1]), rows[0, -1]), np.append(current, rows[1, -1]))


def _bars(labels: list[str], reference: np.ndarray, current: np.ndarray) -> tuple[Bar, ...]:
    """A bar a label, and one of the missing values where there are any."""
    named = zip([*labels, "missing"], reference, current, strict=True)
    bars = tuple(Bar(label, float(before), float(now)) for label, before, now in named)
    return bars if bars[-1].reference or bars[-1].current else bars[:-1]


def _of_categories(cells: CategoryCells, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The same of categories, the most frequent in either window first."""
    names = [f"hashed {bucket}" for bucket in range(cells.buckets)] or [*cells.levels, "not in the reference"]
    heaviest = rows[:, : cells.size].max(axis=0)
    order = np.argsort(-heaviest, kind="stable")
    kept = [int(cell) for cell in order[:MOST_BARS] if heaviest[cell] > 0]
    groups = np.full(cells.size, len(kept))
    groups[kept] = np.arange(len(kept))
    rest = [f"{cells.size - len(kept)} others"] if cells.size > len(kept) else []
    return [names[cell] for cell in kept] + rest, groups
