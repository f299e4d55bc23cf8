"""Turns one column of text, or of Parquet, into its declared type; what does not fit is a fault.

Nothing is guessed: a number is a decimal number, a time is ISO 8601, a category is
its text as it stands. Blank is missing. "NaN", "NA", "inf" and the like are no numbers.
"""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retrim.core.fault import Fault, of_rows, whole_file
from retrim.core.table import ColumnType

NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
TIME = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?( ?(Z|[+-]\d\d:?\d\d))?)?$"
TOO_LARGE = 2.0**53
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


def typed(column: pa.ChunkedArray, name: str, kind: ColumnType) -> tuple[pd.Series, tuple[Fault, ...]]:
    """The values of `column` as `kind`, and the cells that are not of it.

    Returns:
        float64 (number, integer), str (category) or UTC microseconds (time); missing where a cell is at fault.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    text = _is_text(column)
    if text:
        column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)
    if kind == "category":
        return _category(column, name)
    if text:
        return _from_text(pc.utf8_trim_whitespace(column), name, kind)
    return _from_storage(column, name, kind)


def _is_text(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(column.type) or pa.types.is_large_string(column.type))


def _category(column: pa.ChunkedArray, name: str) -> tuple[pd.Series, tuple[Fault, ...]]:
    if _is_text(column):
        return pd.Series(column.to_pandas(), dtype="str", name=name), ()
    if pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
        return pd.Series(column.cast(pa.string()).to_pandas(), dtype="str", name=name), ()
    return _stored_wrongly(column, name, "category", "str")


def _from_text(column: pa.ChunkedArray, name: str, kind: ColumnType) -> tuple[pd.Series, tuple[Fault, ...]]:
    pattern = TIME if kind == "time" else NUMBER
    fits = pc.fill_null(pc.match_substring_regex(column, pattern), False)
    kept = pc.if_else(fits, column, None)
    if kind == "time":
        text = pd.Series(kept.to_pandas(), dtype="str", name=name)
        values = pd.to_datetime(text, format="ISO8601", utc=True, errors="coerce").dt.as_unit("us")
        good = values.dt.year.between(*YEARS).to_numpy()
    else:
        values = pd.Series(kept.cast(pa.float64()).to_pandas(), name=name, dtype="float64")
        good = _numbers_fit(values, kind)
    blank = pc.is_null(column).to_numpy()
    bad = ~blank & ~good
    return values.mask(bad), _cells(bad, column, name, kind)


def _from_storage(column: pa.ChunkedArray, name: str, kind: ColumnType) -> tuple[pd.Series, tuple[Fault, ...]]:
    stored = column.type
    if kind == "time":
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
        return times, _cells(out.to_numpy(), ticks, name, kind)
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


def _cells(bad: np.ndarray, column: pa.ChunkedArray, name: str, kind: ColumnType) -> tuple[Fault, ...]:
    rows = np.flatnonzero(bad)
    if not len(rows):
        return ()
    found = ((int(row), None, column[int(row)].as_py()) for row in rows)
    return (of_rows(name, RULES[kind], found, count=len(rows), releasable=False, cure=CURES[kind]),)


def _stored_wrongly(
    column: pa.ChunkedArray, name: str, kind: ColumnType, dtype: str
) -> tuple[pd.Series, tuple[Fault, ...]]:
    empty = pd.Series([None] * len(column), name=name, dtype=dtype)
    return empty, (whole_file(RULES[kind], column=name, value=f"stored as {column.type}", cure=CURES[kind]),)
