"""One column at a glance: what fills it, and how much is missing in each part of the history."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.table.data import ColumnType, Role

PARTS = 20
"""Parts of a history, at most."""


@dataclass(frozen=True)
class Periods:
    """Parts of the history, in their order.

    Args:
        codes: Part of each row, ascending, shape (n,).
        labels: What each is called.
        every: How many rows a part has, in words.
    """

    codes: np.ndarray
    labels: tuple[str, ...]
    every: str

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of the values of each part, shape (parts,)."""
        return np.asarray(np.bincount(self.codes, weights=values) / np.bincount(self.codes))


def cut_periods(event: pd.Series, *, timed: bool) -> Periods:
    """At most 20 parts of equally many rows, called by the day on which each begins, or by its rows.

    Args:
        event: Event times in ascending order, UTC, none missing, shape (n,).
    """
    rows = len(event)
    size = max(-(-rows // PARTS), 1)
    starts = range(0, rows, size)
    labels = (f"{event.iloc[at]:%Y-%m-%d}" if timed else f"rows {at + 1} to {min(at + size, rows)}" for at in starts)
    return Periods(np.arange(rows) // size, tuple(labels), f"{size} rows")


@dataclass(frozen=True)
class ColumnLook:
    """Summary of a column.

    Args:
        name: Name of the column.
        type: Type, as in params.yaml.
        role: Role, as in params.yaml.
        hidden: Why its values are not shown; empty if they may be.
        rows: Rows of the table.
        missing: Rows without a value.
        missing_by: Share of missing values in each part of the history.
        distinct: Number of different values.
        most: Rows with the most frequent value.
    """

    name: str
    type: ColumnType
    role: Role
    hidden: str
    rows: int
    missing: int
    missing_by: np.ndarray
    distinct: int
    most: int

    @property
    def missing_share(self) -> float:
        return self.missing / self.rows if self.rows else 0.0

    @property
    def most_share(self) -> float:
        """Share of the rows with a value that have the commonest."""
        filled = self.rows - self.missing
        return self.most / filled if filled else 0.0

    def as_record(self) -> dict[str, Any]:
        """JSON types, without a value of the column."""
        return {
            "name": self.name,
            "type": self.type,
            "role": self.role,
            "hidden": self.hidden,
            "missing": self.missing,
            "missing_by": [round(float(share), 6) for share in self.missing_by],
            "distinct": self.distinct,
        }


def column_look(
    name: str,
    values: pd.Series,
    *,
    kind: ColumnType,
    role: Role,
    hidden: str,
    periods: Periods,
) -> ColumnLook:
    """A column at a glance.

    Args:
        values: The whole column in order of time, shape (n,).
    """
    blank, counts = values.isna().to_numpy(), values.value_counts()
    by, most = periods.mean(blank.astype("float64")), int(counts.max()) if len(counts) else 0
    return ColumnLook(name, kind, role, hidden, len(values), int(blank.sum()), by, len(counts), most)
