"""The loss in every slice of the judged rows, with intervals: where a model is good, and where it is not."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.resample import error_parts, mean_error
from retrim.core.slices import SliceParams, cells_of, slice_name
from retrim.core.table import ColumnType

LEAST_PARTS = 6


@dataclass(frozen=True)
class SliceLoss:
    """The loss in one slice.

    Args:
        column: A feature.
        name: Which of its values.
        rows: Rows in it.
        loss: Mean loss of the model on them.
        interval: Of that mean, two-sided.
        other: Mean loss of the other model on the same rows; None where there is none.
        saved: Mean of the other's loss less the model's, and its interval; None as above.
    """

    column: str
    name: str
    rows: int
    loss: float
    interval: tuple[float, float]
    other: float | None
    saved: tuple[float, float, float] | None

    def as_record(self) -> dict[str, Any]:
        return {
            "column": self.column,
            "name": self.name,
            "rows": self.rows,
            "loss": self.loss,
            "interval": list(self.interval),
            "other": self.other,
            "saved": None if self.saved is None else list(self.saved),
        }


def slice_table(
    rows: pd.DataFrame,
    losses: np.ndarray,
    other: np.ndarray | None,
    columns: Mapping[str, ColumnType],
    params: SliceParams,
    *,
    confidence: float,
    block_rows: int,
) -> tuple[SliceLoss, ...]:
    """The loss of one model, beside another's, in each slice of `rows`, by column and in the order of its values.

    Args:
        rows: In time order, shape (n, columns).
        losses: Of the model, shape (n,).
        other: Of another model, such as the champion; None: there is none.
        columns: Features and their types; those that `rows` lack are passed over.
        params: Cells, levels, least rows.
        confidence: Of each interval, two-sided. They are not corrected for how many slices there are.
        block_rows: Rows that belong together when an error is computed.
    """
    found: list[SliceLoss] = []
    for column, kind in columns.items():
        cells = cells_of(rows[column], kind, params) if column in rows and len(rows) else None
        if cells is None:
            continue
        places = cells.place(rows[column])
        for cell in np.unique(places):
            inside = places == cell
            if inside.sum() < params.least_rows:
                continue
            mean, low, high = mean_interval(losses[inside], confidence=confidence, block_rows=block_rows)
            loss = mean, max(low, 0.0), high  # no loss is below 0
            saved = None
            if other is not None:
                saved = mean_interval((other - losses)[inside], confidence=confidence, block_rows=block_rows)
            name = slice_name(cells, int(cell))
            others = None if other is None else float(other[inside].mean())
            found.append(SliceLoss(column, name, int(inside.sum()), loss[0], loss[1:], others, saved))
    return tuple(found)


def mean_interval(values: np.ndarray, *, confidence: float, block_rows: int) -> tuple[float, float, float]:
    """A mean and its two-sided interval, by Student's t with as many parts as the error was computed from.

    Rows of a slice have gaps, so they are taken alone or in blocks, whichever says less. A block is shorter than
    `block_rows` where there would be fewer than `LEAST_PARTS` of them: two blocks do not know their own spread.

    Args:
        values: In time order, shape (n,), n at least 2.
        confidence: Between 0 and 1.
        block_rows: Rows of a block.
    """
    from scipy.special import stdtrit

    half = 0.0
    for size in (1, max(min(block_rows, len(values) // LEAST_PARTS), 1)):
        parts = len(error_parts(len(values), block_rows=size))
        half = max(half, float(stdtrit(parts - 1, (1 + confidence) / 2)) * mean_error(values, block_rows=size))
    mean = float(values.mean())
    return mean, mean - half, mean + half
