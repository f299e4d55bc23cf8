"""Whether cells are missing at random, or whether the other columns, or the time, tell which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.core.drift.cells import as_floats
from retrim.core.prepare.selection import cells_of, cramer
from retrim.core.prepare.step import known
from retrim.core.table import ColumnType

CELLS = 10
TIME = "(time)"
LEAST = 10
"""Missing cells, and filled ones, below which nothing is said."""
CLEAR = 0.1
"""Cramér's V from which an association is worth a word; on many rows chance alone is told from far less."""


@dataclass(frozen=True)
class Missingness:
    """How the cells of one column are missing.

    Args:
        column: Its name.
        missing: Missing cells.
        share: Of all rows.
        kind: `none`; `few`, too few to say; `random`, nothing tells which; `systematic`.
        told_by: What tells best which cells are missing: another column, or `TIME`; None where nothing does.
        strength: Cramér's V of that, corrected, 0 to 1.
        p_value: Of the best among all looked at (Bonferroni).
    """

    column: str
    missing: int
    share: float
    kind: str
    told_by: str | None
    strength: float
    p_value: float


def missingness(columns: Mapping[str, np.ndarray], *, confidence: float) -> list[Missingness]:
    """How each column is missing.

    Random means that neither another column nor the order of rows tells which cells are missing; that they
    depend on the missing value itself can be seen from no table.

    Args:
        columns: By name, rows in order of time, shape (n,) each: numbers with NaN, or text with None.
        confidence: From which on an association is no chance, after all that were looked at are counted.
    """
    n = len(next(iter(columns.values()), np.zeros(0)))
    cells = {name: cells_of(values, most=CELLS) for name, values in columns.items()}
    cells[TIME] = np.arange(n) * CELLS // max(n, 1)
    return [_one(name, ~known(values), cells, confidence) for name, values in columns.items()]


def _one(name: str, missing: np.ndarray, cells: Mapping[str, np.ndarray], confidence: float) -> Missingness:
    n, count = len(missing), int(missing.sum())
    share = count / n if n else 0.0
    if not count:
        return Missingness(name, 0, 0.0, "none", None, 0.0, 1.0)
    if min(count, n - count) < LEAST:
        return Missingness(name, count, share, "few", None, 0.0, 1.0)
    strengths, chances = {}, {}
    for other, codes in cells.items():
        if other == name:
            continue
        strengths[other], chances[other] = cramer(codes, missing.astype("int64"))
    best = min(strengths, key=lambda other: (-strengths[other], chances[other], other))
    p_value = min(chances[best] * len(chances), 1.0)
    told = strengths[best] >= CLEAR and p_value <= 1 - confidence
    return Missingness(
        name, count, share, "systematic" if told else "random", best if told else None, strengths[best], p_value
    )


ROWS, COLUMNS = 10_000, 60
"""Rows, and columns beside those that tell most, that are held against one another."""
CONFIDENCE = 0.999


def gaps_of(sample: pd.DataFrame, kinds: Mapping[str, ColumnType], *, first: Sequence[str]) -> dict[str, Missingness]:
    """How the gaps of each column come, of those that have some.

    Args:
        sample: Rows drawn at random, in order of time.
        kinds: Features and target, and their types.
        first: The same, those first that are looked at where there are very many.
    """
    step = max(-(-len(sample) // ROWS), 1)
    rows = sample.iloc[::step]
    gaps = [name for name in first if rows[name].isna().any()][:COLUMNS]
    asked = list(dict.fromkeys([*gaps, *first[:COLUMNS]]))
    if not gaps:
        return {}
    columns = {name: _values(rows[name], kinds[name]) for name in asked}
    return {one.column: one for one in missingness(columns, confidence=CONFIDENCE) if one.missing}


def _values(values: pd.Series, kind: ColumnType) -> np.ndarray:
    if kind != "category":
        return as_floats(values)
    text = values.astype("object")
    return text.where(text.notna(), None).to_numpy()
