"""The drift of every window against the rows that a model was made from, from counts alone."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

from retrim.core.drift.cells import CategoryCells, Cells, Counts, NumericCells
from retrim.core.drift.profile import ColumnProfile, Profile, ProfileParams
from retrim.core.table import ColumnType

Over = Callable[[str, ColumnProfile, Counts, Counts], bool]
"""Whether a column has drifted, from its counts in reference and current window."""


@dataclass(frozen=True)
class Counted:
    """How each column was distributed in each chunk of the history: those before the first window, then the windows'.

    Args:
        columns: Counts by column; a block of theirs is a chunk.
        blocks: First and last event time and rows of each chunk.
        before: Chunks before the first window.
        parts: Chunks of a window.
    """

    columns: Mapping[str, ColumnProfile]
    blocks: pd.DataFrame
    before: int
    parts: int

    @property
    def rows(self) -> np.ndarray:
        """Rows of each chunk."""
        return self.blocks["rows"].to_numpy()

    def behind(self, *, model: int, sliding_rows: int | None) -> tuple[int, int]:
        """The chunks `[first, last)` that a model was made from.

        Args:
            model: The model's place: its training rows end where this window begins.
            sliding_rows: Rows of its training window, to whole chunks; None for all.
        """
        end = self.before + model * self.parts
        if sliding_rows is None:
            return 0, end
        rows = np.cumsum(self.rows[:end][::-1])
        return end - 1 - int(np.searchsorted(rows, min(sliding_rows, int(rows[-1])))), end

    def of_window(self, window: int) -> tuple[int, int]:
        """The chunks `[first, last)` of a window."""
        first = self.before + window * self.parts
        return first, first + self.parts

    def profile(self, first: int, last: int) -> Profile:
        """The chunks `[first, last)` as a reference, a block each."""
        columns = {name: replace(column, counts=column.counts[first:last]) for name, column in self.columns.items()}
        return Profile(columns, self.blocks.iloc[first:last], pd.DataFrame())

    def drifted(self, over: Over, *, model: int, window: int, sliding_rows: int | None) -> tuple[str, ...]:
        """Columns that drifted.

        Args:
            over: Asked of each column.
            model: The model's place: its training rows end where this window begins.
            window: The current window.
            sliding_rows: Rows of its training window, to whole chunks; None for all.
        """
        behind, now = self.behind(model=model, sliding_rows=sliding_rows), self.of_window(window)
        found = [
            name
            for name, column in self.columns.items()
            if over(name, column, column.window(*behind), column.window(*now))
        ]
        return tuple(found)


def count_windows(
    rows: pd.DataFrame,
    features: Mapping[str, ColumnType],
    edges: np.ndarray,
    params: ProfileParams,
    *,
    chunks: int,
    parts: int,
) -> Counted:
    """Every column counted, in cells that are cut from the rows before the first window.

    Args:
        rows: The history in total order.
        features: Names and types; one of type time moves with the calendar and is left out.
        edges: First row of each window, and the end.
        params: Cells of a column.
        chunks: Chunks before the first window.
        parts: Chunks of a window: as it is a run of them, their series shows how far windows stray.
    """
    stretches = [(0, int(edges[0]), chunks), *((int(a), int(b), parts) for a, b in pairwise(edges))]
    cuts = [np.linspace(start, end, many + 1).round().astype("int64")[:-1] for start, end, many in stretches]
    starts = np.concatenate([*cuts, edges[-1:]])
    sizes = np.diff(starts)
    event = rows["_event"]
    last = np.maximum(starts[1:] - 1, starts[:-1])
    blocks = pd.DataFrame({"first": event.iloc[starts[:-1]].array, "last": event.iloc[last].array, "rows": sizes})
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
    return Counted(columns, blocks, chunks, parts)
