"""Two windows of a column side by side, for people: a few bars instead of the many cells that tests look at."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from retrim.drift.cells import CategoryCells, Counts, NumericCells, shares

MOST_BARS = 24
"""Bars of a column, beside those of the ends and of the missing values."""
TAIL = 0.01
"""Share of the reference beyond either end of the range that is cut into equal bars."""


@dataclass(frozen=True)
class Bar:
    """A range of values or a category, and the share of each window in it, 0 to 1."""

    label: str
    reference: float
    current: float


def compare_windows(reference: Counts, current: Counts) -> tuple[Bar, ...]:
    """Bars of two windows of a column that were counted in the same cells.

    A numeric column with few cells has a bar for each; else bars are equally wide between the outer hundredths of the
    reference. Of categories the most frequent have a bar, the others share one.

    Args:
        reference: One window.
        current: The other; its cells are those of the reference.
    """
    cells = reference.cells
    rows = np.stack([shares(window.rows.astype("float64")) for window in (reference, current)])
    if isinstance(cells, NumericCells):
        labels, groups = _of_numbers(cells, rows[0])
    else:
        labels, groups = _of_categories(cells, rows)
    missing = len(labels)
    placed = np.append(groups, missing)
    of_reference, of_current = (np.bincount(placed, weights=window, minlength=missing + 1) for window in rows)
    named = zip([*labels, "missing"], of_reference, of_current, strict=True)
    bars = [Bar(label, float(before), float(now)) for label, before, now in named]
    return tuple(bars if rows[:, -1].any() else bars[:-1])


def _of_numbers(cells: NumericCells, reference: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Labels of the bars, and the bar of each cell, shape (cells,)."""
    middles = cells.mean + cells.sd * cells.places
    if cells.size <= MOST_BARS:
        ends = [f"up to {cut:.4g}" for cut in cells.cuts]
        return [*ends, f"above {cells.cuts[-1]:.4g}"], np.arange(cells.size)
    below = np.cumsum(reference[:-1])
    low, high = (middles[min(int(np.searchsorted(below, at)), cells.size - 1)] for at in (TAIL, 1 - TAIL))
    edges = np.linspace(low, high, MOST_BARS + 1)
    labels = [f"{start:.4g} to {end:.4g}" for start, end in pairwise(edges)]
    groups = np.clip(np.searchsorted(edges, middles, side="right") - 1, -1, MOST_BARS) + 1
    return [f"below {low:.4g}", *labels, f"above {high:.4g}"], groups


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
