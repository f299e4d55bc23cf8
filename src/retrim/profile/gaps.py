"""How the cells of a column are missing: at random, or told by another column or the order of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.drift.cells import as_floats
from retrim.features.numbers import cells_of, cramer
from retrim.features.step import known
from retrim.table.data import ColumnType

CELLS = 10
TIME = "(time)"
LEAST_MISSING = 10
"""Missing cells, and filled ones, below which nothing is said."""
CLEAR = 0.1
"""Cramér's V from which an association is worth a word; on many rows chance alone is told from far less."""
ROWS, COLUMNS = 10_000, 60
"""Rows, and columns beside those that tell most, that are held against one another."""
CONFIDENCE = 0.999


@dataclass(frozen=True)
class Missingness:
    """How cells are missing.

    Args:
        kind: `few`, too few to say; `random`, nothing tells which; `systematic`.
        told_by: What tells best which cells are missing: another column, or `TIME`; None where nothing does.
        strength: Cramér's V of that, corrected, 0 to 1.
        p_value: Of the best among all looked at (Bonferroni).
    """

    kind: str
    told_by: str | None = None
    strength: float = 0.0
    p_value: float = 1.0


def gaps_of(sample: pd.DataFrame, kinds: Mapping[str, ColumnType], *, first: Sequence[str]) -> dict[str, Missingness]:
    """How the gaps of each column come, of those that have some.

    Random means that neither another column nor the order of rows tells which cells are missing; that they
    depend on the missing value itself can be seen from no table.

    Args:
        sample: Rows drawn at random, in order of time.
    """
    rows = sample.iloc[:: max(-(-len(sample) // ROWS), 1)]
    with_gaps = [name for name in first if rows[name].isna().any()][:COLUMNS]
    if not with_gaps:
        return {}
    columns = {name: _values(rows[name], kinds[name]) for name in dict.fromkeys([*with_gaps, *first[:COLUMNS]])}
    cells = {name: cells_of(values, most=CELLS) for name, values in columns.items()}
    cells[TIME] = np.arange(len(rows)) * CELLS // len(rows)
    gaps = {}
    for name, values in columns.items():
        missing = ~known(values)
        count = int(missing.sum())
        if count:
            others = {other: codes for other, codes in cells.items() if other != name}
            few = min(count, len(rows) - count) < LEAST_MISSING
            gaps[name] = Missingness("few") if few else _told_by(missing, others)
    return gaps


def _values(values: pd.Series, kind: ColumnType) -> np.ndarray:
    if kind != "category":
        return as_floats(values)
    text = values.astype("object")
    return text.where(text.notna(), None).to_numpy()


def _told_by(missing: np.ndarray, cells: Mapping[str, np.ndarray]) -> Missingness:
    measured = {name: cramer(codes, missing.astype("int64")) for name, codes in cells.items()}
    best = min(measured, key=lambda name: (-measured[name][0], measured[name][1], name))
    strength, chance = measured[best]
    p_value = min(chance * len(measured), 1.0)
    if strength >= CLEAR and p_value <= 1 - CONFIDENCE:
        return Missingness("systematic", best, strength, p_value)
    return Missingness("random", None, strength, p_value)
