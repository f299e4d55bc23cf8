"""Times that a file holds in parts: columns of years, months, days, perhaps hours; or of dates, and of clocks."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa

from retrim.core.fault import Fault
from retrim.core.reading import MONTHS, ReadingParams, TimePart
from retrim.datasets.cells import typed

Faults = tuple[Fault, ...]
SECONDS: Mapping[TimePart, int] = {"hour": 3600, "minute": 60, "second": 1, "clock": 1}
HIGHEST: Mapping[TimePart, int] = {"hour": 24, "minute": 59, "second": 59, "clock": 24 * 3600}
"""Of parts of a day, each from 0; hour 24 is the midnight that ends it."""
CLOCK = r"^(\d{1,2})(?:[:.h](\d\d)(?:[:.](\d\d)(?:[.]\d+)?)?)?\s*(?:([AaPp])[.]?[Mm][.]?)?$"
CURE = "write each part of a time as a number; of months also the name"
CURES: Mapping[TimePart, str] = {"date": "write the day as the other days are, with no time of the day"}


def put_together(stored: pa.Table, name: str, reading: ReadingParams) -> tuple[pa.ChunkedArray, tuple[Fault, ...]]:
    """The time column `name` as text in ISO 8601, as if the file had it; blank where a part is.

    Args:
        stored: The columns of the file, among them the parts.
        name: What the time is called, in `reading.parts`.
        reading: How the file spells what its cells say.

    Returns:
        The column, what stands in the parts where that is no day of the calendar; and cells that are no whole numbers.
    """
    found: dict[TimePart, pd.Series] = {}
    faults: list[Fault] = []
    for part, column in reading.parts[name].items():
        found[part], wrong = _part(stored.column(column), part, column, reading)
        faults += (replace(fault, cure=CURES.get(part, CURE)) for fault in wrong)
    parts = pd.DataFrame(found)
    blank = parts.isna().any(axis=1).to_numpy()
    if "date" in found:
        days = found["date"].dt.tz_localize(None)
        good = (days.notna() & (days == days.dt.normalize())).to_numpy()
    else:
        days = pd.to_datetime(parts[["year", "month", "day"]].where(parts["year"] >= 1000), errors="coerce")
        good = days.notna().to_numpy()
    seconds = np.zeros(len(parts))
    for part, each in SECONDS.items():
        if part in found:
            good = good & found[part].between(0, HIGHEST[part]).to_numpy()
            seconds += found[part].fillna(0).to_numpy() * each
    instants = days.to_numpy(dtype="datetime64[s]") + np.where(good, seconds, 0).astype("timedelta64[s]")
    text = pd.Series(np.datetime_as_string(instants), index=parts.index, dtype="str")
    wrong_days = parts.index[~good & ~blank]
    told = [stored.column(column) for column in reading.parts[name].values()]
    text.loc[wrong_days] = ["-".join(_as_told(cells[row].as_py()) for cells in told) for row in wrong_days]
    return pa.chunked_array([pa.array(text.mask(blank), pa.string(), from_pandas=True)]), tuple(faults)


def _part(cells: pa.ChunkedArray, part: TimePart, name: str, reading: ReadingParams) -> tuple[pd.Series, Faults]:
    """A part as a number, a date as its midnight, a clock as the seconds since, -1 where it is none; missing: blank."""
    if part == "date":
        return typed(cells, name, "time", reading.model_copy(update={"zone": "UTC"}))
    if part == "clock":
        return _seconds(cells, reading), ()
    return typed(_numbered(cells) if part == "month" else cells, name, "integer", reading)


def _seconds(cells: pa.ChunkedArray, reading: ReadingParams) -> pd.Series:
    """Seconds of the day that clocks show, such as 13:45, 18.00.00, 1:45 PM or 7; -1 where one is none."""
    if pa.types.is_time(cells.type):
        cells = cells.cast(pa.time64("us")).cast(pa.int64())
        return pd.Series(cells.to_pandas(), dtype="float64") // 1_000_000
    text = typed(cells if _is_words(cells) else cells.cast(pa.string()), "", "category", reading)[0].str.strip()
    found = text.str.extract(CLOCK).set_axis(["hour", "minute", "second", "half"], axis=1)
    hour, minute, second = (pd.to_numeric(found[each]) for each in ("hour", "minute", "second"))
    half = found["half"].str.lower()
    twelve = half.notna()
    fits = hour.between(1, 12).where(twelve, hour.between(0, 24)) & ~(minute > 59) & ~(second > 59)
    hour = (hour % 12 + 12 * (half == "p")).where(twelve, hour)
    told = 3600 * hour + 60 * minute.fillna(0) + second.fillna(0)
    return told.where(fits, -1.0).where(text.notna()).astype("float64")


def _as_told(cell: object) -> str:
    return f"{cell:.0f}" if isinstance(cell, float) else str(cell)


def _is_words(cells: pa.ChunkedArray) -> bool:
    kind = cells.type.value_type if pa.types.is_dictionary(cells.type) else cells.type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbered(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Months with their numbers in place of words."""
    if not _is_words(cells):
        return cells
    words = pd.Series(cells.to_pandas(), dtype="str")
    small = words.str.strip().str.rstrip(".").str.lower()
    numbers = {word: str(at) for at, month in enumerate(MONTHS, 1) for word in (month, month[:3])}
    told = small.map(numbers)
    return pa.chunked_array([pa.array(words.where(told.isna(), told), pa.string(), from_pandas=True)])
