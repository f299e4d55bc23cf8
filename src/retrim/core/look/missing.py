"""Missing values: whether they come at random, or can be told from time, target or another column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.drift.cells import as_floats
from retrim.core.look.pairs import category_cells, number_cells
from retrim.core.table import ColumnType

TIME = "time"
CELLS, LEVELS = 10, 30
LEAST = 20
"""Rows with and without a value, each, below which nothing is said."""
MOST = 100
"""Columns with gaps, and columns that may tell them, at most."""
SURELY, SHARE = 0.001, 0.01
"""Of all columns asked together; share of the uncertainty whether a cell is missing that one must take away."""


@dataclass(frozen=True)
class Gap:
    """What tells whether a cell of a column is missing.

    Args:
        told_by: A column, the target, or `time`; empty: nothing does, so the gaps look random.
        share: Share of the uncertainty that it takes away, 0 to 1.
        least: Share missing in the cell of it with the fewest.
        most: In the cell with the most.
    """

    told_by: str
    share: float
    least: float
    most: float

    def as_record(self) -> dict[str, Any]:
        return {"told_by": self.told_by, "share": self.share, "least": self.least, "most": self.most}


def gaps_of(sample: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> dict[str, Gap]:
    """Whether the gaps of each column look random, and what tells them where they do not.

    Time, every other column and the target are cut into cells, and the shares missing in those are held against one
    another by a G test, the p-value times as many columns as are asked.

    Args:
        sample: Rows drawn at random, in order of time.
        kinds: Features and target, and their types.

    Source:
        Missing completely at random, or not: Rubin (1976), Biometrika 63(3), 581-592. G test: Wilks (1935), Ann. Math.
        Statist. 6(4), 190-196. What is told by the missing value itself no table can say.
    """
    names = list(kinds)[:MOST]
    blank = {name: sample[name].isna().to_numpy() for name in names}
    open_ = [name for name in names if LEAST <= int(blank[name].sum()) <= len(sample) - LEAST]
    if not open_:
        return {}
    cells = {TIME: np.arange(len(sample)) * CELLS // len(sample)}
    for name in names:
        if kinds[name] == "category":
            cells[f"column {name}"] = category_cells(sample[name], LEVELS)[0]
        else:
            cells[f"column {name}"] = number_cells(as_floats(sample[name]), CELLS)[0]
    return {name: _told(name, blank[name], cells) for name in open_}


def _told(name: str, blank: np.ndarray, cells: Mapping[str, np.ndarray]) -> Gap:
    from scipy.stats import chi2

    best = Gap("", 0.0, float(blank.mean()), float(blank.mean()))
    for other, placed in cells.items():
        if other == f"column {name}":
            continue
        rows = np.bincount(placed)
        there = rows > 0
        gone = np.bincount(placed, weights=blank)[there]
        rows = rows[there].astype("float64")
        if len(rows) < 2:
            continue
        whole = float(blank.mean())
        statistic = 2 * (_nats(gone, rows * whole) + _nats(rows - gone, rows * (1 - whole)))
        surely = float(chi2.sf(statistic, len(rows) - 1)) * len(cells)
        entropy = -2 * len(blank) * (whole * np.log(whole) + (1 - whole) * np.log(1 - whole))
        share = max(statistic - (len(rows) - 1), 0.0) / float(entropy)  # less what chance makes of it
        if surely < SURELY and share >= SHARE and share > best.share:
            shares = gone / rows
            best = Gap(other.removeprefix("column "), share, float(shares.min()), float(shares.max()))
    return best


def _nats(seen: np.ndarray, expected: np.ndarray) -> float:
    known = seen > 0
    return float((seen[known] * np.log(seen[known] / expected[known])).sum())
