"""Drift over a table's own history: each part held against the first, by the effects of the drift tests."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.drift.cells import CategoryCells, Cells, Counts, NumericCells, pair
from retrim.drift.tests import ks, variation
from retrim.profile.columns import Periods
from retrim.table.data import ColumnType

FIRST = 0.2
"""Share of the rows that make the first part, at least; whole parts of the history."""
LEAST = 30
"""Rows of a part below which nothing is said of it."""
CELLS, LEVELS, BUCKETS = 50, 100, 64
LARGE = 0.15
"""Effect from which a part has moved: as drift.tests has it for ks by default."""
CHANCE = 1.63
"""Over the root of nm / (n + m): what ks exceeds by chance in 1 of 100 windows (Smirnov 1948)."""


@dataclass(frozen=True)
class HistoryShift:
    """How far each part of the history lies from the first.

    Args:
        effects: 0 to 1, shape (parts,): the largest distance of the distribution functions of a number, the share of
            rows that would have to change category; NaN in the first part, and where a part has too few rows.
        chance: What chance alone makes of it in 1 of 100 parts whose rows know nothing of one another, shape (parts,).
    """

    effects: np.ndarray
    chance: np.ndarray

    @property
    def beyond(self) -> np.ndarray:
        """Parts that moved by a large effect that is more than chance."""
        with np.errstate(invalid="ignore"):
            return np.asarray((self.effects >= LARGE) & (self.effects > self.chance))

    def as_record(self) -> list[Any]:
        return [None if np.isnan(effect) else round(float(effect), 6) for effect in self.effects]


def first_part(periods: Periods) -> int:
    """How many parts of the history make the first: a fifth of the rows; 0 where nothing would be left."""
    rows = np.cumsum(periods.rows)
    if not len(rows):
        return 0
    count = int(np.searchsorted(rows, FIRST * rows[-1])) + 1
    return count if count < len(rows) and rows[count - 1] >= LEAST else 0


def moved(values: pd.Series, kind: ColumnType, periods: Periods) -> HistoryShift | None:
    """How far a column of numbers or categories moved; None where the history has no two parts to compare.

    Args:
        values: The column in order of time, shape (n,).
        kind: Its type.
        periods: Parts of the history.
    """
    first = first_part(periods)
    if not first or kind == "time":
        return None
    rows, parts = periods.rows, len(periods.labels)
    reference = values.iloc[: int(rows[:first].sum())]
    cells: Cells
    if kind == "category":
        cells = CategoryCells.cut(reference, levels=LEVELS, buckets=BUCKETS)
    else:
        cells = NumericCells.cut(reference, cells=CELLS)
    width = cells.size + 1
    counts = np.bincount(periods.codes * width + cells.place(values), minlength=parts * width).reshape(parts, width)
    old = counts[:first].sum(axis=0)
    shown = np.flatnonzero((rows >= LEAST) & (np.arange(parts) >= first))
    effects, chance = np.full(parts, np.nan), np.full(parts, np.nan)
    if len(shown) and old.sum():
        several = Counts(cells, counts[shown])
        test = variation if kind == "category" else ks
        effects[shown] = test(Counts(cells, old), several).effect
        chance[shown] = _by_chance(Counts(cells, old), several, category=kind == "category")
    return HistoryShift(effects, chance)


def moved_answers(values: pd.Series, kind: ColumnType, periods: Periods) -> HistoryShift | None:
    """The same of a target: rows whose answer is still to come say nothing of how it moved."""
    known = values.notna().to_numpy()
    return moved(values[known], kind, replace(periods, codes=periods.codes[known]))


def _by_chance(reference: Counts, current: Counts, *, category: bool) -> np.ndarray:
    """What chance makes of the effect: of ks by its law; of categories half mean differences, and a little."""
    old, new = pair(reference, current)
    if not category:
        old, new = old[..., :-1], new[..., :-1]
    n, m = np.maximum(old.sum(axis=-1), 1), np.maximum(new.sum(axis=-1), 1)
    weight = np.sqrt(1 / n + 1 / m)
    if not category:
        return np.asarray(CHANCE * weight)
    share = (old + new) / (n + m)[..., None]
    # Half the sum of |differences|, each about normal; beyond its mean by 2.33 standard deviations of a sum like it.
    spread = np.sqrt(share * (1 - share)) * weight[..., None]
    mean = 0.5 * np.sqrt(2 / np.pi) * spread.sum(axis=-1)
    return np.asarray(mean + 2.33 * 0.5 * np.sqrt((1 - 2 / np.pi) * (spread**2).sum(axis=-1)))
