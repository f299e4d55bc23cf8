"""Where the champion loses more than it did where it was judged: column by column, slice by slice.

A slice is a category of a column, or a quantile cell of a number. That a mean loss has changed has two parts. Rows may
have moved to slices where the model always lost more: that goes with the column's drift, and needs no new labels. And
it may lose more within a slice than before: that is where the world itself has changed.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.drift.cells import CategoryCells, NumericCells
from retrim.stats.bootstrap import mean_error
from retrim.table.data import ColumnType

CELLS = 4  # quantile cells of a numeric column
LEVELS = 24  # categories of a column; one with more is left out
LEAST_ROWS = 30  # of a slice; smaller ones are not reported
MOST_SHARE = 0.5  # of all rows: a larger slice would be nearly the whole table
ERRORS = 3.0  # standard errors from which a change is clear: many, as many slices are compared
SLICE_CONFIDENCE = 0.95  # of the interval of a loss in a slice, two-sided; the gate has its own
LEAST_PARTS = 6


@dataclass(frozen=True)
class SlicedRows:
    """Rows with the champion's losses on them."""

    rows: pd.DataFrame  # in time order, shape (n, columns)
    losses: np.ndarray  # shape (n,)


@dataclass(frozen=True)
class Slice:
    """Loss in one slice, compared with the loss when the champion was evaluated.

    Args:
        column: The feature that defines the slice.
        name: The value or range of the feature.
        rows: Rows in the slice now.
        loss: Mean loss on those rows.
        rows_before: Rows in the slice when the champion was evaluated.
        before: Mean loss on those rows; if they were too few, on all rows of that evaluation.
        added: Contribution to the mean loss of all rows: share of the rows times (`loss` minus `before`).
        clear: Whether the change exceeds 3 standard errors.
    """

    column: str
    name: str
    rows: int
    loss: float
    rows_before: int
    before: float
    added: float
    clear: bool


@dataclass(frozen=True)
class LossChange:
    """What became of the loss."""

    # the change of the mean loss that goes with each column's shift, were the loss in each of its slices what it was; 0
    # where that is within `ERRORS` standard errors
    shifted: dict[str, float]
    slices: tuple[Slice, ...]  # what is clear first, then what adds most


def loss_change(
    before: SlicedRows, now: SlicedRows, columns: Mapping[str, ColumnType], *, block_rows: int
) -> LossChange:
    """The change of the loss, in total and in the slices of every column."""
    shifted, slices = {}, []
    if min(len(before.losses), len(now.losses)) < LEAST_ROWS:
        return LossChange({}, ())
    for column, kind in columns.items():
        cells = cells_of(before.rows[column], kind)
        if cells is None:
            continue
        places = cells.place(before.rows[column]), cells.place(now.rows[column])
        known = _means(places[0], before.losses, cells.size + 1)
        expected = [known[place] for place in places]
        shift = float(expected[1].mean() - expected[0].mean())
        shifted[column] = shift if abs(shift) > ERRORS * _error(*expected, block_rows=block_rows) else 0.0
        for cell in np.unique(places[1]):
            inside = now.losses[places[1] == cell]
            if LEAST_ROWS <= len(inside) <= MOST_SHARE * len(now.losses):
                was = before.losses[places[0] == cell]
                compared = was if len(was) >= LEAST_ROWS else before.losses
                change = float(inside.mean() - compared.mean())
                error = _error(inside, compared, block_rows=block_rows)
                added = change * len(inside) / len(now.losses)
                name = slice_name(cells, int(cell))
                figures = len(inside), float(inside.mean()), len(was), float(compared.mean()), added
                slices.append(Slice(column, name, *figures, clear=bool(abs(change) > ERRORS * error)))
    return LossChange(shifted, tuple(sorted(slices, key=lambda s: (not s.clear, -s.added, s.column, s.name))))


def cells_of(values: pd.Series, kind: ColumnType) -> NumericCells | CategoryCells | None:
    """What a column is cut into; None for one of too many categories to look at each."""
    if kind in ("number", "integer"):
        return NumericCells.cut(values, cells=CELLS)
    cells = CategoryCells.cut(values, levels=LEVELS, buckets=2)
    return None if cells.buckets else cells


def _means(places: np.ndarray, losses: np.ndarray, size: int) -> np.ndarray:
    """Mean loss in each cell, shape (size,); that of all rows where a cell has too few."""
    rows = np.bincount(places, minlength=size)
    sums = np.bincount(places, weights=losses, minlength=size)
    return np.where(rows >= LEAST_ROWS, sums / np.maximum(rows, 1), losses.mean())


