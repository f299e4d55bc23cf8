"""One row that a person gives: JSON, a JSON file, or a CSV or Parquet file with a single line."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from retrim.core.fault import Fault
from retrim.core.table import ColumnType
from retrim.datasets.cells import typed
from retrim.datasets.container import NoTableError, columns_of
from retrim.datasets.table import read_bytes
from retrim.errors import BadInputError, UnknownNameError


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
        json.dumps(given, ensure_ascii=False).encode()  # half of a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{_brief(text)} is no JSON ({error}); write such as {_example(needed)}") from error
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    if not isinstance(given, dict):
        raise BadInputError(f"{_brief(text)} is no JSON object; write one row, such as {_example(needed)}")
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
