"""The matrix of many rows, made a piece at a time: whole it would lie in memory beside the rows themselves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

WHOLE_CELLS = 1 << 26
"""Cells up to which a matrix is made whole: half a gigabyte."""
PIECE_CELLS = 1 << 23


@dataclass(frozen=True)
class RowMatrix:
    """Looks like a matrix of float64 that can be read in slices or row by row, and holds one piece of it at most.

    Args:
        rows: What it is of; kept, not copied.
        width: Its columns.
        make: The matrix of some rows.
    """

    rows: pd.DataFrame
    width: int
    make: Callable[[pd.DataFrame], np.ndarray]
    _held: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), self.width

    @property
    def piece(self) -> int:
        """Rows made at once."""
        return max(PIECE_CELLS // max(self.width, 1), 1)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: "slice | int | np.ndarray") -> np.ndarray:
        """Rows of the matrix: some, shape (n, width), or one, shape (width,)."""
        if isinstance(places, slice | np.ndarray):
            return self.make(self.rows.iloc[places])
        number, place = divmod(int(places), self.piece)
        if number not in self._held:
            self._held.clear()
            self._held[number] = self[number * self.piece : (number + 1) * self.piece]
        row: np.ndarray = self._held[number][place]
        return row

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> np.ndarray:
        """The whole of it, for a model that can take it no other way."""
        return np.asarray(self.make(self.rows), dtype=dtype)


Matrix = np.ndarray | RowMatrix


def matrix_of(rows: pd.DataFrame, width: int, make: Callable[[pd.DataFrame], np.ndarray]) -> Matrix:
    """The matrix of rows, whole where it is small; the values are the same."""
    return make(rows) if len(rows) * width <= WHOLE_CELLS else RowMatrix(rows, width, make)
