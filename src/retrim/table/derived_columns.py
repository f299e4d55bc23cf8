"""Columns that no file has: they are made of what a file does have, once, when it lands."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.table.data import LABEL_TIME, ColumnType, DataParams
from retrim.table.reading import CalendarPart, ReadingParams

APART = pd.Timedelta("1ms")
"""Between the made times of two rows of a file: all its rows came at once, and their order is all that is known."""
CLOSEST = pd.Timedelta("1us")
"""The least between them, as times are stored."""
PARTS: Mapping[CalendarPart, tuple[int, int]] = {
    "hour": (0, 23), "weekday": (0, 6), "month": (1, 12), "day_of_month": (1, 31), "day_of_year": (1, 366),
}  # fmt: skip
"""Closed range of each part of the calendar; Monday is weekday 0."""


def with_made(
    frame: pd.DataFrame,
    data: DataParams,
    reading: ReadingParams,
    *,
    arrives: pd.Timestamp,
    newest: pd.Timestamp | None = None,
    beside: tuple[int, int] = (0, 0),
) -> pd.DataFrame:
    """Adds the declared columns that files lack: a time in order of arrival, and parts of the calendar.

    Args:
        frame: Typed rows in the order of their file.
        arrives: When the file lands; the last row is given this time, each one before it a millisecond less.
        newest: The newest event before those of the file, which stay after it; None: there is none.
        beside: How many rows of the same arrival stand before and after these.
    """
    if reading.arrival is not None:
        times = made_times(len(frame), last=arrives, newest=newest, beside=beside)
        frame = frame.assign(**{reading.arrival: times.set_axis(frame.index)})
    if data.time not in frame or not reading.calendar:
        return frame
    parts = {name: calendar_part(frame[data.time], part, zone=reading.zone) for name, part in reading.calendar.items()}
    return frame.assign(**parts)


def made_times(
    rows: int,
    *,
    last: pd.Timestamp,
    newest: pd.Timestamp | None = None,
    beside: tuple[int, int] = (0, 0),
) -> pd.Series:
    """Times of so many rows of which only the order is known: `last`, and a millisecond less for each place before.

    Where that would not be after `newest`, they are spread between it and `last`, or follow it a microsecond apart.
    """
    number = np.arange(rows)
    before, after = beside
    whole = before + max(rows, 1) + after
    if newest is None or last - (whole - 1) * APART > newest:
        times = last - (after + max(rows - 1, 0) - number) * APART
    else:  # counted from the newest, as the parts of a large file arrive one after the other
        times = newest + (before + number + 1) * max((last - newest) // whole, CLOSEST).floor("us")
    return pd.Series(pd.DatetimeIndex(times)).dt.as_unit("us")


@dataclass(frozen=True)
class CalendarFeatures:
    """Features that are parts of the calendar, which rows elsewhere do not bring."""

    time: str
    zone: str
    parts: dict[str, CalendarPart]

    def put_into(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with these features; a time without a zone is in UTC."""
        times = pd.to_datetime(rows[self.time], utc=True)
        return rows.assign(**{name: calendar_part(times, part, zone=self.zone) for name, part in self.parts.items()})


def calendar_part(times: pd.Series, part: CalendarPart, *, zone: str) -> pd.Series:
    """One part of the calendar of UTC times as clocks in `zone` show it: float64, within `PARTS`."""
    attribute = {"weekday": "day_of_week", "day_of_month": "day"}.get(part, part)
    return pd.Series(getattr(times.dt.tz_convert(zone).dt, attribute).astype("float64"))


def faults_of(data: DataParams, reading: ReadingParams) -> list[str]:
    """Where the two sections disagree, in sentences."""
    types: dict[str, ColumnType] = {name: column.type for name, column in data.columns.items()}
    return [
        *(
            f"reading.dates: {name!r} is not a time column in data.columns; remove it, or declare it as a time"
            for name in reading.dates
            if types.get(name) != "time" and name != LABEL_TIME
        ),
        *(
            f"reading.skip: {name!r} is also in data.columns; keep it in only one of the two"
            for name in reading.skip
            if name in types
        ),
        *(
            f"reading.arrival: {name!r} is not the column with the role 'time'; set it to {data.time!r} or null"
            for name in (reading.arrival,)
            if name not in (None, data.time)
        ),
        *(
            f"reading.calendar: {name!r} must be an integer with the role 'feature' in data.columns; declare it as "
            "one, or remove it"
            for name in reading.calendar
            if data.features.get(name) != "integer"
        ),
        *(
            f"reading: {name!r} is computed when a file lands, so it cannot identify a row; remove it from data.key"
            for name in reading.made
            if name in data.key
        ),
    ]
