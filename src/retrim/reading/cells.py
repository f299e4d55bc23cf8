"""Turns one column of text, or of Parquet, into its declared type; what does not fit is a fault.

Nothing is guessed: a number is a decimal number, a time is ISO 8601, a category is
its text as it stands. Blank is missing. "NaN", "NA", "inf" and the like are no numbers.
What a table spells otherwise is declared (`reading` in params.yaml), and obeyed here.

Times that a file holds in parts: columns of years, months, days, perhaps hours; or of dates, and of clocks.

Columns that Parquet has no type for, such as empty records: as text.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrim.table.data import ColumnType
from retrim.table.fault import Fault, of_rows, whole_file
from retrim.table.reading import MONTHS, PLAIN, UNIX, ReadingParams, TimePart

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
TIME = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( ?(Z|[+-]\d\d:?\d\d))?)?$"
TOO_LARGE = 2.0**53
ZONED = r"(?:Z|[+-]\d\d:?\d\d)$"
YEARS = (1, 9999)  # what the standard library holds, in UTC
SECONDS = (-62_135_596_800, 253_402_300_799)  # their ends, counted from 1970
TICKS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # of a second
RULES: dict[ColumnType, str] = {
    "number": "is a finite decimal number or blank",
    "integer": "is a whole number below 2^53 or blank",
    "category": "is text or blank",
    "time": "is a time in ISO 8601 (UTC unless it names a zone) or blank",
}
CURES: dict[ColumnType, str] = {
    "number": "correct the cells; leave a missing one blank",
    "integer": "correct the cells; declare the column a number, or a category if it is a long identifier",
    "category": "store the column as text, or declare it a number",
    "time": "write times such as 2024-05-01T13:00:00Z, of the years 1 to 9999; leave an unknown one blank",
}


def rule_of(name: str, kind: ColumnType, reading: ReadingParams) -> str:
    """What a cell of a column has to be, in words, with what is declared of its spelling."""
    formats = reading.dates.get(name, ())
    if kind == "time" and name in reading.parts:
        return f"is a time, put together from {', '.join(reading.parts[name].values())}, or blank"
    if kind == "time" and formats:
        return f"is a time as {' or '.join(formats)} or blank"
    decimal, thousands = reading.signs_of(name)
    if kind in ("number", "integer") and (decimal != "." or thousands):
        grouped = f", thousands {thousands!r}" if thousands else ""
        return f"{RULES[kind]} (decimal sign {decimal!r}{grouped})"
    return RULES[kind]


def typed(
    column: pa.ChunkedArray, name: str, kind: ColumnType, reading: ReadingParams = PLAIN, *, later: bool = False
) -> tuple[pd.Series, tuple[Fault, ...]]:
    """The values of `column` as `kind`, and the cells that are not of it.

    Args:
        column: As it stands in the file.
        name: What it is called.
        kind: Its declared type.
        reading: How the file spells what its cells say.
        later: Whether a local time that comes twice in autumn is read as the later of the two.

    Returns:
        float64 (number, integer), str (category) or UTC microseconds (time); missing where a cell is at fault.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    text = _is_text(column)
    if text:
        bare = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.equal(bare, ""), None, bare if reading.trim else column)
        if reading.missing:
            words = pa.array([word.strip() for word in reading.missing], bare.type)
            column = pc.if_else(pc.is_in(bare, value_set=words), None, column)
    if kind == "category":
        return _category(column, name)
    if text:
        return _from_text(pc.utf8_trim_whitespace(column), name, kind, reading, later=later)
    return _from_storage(column, name, kind, reading, later=later)


def _is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _category(column: pa.ChunkedArray, name: str) -> tuple[pd.Series, tuple[Fault, ...]]:
    if _is_text(column):
        return pd.Series(column.to_pandas(), dtype="str", name=name), ()
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return pd.Series(column.cast(pa.string()).to_pandas(), dtype="str", name=name), ()
    return _stored_wrongly(column, name, "category", "str")


def _from_text(
    column: pa.ChunkedArray, name: str, kind: ColumnType, reading: ReadingParams, *, later: bool
) -> tuple[pd.Series, tuple[Fault, ...]]:
    blank = pc.is_null(column).to_numpy()
    faults: tuple[Fault, ...] = ()
    if kind == "time":
        values, good, skipped = _times(column, name, reading, later=later)
        faults = _never_shown(skipped & ~blank, column, name, reading.zone)
        good = good | skipped
    else:
        values = pd.Series(
            _plain_numbers(column, *reading.signs_of(name)).cast(pa.float64()).to_pandas(), name=name, dtype="float64"
        )
        good = _numbers_fit(values, kind)
    bad = ~blank & ~good
    return values.mask(bad), (*_cells(bad, column, name, kind, reading), *faults)


