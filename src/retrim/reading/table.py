"""The one reader of tables: a file and the declared columns give typed rows, or faults.

Nothing is guessed: a number is a decimal number, a time is ISO 8601, a category is its text without blanks around it,
blank is missing. What a table spells otherwise is declared (`reading` in params.yaml).
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retrim.errors import BadInputError
from retrim.reading.container import MOST_WHOLE, NoTableError, columns_of, too_large
from retrim.table.data import LABEL_TIME, ColumnType, DataParams
from retrim.table.fault import Fault, of_rows, whole_file
from retrim.table.reading import FINER, PLAIN, UNIX, ReadingParams
from retrim.table.repeated_hours import later_hours

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
TIME = r"^\d{4}-\d\d-\d\d([T ]\d\d(:\d\d(:\d\d(\.\d{1,9})?)?)?( ?(Z|[+-]\d\d(:?\d\d)?))?)?$"
TOO_LARGE = 2.0**53
ZONED = r"[T ].*(?:Z|[+-]\d\d(?::?\d\d)?)$"
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
    "number": "correct the cells; leave missing values blank",
    "integer": "correct the cells, or declare the column as a number, or as a category if it has long identifiers",
    "category": "store the column as text, or declare it as a number",
    "time": "write times such as 2024-05-01T13:00:00Z, in the years 1 to 9999; leave unknown times blank",
}
KEY = "_key"


def rule_of(name: str, kind: ColumnType, reading: ReadingParams) -> str:
    """What a cell of a column has to be, in words, with what is declared of its spelling."""
    formats = reading.dates.get(name, ())
    if kind == "time" and formats:
        return f"is a time in the format {' or '.join(formats)}, or blank"
    if kind == "time" and reading.zone != "UTC":
        return f"is a time in ISO 8601 ({reading.zone} unless it names a zone) or blank"
    decimal, thousands = reading.decimal, reading.thousands
    if kind in ("number", "integer") and (decimal != "." or thousands):
        grouped = f", thousands separator {thousands!r}" if thousands else ""
        return f"{RULES[kind]} (decimal separator {decimal!r}{grouped})"
    return RULES[kind]


def typed(
    column: pa.ChunkedArray, name: str, kind: ColumnType, reading: ReadingParams = PLAIN, *, later: bool = False
) -> tuple[pd.Series, tuple[Fault, ...]]:
    """The values of `column` as `kind`, missing where a cell is at fault, and those faults.

    Returns:
        float64 (number, integer), str (category) or UTC microseconds (time).
    """
    column, text = present(column, reading)
    if kind == "category":
        return _category(column, name)
    if text:
        return _from_text(column, name, kind, reading, later=later)
    return _from_storage(column, name, kind, reading, later=later)


def present(column: pa.ChunkedArray, reading: ReadingParams) -> tuple[pa.ChunkedArray, bool]:
    """The cells that are not blank, text without blanks around it, the others missing; and whether they are text."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    text = _is_text(column)
    if text:
        column = pc.utf8_trim_whitespace(column)
        words = pa.array(["", *(word.strip() for word in reading.missing)], column.type)
        column = pc.if_else(pc.is_in(column, value_set=words), None, column)
    return column, text


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
        plain = _plain_numbers(column, reading.decimal, reading.thousands)
        values = pd.Series(plain.cast(pa.float64()).to_pandas(), name=name, dtype="float64")
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
        column = pc.replace_substring_regex(pc.if_else(fits, column, None), FINER, r"\1")
        text = pd.Series(column.to_pandas(), dtype="str", name=name)
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
        return _since_1970(ticks.astype("float64") * TICKS["us"] / TICKS[UNIX[form]]), False
    times = pd.to_datetime(text, format=form, errors="coerce", utc="%z" in form).dt.as_unit("us")
    return (times, False) if "%z" in form else (times.dt.tz_localize("UTC"), True)


def _since_1970(micro: pd.Series) -> pd.Series:
    """Instants of microseconds since 1970, missing where one is not known or far away."""
    known = (micro.abs() < TOO_LARGE).to_numpy()
    ticks = np.where(known, micro.where(known, 0).round().to_numpy(), 0).astype("int64").view("datetime64[us]")
    return pd.Series(ticks, index=micro.index).where(known).dt.tz_localize("UTC")


def _placed(walls: pd.Series, zone: str, *, later: bool) -> pd.Series:
    """Instants of local times given as if in UTC; missing where clocks went forward over one."""
    if zone == "UTC":
        return walls
    bare = walls.dt.tz_localize(None)
    is_summer = np.full(len(bare), fill_value=not later)
    there = bare.dt.tz_localize(zone, ambiguous=is_summer, nonexistent="NaT")
    return pd.Series(there.dt.tz_convert("UTC"))


def _never_shown(skipped: np.ndarray, column: pa.ChunkedArray, name: str, zone: str) -> tuple[Fault, ...]:
    """The fault of local times of the hour that clocks skip in spring."""
    cure = "the change to daylight saving time skipped this time; correct the time, or set its time zone (reading.zone)"
    return _of_cells(skipped, column, name, f"is a time that exists in {zone}", cure)


