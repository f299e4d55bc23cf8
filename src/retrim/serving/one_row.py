"""One row the short way: without a table, by what was worked out when the version was loaded.

It takes plain rows only: each cell of its declared type, within its bounds, spelled in the plainest way. All others it
leaves to the way that many rows go, which reads what is spelled otherwise and says what is wrong.

What a suite asks of each row (bounds, sets, filled cells) is asked here without Great Expectations: loading that takes
5 s and 200 MB, and asking it 20 ms. A suite that asks anything else of its rows is left to it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from math import nan
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from retrim.adapters.great_expectations import for_columns, rows_that_break
from retrim.errors import RetrimError
from retrim.reading.table import TOO_LARGE
from retrim.serving.checked_rows import NOT_TEXT, Breaks, NeededColumns, is_of_rows, suite_of_rows
from retrim.stats.codec import from_record
from retrim.table.data import ColumnType
from retrim.table.fault import Expectation, Suite
from retrim.table.reading import CalendarPart, ReadingParams
from retrim.training.bundle import Predictor
from retrim.training.estimators import is_own

BETWEEN, IN_SET, NOT_NULL = (f"expect_column_values_to_{kind}" for kind in ("be_between", "be_in_set", "not_be_null"))
TAKES = {
    BETWEEN: {"column", "min_value", "max_value", "strict_min", "strict_max", "mostly"},
    IN_SET: {"column", "value_set", "mostly"},
    NOT_NULL: {"column", "mostly"},
}
NUMBERS = ("number", "integer")


@dataclass(frozen=True)
class Bound:
    """What one expectation allows of a cell that is there.

    Args:
        column: Whose cells.
        low: The least number.
        high: The largest number.
        allowed: All that it may be; None: not a set.
        filled: Whether a blank cell breaks it.
    """

    column: str
    low: float = -np.inf
    high: float = np.inf
    allowed: frozenset[float | str] | None = None
    filled: bool = False

    def broken(self, values: pd.Series) -> np.ndarray:
        """Cells that break it, shape (n,)."""
        blank = values.isna().to_numpy()
        if self.filled:
            return blank
        if self.allowed is not None:
            return ~blank & ~values.isin(list(self.allowed)).to_numpy()
        numbers = values.to_numpy(dtype="float64", na_value=np.nan)
        return ~blank & ~((numbers >= self.low) & (numbers <= self.high))


def suite_to_ask(path: Path, types: Mapping[str, ColumnType]) -> Suite:
    """What is asked of each row about these columns; Great Expectations reads it where it is more than bounds.

    Raises:
        BadInputError: The suite is not there, or cannot be read.
    """
    try:
        suite = for_columns(from_record(Suite, json.loads(path.read_bytes())), types)
        asked = suite.only(filter(is_of_rows, suite.expectations))
        if bounds_of(asked, types) is not None:
            return asked
    except (OSError, ValueError, RetrimError):
        pass  # what is wrong with it is said below
    return suite_of_rows(path, types)


def bounds_of(suite: Suite, types: Mapping[str, ColumnType]) -> tuple[Bound, ...] | None:
    """The expectations of a suite as bounds; None where one is none."""
    found = [bound_of(one, types) for one in suite.expectations]
    return None if None in found else tuple(each for each in found if each is not None)


def bound_of(expectation: Expectation, types: Mapping[str, ColumnType]) -> Bound | None:
    """An expectation as a bound; None where it is none."""
    kind, given, column = expectation.type, expectation.arguments, expectation.arguments.column
    if kind not in TAKES or not set(expectation.kwargs) <= TAKES[kind] or column not in types:
        return None
    is_number = types[column] in NUMBERS
    if kind == NOT_NULL:
        return Bound(column, filled=True)
    if kind == IN_SET:
        values = [each for each in given.value_set if isinstance(each, str | int | float)]
        fits = values and all(_is_number(each) if is_number else isinstance(each, str) for each in given.value_set)
        return Bound(column, allowed=frozenset(values)) if fits and types[column] != "time" else None
    low, high = given.min_value, given.max_value
    if not is_number or not all(each is None or _is_number(each) for each in (low, high)):
        return None
    least = -np.inf if low is None else float(low)
    most = np.inf if high is None else float(high)
    return Bound(
        column,
        float(np.nextafter(least, np.inf)) if given.strict_min and low is not None else least,
        float(np.nextafter(most, -np.inf)) if given.strict_max and high is not None else most,
    )


def asker_of(bounds: tuple[Bound, ...] | None) -> Breaks:
    """What asks rows these bounds; without any, Great Expectations."""
    return rows_that_break if bounds is None else partial(_rows_out_of_bounds, bounds)


def _rows_out_of_bounds(bounds: tuple[Bound, ...], frame: pd.DataFrame, suite: Suite) -> dict[int, list[int]]:
    own = [bound for bound in bounds if bound.column in frame]  # as `for_columns` leaves the others out
    places = {number: np.flatnonzero(bound.broken(frame[bound.column])).tolist() for number, bound in enumerate(own)}
    return {number: rows for number, rows in places.items() if rows}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?Z?", re.ASCII)
Cell = float | str | datetime | None


class UnusualRowError(Exception):
    """A row that is not plain."""


@dataclass(frozen=True)
class PlainRow:
    """A row that was read.

    Args:
        matrix: Shape (1, columns of the model).
        key: Of the row; None where it has none.
        event: Of the row in microseconds since 1970; None where it is not known.
        unseen: Columns with a category that training did not know; None without any.
    """

    matrix: np.ndarray
    key: str | None
    event: int | None
    unseen: list[str] | None


class OneRow:
    """Reads plain rows for one version.

    Args:
        predictor: Of the version.
        needs: What it takes of a row.
        bounds: What the suite asks of a row.
        reading: How text is spelled.
        key: Columns that name a row.
    """

    def __init__(
        self,
        predictor: Predictor,
        needs: NeededColumns,
        bounds: Sequence[Bound],
        reading: ReadingParams,
        key: tuple[str, ...],
    ) -> None:
        view = predictor.view
        self._levels = {
            name: {level: float(code) for code, level in enumerate(levels)} for name, levels in view.levels.items()
        }
        self._features = tuple(view.columns)
        self._kinds: dict[str, ColumnType] = {**needs.carried, **needs.required}
        self._required = frozenset(needs.required)
        self._bounds: dict[str, list[Bound]] = {}
        for bound in bounds:
            self._bounds.setdefault(bound.column, []).append(bound)
        for name in needs.filled:
            self._bounds.setdefault(name, []).append(Bound(name, filled=True))
        self._missing = frozenset(word.strip() for word in reading.missing)
        self._is_utc = reading.zone == "UTC"
        self._zone = ZoneInfo(reading.zone)
        self._dated = frozenset(reading.dates)
        self._calendar, self._time, self._key = needs.calendar, needs.time, key

    def read(self, row: Mapping[str, Any]) -> PlainRow:
        """A row of JSON.

        Raises:
            UnusualRowError: It is not plain.
        """
        cells: dict[str, Cell] = {}
        for name, kind in self._kinds.items():
            if name in row:
                cells[name] = self._cell(name, kind, row[name])
            elif name in self._required and name not in self._calendar:
                raise UnusualRowError
        event = cells.get(self._time)
        for name, part in self._calendar.items():
            if name not in cells:
                if not isinstance(event, datetime):
                    raise UnusualRowError
                cells[name] = self._held(name, part_of(event.astimezone(self._zone), part))
        values = [self._number(name, cells[name]) for name in self._features]
        micro = (event - EPOCH) // MICROSECOND if isinstance(event, datetime) else None
        unseen = [
            name for name, levels in self._levels.items() if (cell := cells[name]) not in levels and cell is not None
        ]
        return PlainRow(np.array([values]), self._key_of(cells), micro, unseen or None)

    def _number(self, name: str, cell: Cell) -> float:
        if cell is None:
            return nan
        levels = self._levels.get(name)
        return cell if levels is None else levels.get(cell, nan)  # type: ignore[return-value,arg-type]

    def _cell(self, name: str, kind: ColumnType, value: Any) -> Cell:
        if value is None:
            cell: Cell = None
        elif kind == "category":
            cell = self._text(name, value)
        elif kind == "time":
            cell = self._moment(name, value)
        elif type(value) is float or type(value) is int:
            if not -TOO_LARGE < value < TOO_LARGE or (kind == "integer" and value != int(value)):
                raise UnusualRowError
            cell = float(value)
        else:
            raise UnusualRowError
        return self._held(name, cell) if name in self._bounds else cell

    def _held(self, name: str, cell: Cell) -> Cell:
        for bound in self._bounds.get(name, ()):
            if cell is None:
                good = not bound.filled
            elif bound.allowed is not None:
                good = cell in bound.allowed
            else:
                good = bound.filled or bound.low <= cell <= bound.high  # type: ignore[operator]
            if not good:
                raise UnusualRowError
        return cell

    def _text(self, name: str, value: Any) -> str:
        """A text that stands for itself: of a level that is known, or without anything that is read in its own way."""
        if type(value) is not str or value in self._missing:
            raise UnusualRowError
        if value in self._levels.get(name, ()) and NOT_TEXT not in value and value == value.strip():
            return value
        if value.isascii() and value.isprintable() and value and value == value.strip():
            return value
        raise UnusualRowError

    def _moment(self, name: str, value: Any) -> datetime:
        if type(value) is not str or name in self._dated or PLAIN_TIME.fullmatch(value) is None:
            raise UnusualRowError
        if not (self._is_utc or value.endswith("Z")) or value in self._missing:
            raise UnusualRowError
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise UnusualRowError from None
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)

    def _key_of(self, cells: Mapping[str, Cell]) -> str | None:
        parts = [key_text(cells.get(name)) for name in self._key]
        if not parts or None in parts:
            return None
        texts = [str(part) for part in parts]
        return "|".join(text.replace("\\", "\\\\").replace("|", "\\|") for text in texts) if texts[1:] else texts[0]


def part_of(moment: datetime, part: CalendarPart) -> float:
    """A part of the calendar as clocks show it; `derived_columns.calendar_part` for one moment."""
    match part:
        case "hour":
            return float(moment.hour)
        case "weekday":
            return float(moment.weekday())
        case "month":
            return float(moment.month)
        case "day_of_month":
            return float(moment.day)
    return float(moment.timetuple().tm_yday)


def key_text(cell: Cell) -> str | None:
    """A cell of a key as text; `table.data.row_keys` for one row."""
    if isinstance(cell, float):
        return repr(int(cell)) if cell == int(cell) else repr(cell)
    return cell.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") if isinstance(cell, datetime) else cell


def make_one_row(
    predictor: Predictor,
    needs: NeededColumns,
    bounds: Sequence[Bound] | None,
    reading: ReadingParams,
    key: tuple[str, ...],
) -> OneRow | None:
    """The short way of a version; None where it has none.

    It has none with preprocessing steps, a model of one's own, or a suite that asks more than
    bounds.
    """
    if predictor.view.steps or bounds is None or is_own(predictor.recipe.model):
        return None
    return OneRow(predictor, needs, bounds, reading, key)
