"""Contrasts: the few numbers that a column is watched by, each a mean over rows of what its cell weighs."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from retrim.drift.cells import CategoryCells, NumericCells
from retrim.drift.profile import ColumnProfile

MISSING = "missing"
GROUPS = 10  # shares of a numeric column that are watched one by one
MOST_SHARES = 50  # of a categorical column; the rarest beyond are watched together

Unit = Literal["sd", "spread", "share"]


@dataclass(frozen=True)
class Contrasts:
    """The contrasts of one column."""

    names: tuple[str, ...]  # what each looks at, such as "location" or "share of 'mon'", (J,)
    # what each is counted in: `sd` of the column, `spread` (share by which its variance grows) or `share`
    units: tuple[Unit, ...]
    weights: np.ndarray  # what a row in each cell weighs, shape (cells + 1, J); of a share 0 or 1
    budget: np.ndarray  # share of the column's false alarms that each may use, sums to 1, shape (J,)


def contrasts(column: ColumnProfile) -> Contrasts:
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


def _numeric(counts: np.ndarray) -> Contrasts:
    size = len(counts) - 1
    known = counts[:size].astype(float)
    missing = _one(size, size)
    shares, names = _groups(known)
    if known.sum() == 0:
        return _joined([(MISSING, "share", missing, 1.0)])
    scores, spread = _scores(known)
    parts: list[tuple[str, Unit, np.ndarray, float]] = [(MISSING, "share", missing, 0.2)]
    if scores.any():
        parts += [("location", "sd", scores, 0.4), ("spread", "spread", spread, 0.2)]
    parts += [(name, "share", share, 0.2 / len(names)) for name, share in zip(names, shares, strict=True)]
    return _joined(parts)


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


def _groups(known: np.ndarray) -> tuple[list[np.ndarray], list[str]]:
    """Neighbouring cells of about a tenth of the rows each, a heavy one alone, and what lies beyond the range."""
    size = len(known)
    seen = np.flatnonzero(known)
    groups: list[np.ndarray] = []
    names: list[str] = []
    beyond = np.append(np.ones(size), 0.0)
    if len(seen):
        upper = np.cumsum(known) / known.sum()
        middle = upper - known / known.sum() / 2
        group = np.minimum((middle * GROUPS).astype(int), GROUPS - 1)
        beyond[seen[0] : seen[-1] + 1] = 0
        for tenth in np.unique(group[seen]):
            members = [cell for cell in range(seen[0], seen[-1] + 1) if group[cell] == tenth]
            groups.append(_one(size, *members))
            names.append(f"share of tenth {tenth + 1}")
    if beyond.any():
        groups.append(beyond)
        names.append("share beyond the range")
    return groups, names


def _categorical(cells: CategoryCells, counts: np.ndarray) -> Contrasts:
    size = len(counts) - 1
    known = [cell for cell in range(size) if cell != cells.unseen]
    frequent = sorted(sorted(known, key=lambda cell: (-counts[cell], cell))[:MOST_SHARES])
    rest = [cell for cell in known if cell not in frequent]
    named = [f"share of bucket {cell}" if cells.buckets else f"share of {cells.levels[cell]!r}" for cell in frequent]
    parts: list[tuple[str, Unit, np.ndarray, float]] = [(MISSING, "share", _one(size, size), 0.2)]
    watched = [(name, _one(size, cell)) for name, cell in zip(named, frequent, strict=True)]
    if rest:
        watched.append(("share of rare categories", _one(size, *rest)))
    parts += [(name, "share", weights, 0.6 / len(watched)) for name, weights in watched]
    if cells.unseen is not None:
        parts.append(("share of unseen categories", "share", _one(size, cells.unseen), 0.2))
    return _joined(parts)


def _one(size: int, *cells: int) -> np.ndarray:
    weights = np.zeros(size + 1)
    weights[list(cells)] = 1
    return weights


def _joined(parts: list[tuple[str, Unit, np.ndarray, float]]) -> Contrasts:
    names, units, weights, budget = zip(*parts, strict=True)
    shares = np.array(budget)
    return Contrasts(tuple(names), tuple(units), np.stack(weights, axis=1), shares / shares.sum())
