"""The one reader of tables: a file and the declared columns give typed rows, or faults.

Rows that come from a file hold float64 for numbers and integers, str for categories
and UTC microseconds for times.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from retrim.core.fault import Fault, of_rows, whole_file
from retrim.core.reading import PLAIN, ReadingParams
from retrim.core.repeated_hours import later_hours
from retrim.core.table import LABEL_TIME, ColumnType, DataParams
from retrim.datasets.cells import typed
from retrim.datasets.container import NoTableError, columns_of
from retrim.datasets.parts import put_together
from retrim.errors import BadInputError

KEY = "_key"


@dataclass(frozen=True)
class Reading:
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


def read_table(path: Path, data: DataParams, *, labels: bool) -> Reading:
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


def read_content(content: bytes, data: DataParams, *, labels: bool, reading: ReadingParams = PLAIN) -> Reading:
    """The same for the bytes of a file; columns that files lack (`reading.made`) are left out."""
    digest = hashlib.sha256(content).hexdigest()
    required, optional = declared(data, labels=labels, reading=reading)
    try:
        stored = columns_of(content, required=_in_file(required, reading), optional=optional, reading=reading)
    except NoTableError as error:
        return Reading(digest, None, (error.fault,))
    if not stored.num_rows:
        return Reading(digest, None, (whole_file("has rows", value="a header and no row", cure="send the rows"),))
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
    return Reading(digest, frame, tuple(faults), either)


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
