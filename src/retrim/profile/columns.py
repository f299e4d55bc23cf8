"""One column at a glance: what fills it, how far its values lie, how much is missing in each part of the history.

Parts of the history are months, or what suits a table's own span.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.drift.cells import as_floats
from retrim.table.data import ColumnType, Role

MOST, LEAST_OF_PERIOD = 48, 6
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
    if LEAST_OF_PERIOD <= counts["month"] <= MOST and ("month" in full or not full):
        every = "month"
    codes, label = units[every]
    first = int(codes[0])
    return Periods(codes - first, tuple(label(first + number) for number in range(counts[every])), every)


def blocks(rows: int, most: int) -> Periods:
    """At most that many parts of equally many rows."""
    size = max(-(-rows // most), 1)
    count = -(-rows // size)
    ends = (f"rows {size * at + 1} to {min(size * (at + 1), rows)}" for at in range(count))
    return Periods(np.arange(rows) // size, tuple(ends), f"{size} rows")


def together(codes: np.ndarray, most: int) -> np.ndarray:
    """Numbers from 0 up, neighbours taken together until there are at most that many."""
    size = max(-(-(int(codes.max(initial=0)) + 1) // most), 1)
    return np.asarray(codes // size)


def _usual(codes: np.ndarray) -> float:
    """Rows of the middle one of the parts that have some."""
    return float(np.median(np.unique(codes, return_counts=True)[1]))


def _day(seconds: int, spelling: str) -> str:
    return f"{pd.Timestamp(int(seconds), unit='s'):{spelling}}"


RARE = 20
"""Rows of a category below which nothing can be learned of it."""
NEWEST = 0.2
"""Share of the rows, the newest, in which categories may be such as were never seen before."""


@dataclass(frozen=True)
class NumberRange:
    """Where the finite numbers of a column lie: both ends, and the ends of the middle 98%."""

    lowest: float
    low: float
    high: float
    highest: float
    infinite: int  # rows that hold no finite number


@dataclass(frozen=True)
class Levels:
    """The categories of a column: how many have fewer than 20 rows, and the rows of those."""

    rare: int
    rare_rows: int
    unseen: float  # share of the newest fifth of the rows whose category no earlier row had
    longest: int  # signs of the longest


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
        missing_by: Share of missing values in each part of the history; NaN for a part without rows.
        distinct: Number of different values.
        most: Rows with the most frequent value.
        numbers: Range of a numeric column that may be shown.
        levels: Categories of a column that may be shown.
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
    numbers: NumberRange | None
    levels: Levels | None

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
            "missing_by": [None if np.isnan(share) else round(float(share), 6) for share in self.missing_by],
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
    blank = values.isna().to_numpy()
    missing = int(blank.sum())
    by = periods.mean(blank.astype("float64"))
    numbers, levels, distinct, most = None, None, 0, 0
    if kind in ("number", "integer"):
        floats = as_floats(values)
        ordered = np.sort(floats)[: len(floats) - missing]
        distinct, most = _runs(ordered)
        if not hidden:
            numbers = _range(ordered)
    elif kind == "category":
        codes, texts = pd.factorize(values)
        counts = np.bincount(codes[codes >= 0], minlength=len(texts))
        distinct, most = len(texts), int(counts.max(initial=0))
        if not hidden:
            levels = _levels(codes, counts, longest=max((len(str(text)) for text in texts), default=0))
    else:
        distinct = int(values.nunique())
    return ColumnLook(name, kind, role, hidden, len(values), missing, by, distinct, most, numbers, levels)


def _runs(ordered: np.ndarray) -> tuple[int, int]:
    """How many different numbers there are, and how often the commonest stands there."""
    if not len(ordered):
        return 0, 0
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return len(starts), int(np.diff(np.append(starts, len(ordered))).max())


def _range(ordered: np.ndarray) -> NumberRange | None:
    low, high = np.searchsorted(ordered, -np.inf, side="right"), np.searchsorted(ordered, np.inf, side="left")
    finite = ordered[low:high]
    if not len(finite):
        return None
    lowest, one, ninety_nine, highest = (_at(finite, share) for share in (0.0, 0.01, 0.99, 1.0))
    return NumberRange(lowest, one, ninety_nine, highest, infinite=len(ordered) - len(finite))


def _at(ordered: np.ndarray, share: float) -> float:
    """A quantile: the value that so large a share of the rows is at or below."""
    return float(ordered[max(int(np.ceil(share * len(ordered))) - 1, 0)])


def _levels(codes: np.ndarray, counts: np.ndarray, *, longest: int) -> Levels:
    cut = int(len(codes) * (1 - NEWEST))
    seen = np.zeros(len(counts) + 1, dtype=bool)
    seen[codes[:cut]] = True
    new = codes[cut:]
    new = new[new >= 0]
    rare = counts < RARE
    return Levels(
        rare=int(rare.sum()),
        rare_rows=int(counts[rare].sum()),
        unseen=float(np.mean(~seen[new])) if len(new) else 0.0,
        longest=longest,
    )