def _from_storage(
    column: pa.ChunkedArray, name: str, kind: ColumnType, reading: ReadingParams, *, later: bool
) -> tuple[pd.Series, tuple[Fault, ...]]:
    stored = column.type
    form = next(iter(reading.dates.get(name, ())), "")
    if kind == "time":
        if form in UNIX and (pa.types.is_floating(stored) or pa.types.is_decimal(stored)):
            counts = pd.Series(as_floats(column).to_pandas(), name=name)
            times = _since_1970(counts * TICKS["us"] / TICKS[UNIX[form]])
            bad = counts.notna().to_numpy() & ~times.dt.year.between(*YEARS).to_numpy()
            return times.mask(bad), _cells(bad, column, name, kind, reading)
        if form in UNIX and pa.types.is_integer(stored):
            if pa.types.is_uint64(stored):  # what no signed number holds is far away anyway
                column = pc.min_element_wise(column, pa.scalar(2**63 - 1, stored), skip_nulls=False)
            column = column.cast(pa.int64()).cast(pa.timestamp(UNIX[form]))
            stored = column.type
        if not (pa.types.is_timestamp(stored) or pa.types.is_date(stored)):
            return _stored_wrongly(column, name, kind, "datetime64[us, UTC]")
        if pa.types.is_date(stored):
            column = column.cast(pa.timestamp("ms"))
            stored = column.type
        ticks = column.cast(pa.int64())
        # Looked at as whole numbers: far away, the cast to microseconds would wrap without a word.
        low, high = (int(np.clip(end * TICKS[column.type.unit], -(2**63), 2**63 - 1)) for end in SECONDS)
        out = pc.fill_null(pc.or_(pc.less(ticks, low), pc.greater(ticks, high)), False)
        instants = pc.if_else(out, None, column).cast(pa.timestamp("us", "UTC"), safe=False)
        times = pd.Series(instants.to_pandas(), name=name).dt.as_unit("us").dt.tz_convert("UTC")
        faults = _cells(out.to_numpy(), ticks, name, kind)
        if form not in UNIX and stored.tz is None:
            placed = _placed(times, reading.zone, later=later)
            skipped = (times.notna() & placed.isna()).to_numpy()
            return placed, (*faults, *_never_shown(skipped, column, name, reading.zone))
        return times, faults
    if not (pa.types.is_integer(stored) or pa.types.is_floating(stored) or pa.types.is_decimal(stored)):
        return _stored_wrongly(column, name, kind, "float64")
    values = pd.Series(as_floats(column).to_pandas(), name=name, dtype="float64")
    bad = values.notna().to_numpy() & ~_numbers_fit(values, kind)
    return values.mask(bad), _cells(bad, column, name, kind)