def _plain_numbers(column: pa.ChunkedArray, decimal: str, thousands: str) -> pa.ChunkedArray:
    """Numbers as `NUMBER` has them, still text; missing where a cell is none as declared."""
    point, apart = re.escape(decimal), re.escape(thousands)
    if thousands:
        grouped = rf"^[+-]?[1-9][0-9]{{0,2}}({apart}[0-9]{{3}})+({point}[0-9]*)?$"
        ungrouped = pc.replace_substring(column, thousands, "")
        column = pc.if_else(pc.match_substring_regex(column, grouped), ungrouped, column)
    if decimal != ".":
        column = pc.if_else(pc.match_substring(column, "."), None, column)
        column = pc.replace_substring(column, decimal, ".")
    return pc.if_else(pc.fill_null(pc.match_substring_regex(column, NUMBER), False), column, None)


def _times(
    column: pa.ChunkedArray, name: str, reading: ReadingParams, *, later: bool
) -> tuple[pd.Series, np.ndarray, np.ndarray]:
    """UTC microseconds, missing where a cell is no time as declared; where it is one; and where no clock showed it."""
    formats = reading.dates.get(name, ())
    if formats:
        text = pd.Series(column.to_pandas(), dtype="str", name=name)
        values = pd.Series(pd.NaT, index=text.index, name=name, dtype="datetime64[us, UTC]")
        skipped = np.zeros(len(text), dtype=bool)
        for form in formats:
            left = values.isna() & ~skipped
            read, is_naive = _parsed(text[left], form)
            placed = _placed(read, reading.zone, later=later) if is_naive else read
            skipped |= (read.notna() & placed.isna()).reindex(text.index, fill_value=False).to_numpy()
            values = values.where(~left, placed.reindex(text.index))
    else:
        fits = pc.fill_null(pc.match_substring_regex(column, TIME), False)
        text = pd.Series(pc.if_else(fits, column, None).to_pandas(), dtype="str", name=name)
        read = values = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")
        if reading.zone != "UTC":
            naive = ~text.str.contains(ZONED, regex=True).fillna(value=True).astype("bool")
            placed = _placed(read[naive], reading.zone, later=later)
            values = read.where(~naive, placed.reindex(text.index))
        skipped = (read.notna() & values.isna()).to_numpy()
    return values, values.dt.year.between(*YEARS).to_numpy(), skipped


def _parsed(text: pd.Series, form: str) -> tuple[pd.Series, bool]:
    """Times as the format has them, missing where a cell is none; and whether they name no zone: then as if in UTC."""
    if form in UNIX:
        ticks = pd.to_numeric(
            text.where(text.str.fullmatch(NUMBER).fillna(value=False).astype("bool")), errors="coerce"
        )
        return _since_1970(ticks * TICKS["us"] / TICKS[UNIX[form]]), False
    found = pd.to_datetime(text, format=form, errors="coerce", utc="%z" in form).dt.as_unit("us")
    return (found, False) if "%z" in form else (found.dt.tz_localize("UTC"), True)


def _since_1970(micro: pd.Series) -> pd.Series:
    """Instants of microseconds since 1970, missing where one is not known or far away."""
    known = (micro.abs() < TOO_LARGE).to_numpy()
    ticks = np.where(known, micro.where(known, 0).round().to_numpy(), 0).astype("int64").view("datetime64[us]")
    return pd.Series(ticks, index=micro.index).where(known).dt.tz_localize("UTC")


def _placed(walls: pd.Series, zone: str, *, later: bool) -> pd.Series:
    """Instants of local times given as if in UTC; missing where clocks went forward over one.

    Args:
        walls: Times that clocks in the zone showed.
        zone: Where.
        later: Whether one that comes twice is the later of the two.
    """
    if zone == "UTC":
        return walls
    bare = walls.dt.tz_localize(None)
    is_summer = np.full(len(bare), fill_value=not later)
    there = bare.dt.tz_localize(zone, ambiguous=is_summer, nonexistent="NaT")
    return pd.Series(there.dt.tz_convert("UTC"))


def _never_shown(skipped: np.ndarray, column: pa.ChunkedArray, name: str, zone: str) -> tuple[Fault, ...]:
    """The fault of local times of the hour that clocks skip in spring."""
    rows = np.flatnonzero(skipped)
    if not len(rows):
        return ()
    found = ((int(row), None, column[int(row)].as_py()) for row in rows)
    rule = f"is a time that clocks in {zone} showed"
    cure = "clocks went forward over it: correct the time, or name the zone that it is of (reading.zone)"
    return (of_rows(name, rule, found, count=len(rows), releasable=False, cure=cure),)


