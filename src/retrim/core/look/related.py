"""How columns hang together: Spearman between numbers, Cramér between categories, correlation ratio between both."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.drift.cells import as_floats
from retrim.core.look.pairs import category_cells
from retrim.core.table import ColumnType

LEVELS = 30
STRONG = 0.95
"""Strength from which two columns say nearly the same."""


@dataclass(frozen=True)
class Related:
    """Strengths of all pairs of columns.

    Args:
        names: The columns.
        strength: -1 to 1 between numbers, 0 to 1 otherwise, shape (columns, columns); 0 where nothing is known.
    """

    names: tuple[str, ...]
    strength: np.ndarray

    def strong(self) -> list[tuple[str, str, float]]:
        """Pairs that say nearly the same, strongest first."""
        upper = np.triu(np.abs(self.strength), 1)
        found = [(int(row), int(column)) for row, column in np.argwhere(upper >= STRONG)]
        found.sort(key=lambda place: (-upper[place], place))
        return [(self.names[row], self.names[column], float(self.strength[row, column])) for row, column in found]

    def as_record(self) -> dict[str, Any]:
        return {"names": list(self.names), "strength": np.round(self.strength, 6).tolist()}


def related(sample: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> Related:
    """Strengths of all pairs of the columns named.

    Ranks of missing numbers are the middle one; missing is a category of its own. The correlation ratio is that of
    the ranks, so that one far value does not make it.

    Args:
        sample: Rows drawn at random.
        kinds: Columns, and their types: numbers and categories.

    Source:
        Spearman (1904), Amer. J. Psychol. 15(1), 72-101; Cramér's V less what chance makes of it: Bergsma (2013),
        J. Korean Stat. Soc. 42(3), 323-328; correlation ratio: Fisher (1925), Statistical Methods, section 45.
    """
    names = tuple(kinds)
    numeric = [place for place, name in enumerate(names) if kinds[name] != "category"]
    grouped = [place for place, name in enumerate(names) if kinds[name] == "category"]
    strength = np.eye(len(names))
    if len(sample) < 2:
        return Related(names, strength)
    ranks = {place: _ranks(as_floats(sample[names[place]])) for place in numeric}
    cells = {place: category_cells(sample[names[place]], LEVELS)[0] for place in grouped}
    if numeric:
        scaled = np.column_stack([ranks[place] for place in numeric])
        strength[np.ix_(numeric, numeric)] = scaled.T @ scaled / len(sample)
    for number, place in enumerate(grouped):
        for other in grouped[:number]:
            strength[place, other] = strength[other, place] = _cramer(cells[place], cells[other])
        for other in numeric:
            strength[place, other] = strength[other, place] = _ratio(cells[place], ranks[other])
    np.fill_diagonal(strength, 1.0)
    return Related(names, np.clip(strength, -1.0, 1.0))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of mean 0 and variance 1, the missing in the middle; all 0 of a constant column."""
    from scipy.stats import rankdata

    known = ~np.isnan(values)
    ranks = np.zeros(len(values))
    if known.any():
        own = rankdata(values[known])
        ranks[known] = own - own.mean()
    spread = float(ranks.std())
    return ranks / spread if spread > 0 else ranks


def _cramer(one: np.ndarray, other: np.ndarray) -> float:
    width = int(other.max()) + 1
    table = np.bincount(one * width + other, minlength=(int(one.max()) + 1) * width).reshape(-1, width)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if 1 in table.shape:
        return 0.0
    rows, (r, c) = len(one), table.shape
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / rows
    phi = max(float(((table - expected) ** 2 / expected).sum()) / rows - (r - 1) * (c - 1) / (rows - 1), 0.0)
    least = min(r - (r - 1) ** 2 / (rows - 1), c - (c - 1) ** 2 / (rows - 1)) - 1
    return float(np.sqrt(min(phi / least, 1.0))) if least > 0 else 0.0


def _ratio(cells: np.ndarray, scaled: np.ndarray) -> float:
    """The root of the share of variance between groups, less what chance makes of it."""
    rows = np.bincount(cells)
    there = rows > 0
    groups = int(there.sum())
    if groups < 2 or len(scaled) <= groups or not scaled.any():
        return 0.0
    means = np.bincount(cells, weights=scaled)[there] / rows[there]
    between = float((rows[there] * means**2).sum()) / len(scaled)
    adjusted = 1 - (1 - between) * (len(scaled) - 1) / (len(scaled) - groups)
    return float(np.sqrt(np.clip(adjusted, 0.0, 1.0)))