def as_floats(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as float64. A decimal goes by its text, as the cast of Arrow is off in the last digit."""
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.string())
    return column.cast(pa.float64(), safe=False)


def _numbers_fit(values: pd.Series, kind: ColumnType) -> np.ndarray:
    array = values.to_numpy()
    good: np.ndarray = np.isfinite(array)
    if kind == "integer":
        good = good & (np.mod(array, 1, where=good, out=np.ones_like(array)) == 0) & (np.abs(array) < TOO_LARGE)
    return good


def _cells(
    bad: np.ndarray, column: pa.ChunkedArray, name: str, kind: ColumnType, reading: ReadingParams = PLAIN
) -> tuple[Fault, ...]:
    return _of_cells(bad, column, name, rule_of(name, kind, reading), CURES[kind])


def _of_cells(bad: np.ndarray, column: pa.ChunkedArray, name: str, rule: str, cure: str) -> tuple[Fault, ...]:
    rows = np.flatnonzero(bad)
    if not len(rows):
        return ()
    cells = ((int(row), None, column[int(row)].as_py()) for row in rows)
    return (of_rows(name, rule, cells, count=len(rows), releasable=False, cure=cure),)


def _stored_wrongly(
    column: pa.ChunkedArray, name: str, kind: ColumnType, dtype: str
) -> tuple[pd.Series, tuple[Fault, ...]]:
    empty = pd.Series([None] * len(column), name=name, dtype=dtype)
    return empty, (whole_file(RULES[kind], column=name, value=f"stored as {column.type}", cure=CURES[kind]),)


@dataclass(frozen=True)
class FileContent:
    """What a file with this SHA-256 holds: typed rows, or the faults that keep it from being read.

    Args:
        frame: Typed rows in the order of the file; None when it is no such table.
        either: By time column, the later instants of rows whose local time comes twice, where nothing in the file tells
            which it is: `frame` has the earlier ones. Missing in all other rows; without a column that has none.
        warnings: Faults of columns of which they are no more than that; the cells are missing.
    """

    digest: str
    frame: pd.DataFrame | None
    faults: tuple[Fault, ...]
    either: Mapping[str, pd.Series] = field(default_factory=dict)
    warnings: tuple[Fault, ...] = ()


def declared(
    data: DataParams, *, labels: bool, reading: ReadingParams = PLAIN
) -> tuple[dict[str, ColumnType], dict[str, ColumnType]]:
    """Columns that are read of a file, and those it may have, with their types.

    A file of rows may leave the target out where labels come later. A file of labels has the key columns, or `_key` for
    a table without a key, and the target, and may have `label_time`.
    """
    types = {name: column.type for name, column in data.columns.items() if name not in reading.made}
    target = {data.target: types[data.target]}
    if labels:
        key: dict[str, ColumnType] = {name: types[name] for name in data.key} or {KEY: "category"}
        return {**key, **target}, {LABEL_TIME: "time"}
    if data.labels == "later":
        return {name: kind for name, kind in types.items() if name != data.target}, target
    return types, {}


def read_bytes(path: Path) -> bytes:
    """The bytes of the file at `path`.

    Raises:
        BadInputError: It does not exist, is a folder or too large, or may not be read.
    """
    if path.is_dir():
        raise BadInputError(f"{path} is a folder; specify a single CSV, CSV.gz or Parquet file")
    if path.is_file() and path.stat().st_size > MOST_WHOLE:  # and it could not be cut into pieces
        fault = too_large(f"{path.stat().st_size >> 20} MB")
        raise BadInputError(f"{path}: {fault}; {fault.cure}")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadInputError(f"{path} does not exist; specify a CSV, CSV.gz or Parquet file") from error
    except OSError as error:
        raise BadInputError(
            f"{path} cannot be read ({error.strerror}); check its permissions, or specify a different file"
        ) from error


def read_content(
    content: bytes,
    data: DataParams,
    *,
    labels: bool,
    reading: ReadingParams = PLAIN,
    elsewhere: Collection[str] = (),
) -> FileContent:
    """What the bytes of a file hold, without columns that files lack (`reading.made`).

    `elsewhere` names columns that other chunks of the same JSON lines have: here they may be absent.
    """
    digest = hashlib.sha256(content).hexdigest()
    required, optional = declared(data, labels=labels, reading=reading)
    try:
        stored = columns_of(content, required=list(required), optional=optional, reading=reading, elsewhere=elsewhere)
    except NoTableError as error:
        return FileContent(digest, None, (error.fault,))
    if not stored.num_rows:
        fault = whole_file("has rows", value="a header but no rows", cure="send a file with rows")
        return FileContent(digest, None, (fault,))
    columns: dict[str, pd.Series] = {}
    faults: list[Fault] = []
    warnings: list[Fault] = []
    there = dict(zip(stored.column_names, stored.columns, strict=True))  # asked by name a table looks through all
    for name, kind in {**required, **optional}.items():
        cells = there[name] if name in there else pa.chunked_array([pa.nulls(stored.num_rows)])
        columns[name], more = typed(cells, name, kind, reading)
        (warnings if name in data.warned else faults).extend(more)
    frame = pd.DataFrame(columns)
    if not faults:
        faults.extend(_missing(frame, data, labels=labels))
    either = {} if faults or reading.zone == "UTC" else _settle_repeated(frame, stored, data, reading)
    return FileContent(digest, frame, tuple(faults), either, tuple(warnings))


def _settle_repeated(
    frame: pd.DataFrame, stored: pa.Table, data: DataParams, reading: ReadingParams
) -> dict[str, pd.Series]:
    """Gives rows of the hour that comes twice the instant that they are of; what remains open is given back.

    The order of rows tells, for the event time and times of the key; any other time is the earlier one that is not
    before the event.
    """
    open_ones = {}
    names = [str(name) for name in frame if name in stored.column_names and frame[name].dtype.kind == "M"]
    for name in sorted(names, key=lambda name: name != data.time):
        later, _ = typed(stored[name], name, "time", reading, later=True)
        twice = frame[name].notna() & (frame[name] != later)
        if not twice.any():
            continue
        if name in (data.time, *data.key):
            names_series = data.key if name in data.key else data.history.entity
            series = [one for one in names_series if one != name and one in frame]
            none = np.zeros(len(frame), dtype="int64")
            group = frame.groupby(series, dropna=False, sort=False).ngroup().to_numpy() if series else none
            is_later, either = later_hours(frame[name], later, group, names_rows=name in data.key)
            if either.any():
                open_ones[name] = later.where(either)
        else:
            is_later = (frame[name] < frame[data.time]).to_numpy() if data.time in frame else np.zeros(len(frame), bool)
        frame[name] = frame[name].mask(twice & is_later, later)
    return open_ones


def _missing(frame: pd.DataFrame, data: DataParams, *, labels: bool) -> list[Fault]:
    """Faults of blank cells that a row cannot do without: key, event time, due time, the target of a label."""
    needed = [*data.key] or ([KEY] if labels else [])
    needed += [data.target] if labels else [name for name in (data.time, data.due) if name and name in frame]
    faults = []
    for name in dict.fromkeys(needed):
        blank = frame.index[frame[name].isna()]
        if len(blank):
            cells = ((int(row), None, "") for row in blank)
            cure = "fill in the cells, or remove the rows"
            faults.append(of_rows(name, "is not blank", cells, count=len(blank), releasable=False, cure=cure))
    return faults