def _from_storage(
    column: pa.ChunkedArray, name: str, kind: ColumnType, reading: ReadingParams, *, later: bool
) -> tuple[pd.Series, tuple[Fault, ...]]:
    stored = column.type
    form = next(iter(reading.dates.get(name, ())), "")
    if kind == "time":
        if form in UNIX and pa.types.is_integer(stored):
            if pa.types.is_uint64(stored):  # what no signed number holds is far away anyway
                column = pc.min_element_wise(column, pa.scalar(2**63 - 1, stored), skip_nulls=False)
            column = column.cast(pa.int64()).cast(pa.timestamp(UNIX[form]))
            stored = column.type
        if not (pa.types.is_timestamp(stored) or pa.types.is_date(stored)):
            return _stored_wrongly(column, name, kind, "datetime64[us, UTC]")
        if pa.types.is_date(stored):
            column = column.cast(pa.timestamp("ms"))
        ticks = column.cast(pa.int64())
        # Looked at as whole numbers: far away, the cast to microseconds would wrap without a word.
        low, high = (int(np.clip(end * TICKS[column.type.unit], -(2**63), 2**63 - 1)) for end in SECONDS)
        out = pc.fill_null(pc.or_(pc.less(ticks, low), pc.greater(ticks, high)), False)
        instants = pc.if_else(out, None, column).cast(pa.timestamp("us", "UTC"), safe=False)
        times = pd.Series(instants.to_pandas(), name=name).dt.as_unit("us").dt.tz_convert("UTC")
        faults = _cells(out.to_numpy(), ticks, name, kind)
        if form not in UNIX and pa.types.is_timestamp(stored) and stored.tz is None:
            placed = _placed(times, reading.zone, later=later)
            skipped = (times.notna() & placed.isna()).to_numpy()
            return placed, (*faults, *_never_shown(skipped, column, name, reading.zone))
        return times, faults
    if not (pa.types.is_integer(stored) or pa.types.is_floating(stored) or pa.types.is_decimal(stored)):
        return _stored_wrongly(column, name, kind, "float64")
    values = pd.Series(column.cast(pa.float64(), safe=False).to_pandas(), name=name, dtype="float64")
    bad = values.notna().to_numpy() & ~_numbers_fit(values, kind)
    return values.mask(bad), _cells(bad, column, name, kind)


def _numbers_fit(values: pd.Series, kind: ColumnType) -> np.ndarray:
    array = values.to_numpy()
    good: np.ndarray = np.isfinite(array)
    if kind == "integer":
        good = good & (np.mod(array, 1, where=good, out=np.ones_like(array)) == 0) & (np.abs(array) < TOO_LARGE)
    return good


def _cells(
    bad: np.ndarray, column: pa.ChunkedArray, name: str, kind: ColumnType, reading: ReadingParams = PLAIN
) -> tuple[Fault, ...]:
    rows = np.flatnonzero(bad)
    if not len(rows):
        return ()
    found = ((int(row), None, column[int(row)].as_py()) for row in rows)
    return (of_rows(name, rule_of(name, kind, reading), found, count=len(rows), releasable=False, cure=CURES[kind]),)


def _stored_wrongly(
    column: pa.ChunkedArray, name: str, kind: ColumnType, dtype: str
) -> tuple[pd.Series, tuple[Fault, ...]]:
    empty = pd.Series([None] * len(column), name=name, dtype=dtype)
    return empty, (whole_file(RULES[kind], column=name, value=f"stored as {column.type}", cure=CURES[kind]),)


Faults = tuple[Fault, ...]
SECONDS_OF_PART: Mapping[TimePart, int] = {"hour": 3600, "minute": 60, "second": 1, "clock": 1}
HIGHEST: Mapping[TimePart, int] = {"hour": 24, "minute": 59, "second": 59, "clock": 24 * 3600}
"""Of parts of a day, each from 0; hour 24 is the midnight that ends it."""
CLOCK = r"^(\d{1,2})(?:[:.h](\d\d)(?:[:.](\d\d)(?:[.]\d+)?)?)?\s*(?:([AaPp])[.]?[Mm][.]?)?$"
CURE = "write each part of a time as a number; of months also the name"
CURES_OF_PART: Mapping[TimePart, str] = {"date": "write the day as the other days are, with no time of the day"}


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
        faults += (replace(fault, cure=CURES_OF_PART.get(part, CURE)) for fault in wrong)
    parts = pd.DataFrame(found)
    blank = parts.isna().any(axis=1).to_numpy()
    if "date" in found:
        days = found["date"].dt.tz_localize(None)
        good = (days.notna() & (days == days.dt.normalize())).to_numpy()
    else:
        days = pd.to_datetime(parts[["year", "month", "day"]].where(parts["year"] >= 1000), errors="coerce")
        good = days.notna().to_numpy()
    seconds = np.zeros(len(parts))
    for part, each in SECONDS_OF_PART.items():
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


def writable(table: pa.Table) -> pa.Table:
    """The table, with each column that Parquet cannot hold as JSON text."""
    for kind in set(table.schema.types):
        if _is_writable(kind):
            continue
        for place, found in enumerate(table.schema.types):
            if found == kind:
                table = table.set_column(place, table.column_names[place], _as_text(table.column(place)))
    return table


def _is_writable(kind: pa.DataType) -> bool:
    try:
        pq.write_table(pa.table({"x": pa.array([], kind)}), pa.BufferOutputStream())
    except pa.ArrowException:
        return False
    return True


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    cells = [None if cell is None else json.dumps(cell, ensure_ascii=False, default=str) for cell in column.to_pylist()]
    return pa.array(cells, pa.string())
