"""The drift of every window against the rows that a model was made from, from counts alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from retrim.core.drift.cells import CategoryCells, Cells, Counts, NumericCells
from retrim.core.drift.profile import ColumnProfile, ProfileParams
from retrim.core.table import ColumnType

Over = Callable[[str, ColumnProfile, Counts, Counts], bool]
"""Whether a column has drifted, from its counts in reference and current window."""


@dataclass(frozen=True)
class Counted:
    """How each column was distributed in each chunk of the history: a few before the first window, then the windows.

    Args:
        columns: Counts by column; a block of theirs is a chunk.
        rows: Rows of each chunk.
        before: Chunks before the first window.
    """

    columns: Mapping[str, ColumnProfile]
    rows: np.ndarray
    before: int

    def drifted(self, over: Over, *, model: int, window: int, sliding_rows: int | None) -> tuple[str, ...]:
        """Columns that drifted.

        Args:
            over: Asked of each column.
            model: The model's place: its training rows end where this window begins.
            window: The current window.
            sliding_rows: Rows of its training window, to whole chunks; None for all.
        """
        end = self.before + model
        start = 0
        if sliding_rows is not None:
            behind = np.cumsum(self.rows[:end][::-1])
            start = end - 1 - int(np.searchsorted(behind, min(sliding_rows, int(behind[-1]))))
        at = self.before + window
        found = [
            name
            for name, column in self.columns.items()
            if over(name, column, column.window(start, end), column.window(at, at + 1))
        ]
        return tuple(found)


def count_windows(
    rows: pd.DataFrame, features: Mapping[str, ColumnType], edges: np.ndarray, params: ProfileParams, *, chunks: int
) -> Counted:
    """Every column counted, in cells that are cut from the rows before the first window.

    Args:
        rows: The history in total order.
        features: Names and types; one of type time moves with the calendar and is left out.
        edges: First row of each window, and the end.
        params: Cells of a column.
        chunks: Chunks before the first window.
    """
    chunk_starts = np.concatenate([np.linspace(0, edges[0], chunks + 1).round().astype("int64")[:-1], edges])
    sizes = np.diff(chunk_starts)
    chunk = np.repeat(np.arange(len(sizes)), sizes)
    columns = {}
    for name, kind in features.items():
        if kind == "time":
            continue
        first = rows[name].iloc[: edges[0]]
        cells: Cells
        if kind == "category":
            cells = CategoryCells.cut(first, levels=params.levels, buckets=params.buckets)
        else:
            cells = NumericCells.cut(first, cells=params.cells)
        wide = cells.size + 1
        counts = np.bincount(chunk * wide + cells.place(rows[name]), minlength=len(sizes) * wide)
        kept: Literal["numeric", "categorical"] = "categorical" if kind == "category" else "numeric"
        columns[name] = ColumnProfile(kept, cells, counts.reshape(len(sizes), wide))
    return Counted(columns, sizes, chunks)
