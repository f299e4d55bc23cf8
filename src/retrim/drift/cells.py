"""Cells: the bins a column is counted in, cut once from the reference, so that a window is a row of counts.

Every row of counts has one place more than there are cells: the missing values, last.
"""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd

from retrim.errors import BadInputError, EmptyWindowError
from retrim.stats.codec import Numbers

LARGEST = float(np.finfo("float64").max)


@dataclass(frozen=True)
class NumericCells:
    """Quantile cells of a numeric column.

    The first and the last cell hold what lies beyond the finite range of the reference, infinities included. A value
    that spans a whole cell or more is a cell of its own.
    """

    cuts: Numbers  # upper ends, included, of all cells but the last; ascending, finite, shape (cells - 1,)
    # where each cell lies: the mean of its finite reference values, in reference standard deviations from the
    # reference's mean; ascending, shape (cells,). The outermost cells lie one standard deviation beyond the range. A
    # column with one value has its cell at 0, the others at -1 and 1
    places: Numbers
    shares: Numbers  # share of the reference's present values in each cell, shape (cells,); all 0 where there are none
    mean: float  # of the finite reference values; 0 where there are none
    sd: float  # their standard deviation; 0 where there are none

    @classmethod
    def cut(cls, values: pd.Series, *, cells: int) -> "NumericCells":
        """The cells of a reference column, of equal shares; heavy values make fewer cells or a few more.

        Raises:
            BadInputError: Fewer than 2 cells.
        """
        check_cells(cells)
        every = as_floats(values)
        finite = np.sort(every[np.isfinite(every)])  # sorted, so that no sum below depends on the order of rows
        if len(finite) == 0:
            cuts = np.array([-LARGEST, LARGEST])
            return cls(cuts, np.array([-1.0, 0.0, 1.0]), _shares(every, cuts), 0.0, 0.0)
        ends = finite[np.maximum(-(-np.arange(cells + 1) * len(finite) // cells) - 1, 0)]
        heavy = ends[1:][ends[1:] == ends[:-1]]
        with np.errstate(over="ignore"):  # below the lowest number comes minus infinity, which is no cut
            below = np.nextafter(np.append(heavy, ends[0]), -np.inf)
        cuts = np.unique(np.concatenate([ends[1:], heavy, below]))
        cuts = cuts[np.isfinite(cuts)]
        places, mean, sd = _places(finite, cuts)
        return cls(cuts, places, _shares(every, cuts), mean, sd)

    @property
    def size(self) -> int:
        """How many cells there are, the missing values not counted."""
        return len(self.cuts) + 1

    def place(self, values: pd.Series) -> np.ndarray:
        """The cell of each row, shape (n,); `size` where the value is missing."""
        numbers = as_floats(values)
        return np.where(np.isnan(numbers), self.size, np.searchsorted(self.cuts, numbers, side="left"))

    def count(self, values: pd.Series) -> np.ndarray:
        """Rows in each cell, the missing last: int64, shape (size + 1,)."""
        return _counted(as_floats(values), self.cuts)


@dataclass(frozen=True)
class CategoryCells:
    """A cell a known category, in sorted order, then one of the unseen; or hashed, where they are too many to keep."""

    levels: tuple[str, ...]  # the categories of the reference, as text, sorted; empty when hashed
    buckets: int  # cells that categories are hashed into by a mixed CRC-32 of their text; 0: not hashed

    @classmethod
    def cut(cls, values: pd.Series, *, levels: int, buckets: int) -> "CategoryCells":
        """The cells of a reference column: one a category, or `buckets` where there are more than `levels`."""
        known = sorted({str(value) for value in values.dropna().unique()})
        return cls((), buckets) if len(known) > levels else cls(tuple(known), 0)

    @property
    def size(self) -> int:
        """How many cells there are, the missing values not counted."""
        return self.buckets or len(self.levels) + 1

    @property
    def unseen(self) -> int | None:
        """The cell of categories the reference does not have; None where they are hashed, and so not known apart."""
        return None if self.buckets else len(self.levels)

    def place(self, values: pd.Series) -> np.ndarray:
        """The cell of each row, shape (n,); `size` where the value is missing."""
        codes, uniques = pd.factorize(values)
        cells = np.append(self._cells_of([str(value) for value in uniques]), self.size)
        return cells[codes]  # a missing value has code -1, the last

    def count(self, values: pd.Series) -> np.ndarray:
        """Rows in each cell, the missing last: int64, shape (size + 1,)."""
        rows = values.value_counts(sort=False, dropna=False)
        known = rows.index.notna()
        cells = np.full(len(rows), self.size)
        cells[known] = self._cells_of([str(value) for value in rows.index[known]])
        counts = np.zeros(self.size + 1, dtype="int64")
        np.add.at(counts, cells, rows.to_numpy(dtype="int64"))
        return counts

    def _cells_of(self, categories: list[str]) -> np.ndarray:
        if self.buckets:
            codes = np.array([crc32(category.encode()) for category in categories], dtype="uint32")
            return np.asarray(_mixed(codes) % self.buckets)
        known = {level: cell for cell, level in enumerate(self.levels)}
        return np.array([known.get(category, len(self.levels)) for category in categories], dtype="int64")


Cells = NumericCells | CategoryCells


@dataclass(frozen=True)
class Counts:
    """Windows of one column, counted in the same cells."""

    cells: Cells  # what they are counted in
    rows: np.ndarray  # rows in each cell, the missing last, shape (..., cells.size + 1): one window, or many at once


def check_cells(cells: int) -> None:
    """Refuses fewer than 2 cells."""
    if cells < 2:
        raise BadInputError(f"{cells} quantile cells are too few to compare windows; set cells to 2 or more")


def as_floats(values: pd.Series) -> np.ndarray:
    """Numbers as float64, missing as NaN, shape (n,)."""
    if values.dtype == np.dtype("float64"):
        return values.to_numpy()  # as it is, without a copy
    return values.to_numpy(dtype="float64", na_value=np.nan)


def _mixed(codes: np.ndarray) -> np.ndarray:
    """CRC-32 codes, mixed: bare they are linear, and names that are counted up fall into buckets far too evenly.

    Source:
        The last step of MurmurHash3 (Appleby 2011, public domain), one to one on 32 bits.
    """
    mixed = codes.astype("uint64")
    for factor, shift in ((1, 16), (0x85EBCA6B, 13), (0xC2B2AE35, 16)):
        mixed = mixed * np.uint64(factor) & np.uint64(0xFFFFFFFF)
        mixed ^= mixed >> np.uint64(shift)
    return mixed.astype("int64")


def _counted(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Rows up to each cut, included, from the one before, and beyond the last; then the missing: int64."""
    ordered = np.sort(values)  # faster than to search each row; NaN comes last
    present = len(ordered) - int(np.isnan(ordered).sum())
    ends = np.append(np.searchsorted(ordered, cuts, side="right"), [present, len(ordered)])
    return np.diff(ends, prepend=0)


def _shares(values: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    rows = _counted(values, cuts)[:-1]
    return np.asarray(rows / max(rows.sum(), 1))


def _places(finite: np.ndarray, cuts: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Where the cells lie, in standard deviations; mean; standard deviation. Safe up to the largest numbers."""
    cell = np.searchsorted(cuts, finite, side="left")
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        middle = int(cell[0])
        return np.sign(np.arange(len(cuts) + 1) - middle).astype("float64"), low, 0.0
    scale = float(np.abs(finite).max())
    scaled = finite / scale
    mean, sd = float(scaled.mean()), float(scaled.std())
    rows = np.bincount(cell, minlength=len(cuts) + 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        places = (np.bincount(cell, weights=scaled, minlength=len(cuts) + 1) / rows - mean) / sd
    ends = (np.array([low, high]) / scale - mean) / sd + [-1.0, 1.0]
    known = np.flatnonzero(rows)
    places[: known[0]], places[known[-1] + 1 :] = ends
    # an empty cell within, as a value next to a heavy one has: where the cell before it lies
    filled = pd.Series(places).ffill().to_numpy()
    return np.maximum.accumulate(filled), mean * scale, sd * scale


def pair(reference: Counts, current: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Rows in each cell of both windows as float64, the missing last; shapes agree or broadcast.

    Raises:
        EmptyWindowError: A window has no rows.
    """
    for name, window in (("reference", reference), ("current", current)):
        if (window.rows.sum(axis=-1) == 0).any():
            raise EmptyWindowError(name)
    return reference.rows.astype("float64"), current.rows.astype("float64")


def merged(counts: Counts, *, cells: int) -> Counts:
    """The same windows in about `cells` cells, each of an equal share of the reference that the cells were cut from.

    A cell that holds as much alone stays alone, also from what lies beside it, so that a heavy value which moves,
    either way, leaves its cell.

    Raises:
        BadInputError: Fewer than 2 cells.
    """
    check_cells(cells)
    assert isinstance(counts.cells, NumericCells)
    shares = counts.cells.shares
    middle = np.cumsum(shares) - shares / 2
    group = np.minimum((middle * cells + 1e-9).astype("int64"), cells - 1)
    alone = shares * cells >= 1 - 1e-9
    begins = np.append(True, (np.diff(group) > 0) | alone[1:] | alone[:-1])
    return Counts(counts.cells, np.add.reduceat(counts.rows, np.flatnonzero(np.append(begins, True)), axis=-1))


def shares(rows: np.ndarray) -> np.ndarray:
    """Rows as shares of their window; all 0 for one without rows."""
    total = rows.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(rows, total, out=np.zeros_like(rows), where=total > 0))


def xlogy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`x * log(y)`, 0 where x is 0."""
    return np.asarray(x * np.log(y, out=np.zeros_like(y), where=x > 0))
