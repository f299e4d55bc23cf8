"""The one reader of tables: a file and the declared columns give typed rows, or faults.

Rows that come from a file hold float64 for numbers and integers, str for categories
and UTC microseconds for times.

One row that a person gives: JSON, a JSON file, or a CSV or Parquet file with a single line.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from retrim.errors import BadInputError, UnknownNameError
from retrim.reading.cells import put_together, typed
from retrim.reading.container import NoTableError, columns_of
from retrim.table.data import LABEL_TIME, ColumnType, DataParams, later_hours
from retrim.table.fault import Fault, of_rows, whole_file
from retrim.table.reading import PLAIN, ReadingParams

KEY = "_key"


@dataclass(frozen=True)
class FileContent:
    """What a file holds: typed rows, or the faults that keep it from being read.

    Args:
        digest: sha256 of the file's bytes, hexadecimal.
        frame: Typed rows in the order of the file; None when it is no such table.
        faults: Empty when every cell is of its type.
        either: By time column, the later instants of rows whose local time comes twice, where nothing in the file tells
            which it is: `frame` has the earlier ones. Missing in all other rows; without a column that has none.
    """

    digest: str
    frame: pd.DataFrame | None
    faults: tuple[Fault, ...]
    either: Mapping[str, pd.Series] = field(default_factory=dict)


def declared(
    data: DataParams, *, labels: bool, reading: ReadingParams = PLAIN
) -> tuple[dict[str, ColumnType], dict[str, ColumnType]]:
    """Columns that are read of a file, and those it may have, with their types.

    A file of rows may leave the target out where labels come later. A file of labels
    has the key columns (or `_key`, for a table without a key) and the target, and may
    have `label_time`.
    """
    types: dict[str, ColumnType] = {
        name: column.type for name, column in data.columns.items() if name not in reading.made
    }
    target = {data.target: types[data.target]}
    if labels:
        key: dict[str, ColumnType] = {name: types[name] for name in data.key} or {KEY: "category"}
        return {**key, **target}, {LABEL_TIME: "time"}
    if data.labels == "later":
        return {name: kind for name, kind in types.items() if name != data.target}, target
    return types, {}


def read_table(path: Path, data: DataParams, *, labels: bool) -> FileContent:
    """Reads `path` as rows of the table, or as labels of rows landed before.

    Args:
        path: CSV, gzipped CSV or Parquet.
        data: What the table is.
        labels: Whether it is a file of labels.

    Returns:
        The rows in the order of the file, with every declared column; an optional one
        that is not there is missing in every row.

    Raises:
        BadInputError: There is no such file, it is a folder, or it may not be read.
    """
    return read_content(read_bytes(path), data, labels=labels)


def read_bytes(path: Path) -> bytes:
    """The bytes of the file at `path`.

    Raises:
        BadInputError: There is no such file, it is a folder, or it may not be read.
    """
    if path.is_dir():
        raise BadInputError(f"{path} is a folder; name one file, CSV, CSV.gz or Parquet")
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadInputError(f"{path} does not exist; name a file, CSV, CSV.gz or Parquet") from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read ({error.strerror}); name a file that you may read") from error


def read_content(content: bytes, data: DataParams, *, labels: bool, reading: ReadingParams = PLAIN) -> FileContent:
    """The same for the bytes of a file; columns that files lack (`reading.made`) are left out."""
    digest = hashlib.sha256(content).hexdigest()
    required, optional = declared(data, labels=labels, reading=reading)
    try:
        stored = columns_of(content, required=_in_file(required, reading), optional=optional, reading=reading)
    except NoTableError as error:
        return FileContent(digest, None, (error.fault,))
    if not stored.num_rows:
        return FileContent(digest, None, (whole_file("has rows", value="a header and no row", cure="send the rows"),))
    columns: dict[str, pd.Series] = {}
    faults: list[Fault] = []
    for name in [name for name in reading.parts if name in required]:
        cells, found = put_together(stored, name, reading)
        stored = stored.append_column(name, cells)
        faults.extend(found)
    there = dict(zip(stored.column_names, stored.columns, strict=True))  # asked by name a table looks through all
    for name, kind in {**required, **optional}.items():
        cells = there[name] if name in there else pa.chunked_array([pa.nulls(stored.num_rows)])
        columns[name], found = typed(cells, name, kind, reading)
        faults.extend(found)
    frame = pd.DataFrame(columns)
    if not faults:
        faults.extend(_missing(frame, data, reading, labels=labels))
    either = {} if faults or reading.zone == "UTC" else _settle_repeated(frame, stored, data, reading)
    return FileContent(digest, frame, tuple(faults), either)


def _in_file(names: Iterable[str], reading: ReadingParams) -> list[str]:
    """What a file has to have for these columns: the parts in place of a time that it holds in parts."""
    return list(dict.fromkeys(part for name in names for part in (reading.parts.get(name, {}).values() or (name,))))


def _settle_repeated(
    frame: pd.DataFrame, stored: pa.Table, data: DataParams, reading: ReadingParams
) -> dict[str, pd.Series]:
    """Gives rows of the hour that comes twice the instant that they are of; what remains open is given back.

    A declared column says it. Else the order of rows does, for the event time and times of the key; any other time is
    the earlier one that is not before the event.
    """
    open_ones = {}
    names = [str(name) for name in frame if name in stored.column_names and frame[name].dtype.kind == "M"]
    for name in sorted(names, key=lambda name: name != data.time):
        later, _ = typed(stored[name], name, "time", reading, later=True)
        twice = frame[name].notna() & (frame[name] != later)
        if not twice.any():
            continue
        said = reading.repeated.get(name)
        if said is not None and said.column in stored.column_names:
            words, _ = typed(stored[said.column].cast(pa.string()), said.column, "category", reading)
            is_later = words.isin(said.later).to_numpy()
        elif name in (data.time, *data.key):
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


def _missing(frame: pd.DataFrame, data: DataParams, reading: ReadingParams, *, labels: bool) -> list[Fault]:
    """Faults of blank cells that a row cannot do without: key, event time or order, due time, the target of a label."""
    needed = [*data.key] or ([KEY] if labels else [])
    times = [name for name in (data.time, data.due, reading.order) if name in frame]
    needed += [data.target] if labels else [name for name in times if name is not None]
    faults = []
    for name in dict.fromkeys(needed):
        blank = frame.index[frame[name].isna()]
        if len(blank):
            found = ((int(row), None, "") for row in blank)
            cure = "fill the cells in, or leave the rows out"
            faults.append(of_rows(name, "is not blank", found, count=len(blank), releasable=False, cure=cure))
    return faults


def row_of_file(path: Path, needed: Mapping[str, ColumnType], others: Mapping[str, ColumnType]) -> pd.DataFrame:
    """The one row of a file.

    Args:
        path: JSON (by its ending), CSV, gzipped CSV or Parquet.
        needed: Columns it must have, and their types.
        others: Columns it may have.

    Raises:
        BadInputError: It cannot be read, lacks a column, or has another number of rows than 1.
        UnknownNameError: It has a column that is none of these.
    """
    content = read_bytes(path)
    if path.suffix.lower() == ".json":
        try:
            return row_of_json(content.decode("utf-8"), needed, others)
        except UnicodeDecodeError as error:
            raise BadInputError(f"{path} is not UTF-8 text; save it as JSON in UTF-8") from error
    try:
        stored = columns_of(content, required=needed, optional=others)
    except NoTableError as error:
        raise _refused(error.fault) from error
    if stored.num_rows != 1:
        raise BadInputError(f"{path} has {stored.num_rows} rows; one row is explained at a time")
    return _typed({name: stored[name] for name in needed}, needed)


def row_of_json(text: str, needed: Mapping[str, ColumnType], others: Mapping[str, ColumnType]) -> pd.DataFrame:
    """The one row that a JSON object describes: column to value, null where it is missing; or a list of one such.

    Raises:
        As `row_of_file`.
    """
    try:
        given = json.loads(text)
        json.dumps(given, ensure_ascii=False).encode()  # half of a surrogate pair is not text
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{_brief(text)} is not JSON ({error}); write such as {_example(needed)}") from error
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if not isinstance(given, dict):
        raise BadInputError(f"{_brief(text)} is not a JSON object; write one row, such as {_example(needed)}")
    for name in given:
        if name not in needed and name not in others:
            raise UnknownNameError("column", name, [*needed, *others])
    lacking = [name for name in needed if name not in given]
    if lacking:
        raise BadInputError(f"the row lacks {', '.join(lacking)}; give each feature, null where it is missing")
    for name in needed:
        if isinstance(given[name], dict | list):
            raise BadInputError(f"{name} is {_brief(json.dumps(given[name]))}; give one value")
    return _typed({name: _cell(given[name], kind) for name, kind in needed.items()}, needed)


def _cell(value: Any, kind: ColumnType) -> pa.ChunkedArray:
    """A JSON value as a column of one. Text stands for itself, other values for their JSON."""
    text = value if value is None or isinstance(value, str) else json.dumps(value)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        text = str(int(value))
    return pa.chunked_array([pa.array([text], type=pa.string())])


def _typed(cells: Mapping[str, pa.ChunkedArray], needed: Mapping[str, ColumnType]) -> pd.DataFrame:
    columns = {}
    for name, kind in needed.items():
        columns[name], faults = typed(cells[name], name, kind)
        if faults:
            raise _refused(faults[0])
    return pd.DataFrame(columns)


def _refused(fault: Fault) -> BadInputError:
    return BadInputError(f"{fault}; {fault.cure}")


def _brief(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")


def _example(needed: Mapping[str, ColumnType]) -> str:
    shown = {"number": "1.5", "integer": "1", "category": '"a"', "time": '"2024-05-01T13:00"'}
    parts = [f"{json.dumps(name, ensure_ascii=False)}: {shown[kind]}" for name, kind in needed.items()]
    return "{" + ", ".join(parts[:3]) + (", ..." if len(parts) > 3 else "") + "}"
