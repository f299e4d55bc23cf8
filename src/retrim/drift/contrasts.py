"""Contrasts: the few numbers that a column is watched by, each a mean over rows of what its cell weighs."""

from typing import Literal, NamedTuple

import numpy as np

from retrim.drift.cells import CategoryCells, NumericCells
from retrim.drift.profile import ColumnProfile

MISSING = "missing"
GROUPS = 10  # shares of a numeric column that are watched one by one
MOST_SHARES = 50  # of a categorical column; the rarest beyond are watched together

Unit = Literal["sd", "spread", "share"]


class Contrast(NamedTuple):
    """What a column is watched by: what it looks at, in which unit, the weight of a row in each cell, its budget."""

    name: str  # such as "location" or "share of 'mon'"
    unit: Unit  # `sd` of the column, `spread` (share by which its variance grows) or `share`
    weights: np.ndarray  # of a share 0 or 1, shape (cells + 1,)
    budget: float  # of the column's false alarms, over the sum of these


def contrasts(column: ColumnProfile) -> list[Contrast]:
    """What a column is watched by, from its reference.

    A numeric column: its location and its spread, by the normal scores of its cells (0.4 and 0.2 of the budget), the
    share missing (0.2), and the share in each of ten groups of cells and beyond the range of the reference (together
    0.2). A categorical column: the share of each category (0.6), of unseen ones (0.2) and missing (0.2).

    Source:
        Normal scores: van der Waerden (1952); they are as good as means on normal columns, better on heavy tails.
    """
    counts = column.counts.sum(axis=0)
    if isinstance(column.cells, NumericCells):
        return _numeric(counts)
    return _categorical(column.cells, counts)


def _numeric(counts: np.ndarray) -> list[Contrast]:
    size = len(counts) - 1
    known = counts[:size].astype(float)
    parts = [Contrast(MISSING, "share", _one(size, size), 0.2)]
    if known.sum() == 0:
        return parts
    scores, spread = _scores(known)
    if scores.any():
        parts += [Contrast("location", "sd", scores, 0.4), Contrast("spread", "spread", spread, 0.2)]
    groups = _groups(known)
    return parts + [Contrast(name, "share", share, 0.2 / len(groups)) for name, share in groups.items()]


def _scores(known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores of the cells and their squares, around their means; a missing row weighs nothing."""
    from scipy.special import ndtri

    upper = np.cumsum(known) / known.sum()
    edges = np.concatenate([[0.0], upper])
    density = np.exp(-(ndtri(np.clip(edges, 1e-300, 1 - 1e-16)) ** 2) / 2) / np.sqrt(2 * np.pi)
    density[edges <= 0] = density[edges >= 1] = 0
    share = np.diff(edges)
    middle = ndtri(np.clip((edges[1:] + edges[:-1]) / 2, 0.5 / known.sum(), 1 - 0.5 / known.sum()))
    score = np.where(share > 0, -np.diff(density) / np.where(share > 0, share, 1), middle)
    deviation = np.sqrt(share @ score**2)
    if deviation == 0:
        return np.zeros(len(known) + 1), np.zeros(len(known) + 1)
    score = score / deviation
    return np.append(score, 0.0), np.append(score**2 - 1, 0.0)


def _groups(known: np.ndarray) -> dict[str, np.ndarray]:
    """Neighbouring cells of about a tenth of the rows each, a heavy one alone, and what lies beyond the range."""
    size, seen = len(known), np.flatnonzero(known)
    upper = np.cumsum(known) / known.sum()
    middle = upper - known / known.sum() / 2
    group = np.minimum((middle * GROUPS).astype(int), GROUPS - 1)
    within = range(seen[0], seen[-1] + 1)
    groups = {
        f"share of tenth {tenth + 1}": _one(size, *(cell for cell in within if group[cell] == tenth))
        for tenth in np.unique(group[seen])
    }
    beyond = [cell for cell in range(size) if cell not in within]
    return {**groups, "share beyond the range": _one(size, *beyond)} if beyond else groups


def _categorical(cells: CategoryCells, counts: np.ndarray) -> list[Contrast]:
    size = len(counts) - 1
    known = [cell for cell in range(size) if cell != cells.unseen]
    frequent = sorted(sorted(known, key=lambda cell: (-counts[cell], cell))[:MOST_SHARES])
    rest = [cell for cell in known if cell not in frequent]
    named = [f"share of bucket {cell}" if cells.buckets else f"share of {cells.levels[cell]!r}" for cell in frequent]
    watched = [(name, _one(size, cell)) for name, cell in zip(named, frequent, strict=True)]
    if rest:
        watched.append(("share of rare categories", _one(size, *rest)))
    parts = [Contrast(MISSING, "share", _one(size, size), 0.2)]
    parts += [Contrast(name, "share", weights, 0.6 / len(watched)) for name, weights in watched]
    if cells.unseen is not None:
        parts.append(Contrast("share of unseen categories", "share", _one(size, cells.unseen), 0.2))
    return parts


def _one(size: int, *cells: int) -> np.ndarray:
    weights = np.zeros(size + 1)
    weights[list(cells)] = 1
    return weights
