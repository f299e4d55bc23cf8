"""Rows of a request, typed and held to the rules; and what is wrong with them."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pyarrow as pa

from retrim.errors import BadInputError
from retrim.reading.table import rule_of
from retrim.serving.checked_rows import BREAKS, LONGEST, check_rows, lacking_columns
from retrim.serving.needed_columns import NeededColumns
from retrim.serving.rows_in import LoadedRows
from retrim.table.data import ColumnType
from retrim.table.reading import ReadingParams

MOST_BYTES = 16 << 20
"""Of a body: 10,000 rows of 100 columns fit."""
MOST_ROWS = 10_000
"""Of a request: a tenth of a second for 300 trees, while others wait. `retrim predict` takes any number."""
NAME = re.compile(rb'"\s*:')
"""The end of a name in JSON."""
JSON_TIME = re.compile(r"\d{4}-\d\d-\d\dT.*")
DEEPEST = 254
"""Levels of arrays and objects that orjson writes."""


@dataclass(frozen=True)
class WrongCell:
    """What is wrong with a request.

    Args:
        row: Its number in the request, from 0; None: the request as a whole.
        field: The column; None: the row as a whole.
        value: What it is, as text.
        allowed: What it may be.
    """

    row: int | None
    field: str | None
    value: str | None
    allowed: str


class WrongRequestError(BadInputError):
    """A request that cannot be answered: every cell that is at fault."""

    def __init__(self, cells: Sequence[WrongCell]) -> None:
        first, more = cells[0], f", and {len(cells) - 1} more" if len(cells) > 1 else ""
        super().__init__(f"the request breaks the rule: {first.field or 'it'} {first.allowed}{more}")
        self.cells = tuple(cells)

    def as_record(self) -> dict[str, Any]:
        return {"detail": [asdict(cell) for cell in self.cells]}


def wrong(allowed: str, value: str | None = None) -> WrongRequestError:
    """A request that is wrong as a whole."""
    return WrongRequestError([WrongCell(None, None, value, allowed)])


def rows_of_json(body: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON array, or the one that it is.

    Raises:
        WrongRequestError: It is no such JSON, or has too many rows.
    """
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise wrong("is a row, {column: value}, or an array of rows, in JSON", f"not JSON: {error}") from error
    rows = given if isinstance(given, list) else [given]
    if not 1 <= len(rows) <= MOST_ROWS:
        raise wrong(f"has 1 to {MOST_ROWS:,} rows", f"{len(rows)} rows")
    others = [(number, row) for number, row in enumerate(rows) if not isinstance(row, dict)]
    if others:
        raise WrongRequestError(
            [WrongCell(number, None, _shown(row), "is an object: {column: value}") for number, row in others]
        )
    if len(NAME.findall(body)) != sum(map(len, rows)):  # or a text holds a quote and a colon
        json.loads(body, object_pairs_hook=_each_once)
    return rows


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise wrong("names each column once", f"{twice[:LONGEST]!r} twice in a row")
    return row


def as_json(value: Any) -> bytes:
    """A part of a request as JSON: more levels can be read than written."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise wrong(f"nests arrays and objects at most {DEEPEST} deep") from error


def _shown(value: Any) -> str:
    return as_json(value).decode()[:LONGEST]


def typed_rows(rows: Sequence[Mapping[str, Any]], needs: NeededColumns, reading: ReadingParams) -> pd.DataFrame:
    """The rows of a request as a version takes them: text is read as in CSV, numbers as they are.

    Raises:
        WrongRequestError: A column is not there, or a cell cannot be used.
    """
    wrong_cells = [
        WrongCell(number, name, None, "is in each row, with null if it is unknown")
        for number, row in enumerate(rows)
        for name in lacking_columns(row, needs)
    ]
    if wrong_cells:
        raise WrongRequestError(wrong_cells)
    kinds: dict[str, ColumnType] = {**dict.fromkeys(needs.calendar, "integer"), **needs.carried, **needs.required}
    there = {name for row in rows for name in row}
    table = {
        name: _column([row.get(name) for row in rows], name, kind, reading, wrong_cells)
        for name, kind in kinds.items()
        if name in there
    }
    if wrong_cells:
        raise WrongRequestError(wrong_cells)
    reading = as_json_spells(rows, reading)
    loaded = LoadedRows("the request", pa.table(table), np.arange(len(rows)))
    frame, _, rejected = check_rows(loaded, needs, reading)
    if len(rejected):
        cells = zip(*(rejected[name].to_pylist() for name in ("row", "column", "value", "reason")), strict=True)
        raise WrongRequestError(
            [WrongCell(row, column, value, reason.removeprefix(BREAKS)) for row, column, value, reason in cells]
        )
    return frame


def as_json_spells(rows: Sequence[Mapping[str, Any]], reading: ReadingParams) -> ReadingParams:
    """Without the formats of dates of columns whose times are all in ISO 8601 here, whatever files have."""
    given = {name: [row[name] for row in rows if row.get(name) is not None] for name in reading.dates}
    iso = {name for name, cells in given.items() if all(JSON_TIME.match(str(cell)) for cell in cells)}
    return reading.model_copy(update={"dates": {name: form for name, form in reading.dates.items() if name not in iso}})


def _column(
    values: list[Any], name: str, kind: ColumnType, reading: ReadingParams, wrong_cells: list[WrongCell]
) -> pa.Array:
    """A column as it would stand in a file: numbers, or text."""
    is_number = kind in ("number", "integer")
    allowed = (int, float, str) if is_number else (int, str)
    for number, value in enumerate(values):
        if value is not None and (not isinstance(value, allowed) or (is_number and isinstance(value, bool))):
            wrong_cells.append(WrongCell(number, name, _shown(value), rule_of(name, kind, reading)))
    if wrong_cells:
        return pa.nulls(len(values))
    if is_number and not any(isinstance(value, str) for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([_text(value, reading.decimal) for value in values], pa.string())


def _text(value: Any, sign: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value).replace(".", sign)
    return str(value).lower()  # of true and false, as Arrow writes them
