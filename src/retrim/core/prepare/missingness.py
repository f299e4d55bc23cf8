"""Whether cells are missing at random, or whether the other columns, or the time, tell which."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retrim.core.prepare.information import cells_of
from retrim.core.prepare.selection import cramer
from retrim.core.prepare.step import known

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
    from scipy.special import chdtrc

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
        strengths[other] = cramer(codes, missing.astype("int64"))
        square, freedom = _chi2(codes, missing)
        chances[other] = float(chdtrc(freedom, square)) if freedom else 1.0
    best = min(strengths, key=lambda other: (-strengths[other], chances[other], other))
    p_value = min(chances[best] * len(chances), 1.0)
    told = strengths[best] >= CLEAR and p_value <= 1 - confidence
    return Missingness(
        name, count, share, "systematic" if told else "random", best if told else None, strengths[best], p_value
    )


def _chi2(codes: np.ndarray, missing: np.ndarray) -> tuple[float, int]:
    """Chi-squared of cells against missing or not, and its degrees of freedom."""
    places = np.unique(codes, return_inverse=True)[1]
    rows = np.bincount(places)
    gone = np.bincount(places, missing.astype("float64"), minlength=len(rows))
    share = missing.mean()
    expected = rows * share
    square = float(((gone - expected) ** 2 / (expected * (1 - share))).sum())
    return square, len(rows) - 1
