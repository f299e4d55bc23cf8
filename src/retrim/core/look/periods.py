"""The history cut into parts: months, or what suits a table's own span."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

MOST, LEAST = 48, 6
"""Parts of a history, at most; months are taken where they make as many as the least."""
PARTS, ROWS = 4, 30
"""Parts, and rows of a usual one, that there should be, as nothing is said of a part of fewer."""
BLOCKS = 20
"""Parts of a table that has an order and no times."""


@dataclass(frozen=True)
class Periods:
    """Parts of the history, in their order.

    Args:
        codes: Part of each row, ascending, shape (n,).
        labels: What each is called.
        every: What a part is, such as `month`.
    """

    codes: np.ndarray
    labels: tuple[str, ...]
    every: str

    @property
    def rows(self) -> np.ndarray:
        """Rows of each part, shape (parts,); a part in a gap has none."""
        return np.bincount(self.codes, minlength=len(self.labels))

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean of the values of each part, shape (parts,); NaN where it has no rows."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.bincount(self.codes, weights=values, minlength=len(self.labels)) / self.rows)


def cut_periods(event: pd.Series, *, timed: bool) -> Periods:
    """Months where there are 6 to 48 of them; else the finest of hours, days, weeks, quarters, years that fits.

    Where that leaves fewer than 30 rows in a usual part, it is the finest that holds as many, if there is one.

    Args:
        event: Event times in ascending order, UTC, none missing, shape (n,).
        timed: Whether they are times; else parts are blocks of rows.
    """
    if not len(event):
        return Periods(np.zeros(0, dtype="int64"), (), "part")
    if not timed:
        return blocks(len(event), BLOCKS)
    times = event.dt.tz_convert(None).to_numpy().astype("datetime64[s]")
    seconds = times.astype("int64")
    months, years = (times.astype(f"datetime64[{unit}]").astype("int64") for unit in "MY")
    days = seconds // 86_400
    units: dict[str, tuple[np.ndarray, Callable[[int], str]]] = {
        "hour": (seconds // 3600, lambda code: _day(code * 3600, "%m-%d %H:00")),
        "6 hours": (seconds // 21_600, lambda code: _day(code * 21_600, "%m-%d %H:00")),
        "day": (days, lambda code: _day(code * 86_400, "%Y-%m-%d")),
        "week": ((days + 3) // 7, lambda code: _day((code * 7 - 3) * 86_400, "%Y-%m-%d")),  # 1970 began on a Thursday
        "month": (months, lambda code: str(np.datetime64(int(code), "M"))),
        "quarter": (months // 3, lambda code: f"{1970 + code // 4} Q{code % 4 + 1}"),
        "year": (years, lambda code: str(1970 + code)),
        "10 years": ((years + 1970) // 10, lambda code: f"{code * 10}s"),
    }
    counts = {name: int(codes[-1] - codes[0]) + 1 for name, (codes, _) in units.items()}
    fitting = [name for name, count in counts.items() if count <= MOST]
    if not fitting:
        return blocks(len(event), BLOCKS)
    full = [name for name in fitting if counts[name] >= PARTS and _usual(units[name][0]) >= ROWS]
    every = next(iter(full), fitting[0])
    if LEAST <= counts["month"] <= MOST and ("month" in full or not full):
        every = "month"
    codes, label = units[every]
    first = int(codes[0])
    return Periods(codes - first, tuple(label(first + number) for number in range(counts[every])), every)


def blocks(rows: int, most: int) -> Periods:
    """At most so many parts of equally many rows."""
    size = max(-(-rows // most), 1)
    count = -(-rows // size)
    ends = (f"rows {size * at + 1} to {min(size * (at + 1), rows)}" for at in range(count))
    return Periods(np.arange(rows) // size, tuple(ends), f"{size} rows")


def together(codes: np.ndarray, most: int) -> np.ndarray:
    """Numbers from 0 up, neighbours taken together until there are at most so many."""
    size = max(-(-(int(codes.max(initial=0)) + 1) // most), 1)
    return np.asarray(codes // size)


def _usual(codes: np.ndarray) -> float:
    """Rows of the middle one of the parts that have some."""
    return float(np.median(np.unique(codes, return_counts=True)[1]))


def _day(seconds: int, spelling: str) -> str:
    return f"{pd.Timestamp(int(seconds), unit='s'):{spelling}}"
