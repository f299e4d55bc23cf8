"""One plain row of a request, read without a table by what was worked out when the version was loaded.

Plain is a row with each cell of its declared type, within the suite's rules, spelled in the plainest way. All others
go the way of many rows (`request_rows`), which reads what is spelled otherwise and says what is wrong.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import nan
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from retrim.reading.table import TOO_LARGE
from retrim.serving.checked_rows import NOT_TEXT
from retrim.serving.needed_columns import NeededColumns
from retrim.serving.rules import CellRule
from retrim.table.data import ColumnType
from retrim.table.reading import CalendarPart, ReadingParams
from retrim.training.bundle import Predictor

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
PLAIN_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?Z?", re.ASCII)
Cell = float | str | datetime | None
ReadRows = tuple[np.ndarray, list[str | None], list[int | None], list[list[str] | None]]
"""Rows of a request as a version takes them: shape (n, columns of the model); and of each row its key, its event in
microseconds since 1970, and the columns with a category that training did not know, None where there is none."""


class UnusualRowError(Exception):
    """A row that is not plain."""


class OneRow:
    """Reads plain rows for one version, each held to the rules of the suite."""

    def __init__(
        self,
        predictor: Predictor,
        needs: NeededColumns,
        rules: Sequence[CellRule],
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
        self._rules: dict[str, list[CellRule]] = {}
        for rule in (*rules, *(CellRule(name, filled=True) for name in needs.filled)):
            self._rules.setdefault(rule.column, []).append(rule)
        self._missing = frozenset(word.strip() for word in reading.missing)
        self._is_utc = reading.zone == "UTC"
        self._zone = ZoneInfo(reading.zone)
        self._calendar, self._time, self._key = needs.calendar, needs.time, key

    def read(self, row: Mapping[str, Any]) -> ReadRows:
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
        return np.array([values]), [self._key_of(cells)], [micro], [unseen or None]

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
        return self._held(name, cell) if name in self._rules else cell

    def _held(self, name: str, cell: Cell) -> Cell:
        if not all(rule.holds(cell) for rule in self._rules.get(name, ())):
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
        if type(value) is not str or PLAIN_TIME.fullmatch(value) is None:
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