def _error(*series: np.ndarray, block_rows: int) -> float:
    """Standard error of the difference of two means. Rows of a slice have gaps, so alone or in blocks: the larger."""
    return math.hypot(*(max(mean_error(values, block_rows=n) for n in (1, block_rows)) for values in series))


def slice_name(cells: NumericCells | CategoryCells, cell: int) -> str:
    """A cell in words: a category, a span of numbers, or what is special about it."""
    if cell == cells.size:
        return "missing"
    if isinstance(cells, CategoryCells):
        return "not seen before" if cell == cells.unseen else cells.levels[cell]
    if cells.sd == 0 and not cells.shares.any():
        return "any value"  # there was none before
    low, high = ([None, *cells.cuts.tolist(), None][end] for end in (cell, cell + 1))
    if low is None or high is None:  # the outermost cells hold what lies beyond all that was seen
        return f"below {_cut_text(high)}" if low is None else f"above {_cut_text(low)}"
    return _cut_text(high) if np.nextafter(low, np.inf) >= high else f"{_cut_text(low)} to {_cut_text(high)}"


def _cut_text(cut: float) -> str:
    """A cut as a person reads it: one that lies a bit below a value stands for that value."""
    return f"{0.0 if abs(cut) < np.finfo(float).tiny else cut:.4g}"


@dataclass(frozen=True)
class SliceLoss:
    """Loss in one slice.

    Args:
        column: The feature that defines the slice.
        name: The value or range of the feature.
        rows: Rows in the slice.
        loss: The model's mean loss on those rows.
        interval: Two-sided interval of that mean.
        other: Mean loss of the other model on the same rows; None if there is no other model.
        saved: Mean of the other model's loss minus the model's, with the low and high end of its interval; None if
            there is no other model.
    """

    column: str
    name: str
    rows: int
    loss: float
    interval: tuple[float, float]
    other: float | None
    saved: tuple[float, float, float] | None


def slice_table(
    rows: pd.DataFrame,
    losses: np.ndarray,
    other: np.ndarray | None,
    columns: Mapping[str, ColumnType],
    *,
    confidence: float = SLICE_CONFIDENCE,
    block_rows: int,
) -> tuple[SliceLoss, ...]:
    """The loss of one model, beside another's, in each slice of `rows`, by column and in the order of its values.

    Args:
        rows: In time order.
        other: Losses of another model, such as the champion; None: there is none.
    """
    table: list[SliceLoss] = []
    for column, name, inside in slices_of(rows, columns):
        mean, low, high = mean_interval(losses[inside], confidence=confidence, block_rows=block_rows)
        others, saved = None, None
        if other is not None:
            others = float(other[inside].mean())
            saved = mean_interval((other - losses)[inside], confidence=confidence, block_rows=block_rows)
        interval = max(low, 0.0), high  # no loss is below 0
        table.append(SliceLoss(column, name, int(inside.sum()), mean, interval, others, saved))
    return tuple(table)


def slices_of(rows: pd.DataFrame, columns: Mapping[str, ColumnType]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Each slice of `LEAST_ROWS` rows or more: its column, its name, and which rows are in it."""
    for column, kind in columns.items():
        cells = cells_of(rows[column], kind) if column in rows and len(rows) else None
        if cells is not None:
            places = cells.place(rows[column])
            for cell in np.flatnonzero(np.bincount(places) >= LEAST_ROWS):
                yield column, slice_name(cells, int(cell)), places == cell


def mean_interval(values: np.ndarray, *, confidence: float, block_rows: int) -> tuple[float, float, float]:
    """A mean and its two-sided interval, by Student's t with as many parts as the error was computed from.

    Rows of a slice, 2 or more in time order, have gaps, so they are taken alone or in blocks, whichever says less. A
    block is shorter than `block_rows` where there would be fewer than `LEAST_PARTS` of them: two blocks do not know
    their own spread.
    """
    from scipy.special import stdtrit

    half = 0.0
    for size in (1, max(min(block_rows, len(values) // LEAST_PARTS), 1)):
        parts = len(values) // size
        half = max(half, float(stdtrit(parts - 1, (1 + confidence) / 2)) * mean_error(values, block_rows=size))
    mean = float(values.mean())
    return mean, mean - half, mean + half
