"""Checks rows to be predicted: types, and the bounds that the suite states. Says which cells keep a row out.

A plain row of a request takes the short way of `one_row`, and comes here only if it is refused there.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retrim.adapters.great_expectations import for_columns, in_words
from retrim.errors import BadInputError
from retrim.reading.container import hint_of_separator, hint_of_spelling
from retrim.reading.table import present, rule_of, typed
from retrim.serving.needed_columns import NeededColumns
from retrim.serving.rows_in import LoadedRows
from retrim.serving.rules import rows_that_break
from retrim.table.data import ColumnType
from retrim.table.derived_columns import calendar_part
from retrim.table.reading import ReadingParams

REJECTED = pa.schema(
    {"row": pa.int64(), "file": pa.string(), "column": pa.string(), "value": pa.string(), "reason": pa.string()}
)
"""A rejected cell: the number of its row in IN, from 0; the file; its column, empty for the line as a whole."""
LONGEST = 200
"""Characters of a value that are kept."""
BREAKS = "breaks the rule: "
"""What the reason of a rejected cell begins with."""
NOT_TEXT = "\ufffd"


def check_rows(
    loaded: LoadedRows, needs: NeededColumns, reading: ReadingParams
) -> tuple[pd.DataFrame, np.ndarray, pa.Table]:
    """Types the cells of a part and holds them to the rules.

    Returns:
        The rows that can be predicted, shape (n, columns); their numbers in IN, shape (n,); and the cells that keep the
        others out, as `REJECTED` says, in order of the row.

    Raises:
        BadInputError: A column is missing, there twice, or stored as what it cannot be.
    """
    file = loaded.file
    wanted = _wanted(_there(loaded, needs), file, needs, reading)
    columns: dict[str, pd.Series] = {}
    rejected: list[pa.Table] = []
    good = np.ones(len(loaded.rows), dtype=bool)

    def reject(name: str, bad: np.ndarray, cells: pa.ChunkedArray | pd.Series, rule: str) -> None:
        places = np.flatnonzero(bad)
        if len(places):
            good[places] = False
            rejected.append(_rejected(loaded.rows[places], file, name, _as_text(cells, places), f"{BREAKS}{rule}"))

    for name, kind in wanted.items():
        cells = _cells(loaded.table, name)
        columns[name], faults = typed(cells, name, kind, reading)
        for fault in faults:
            if not fault.examples or fault.examples[0].row is None:
                raise BadInputError(f"{file}: {fault}; {fault.cure}")
        there, is_text = present(cells, reading)
        if kind == "time" and reading.zone != "UTC":
            # When rows land, their order tells the two hours apart: a part of IN does not know all rows before it.
            later, _ = typed(cells, name, "time", reading, later=True)
            twice = (columns[name].notna() & (columns[name] != later)).to_numpy()
            reject(name, twice, cells, f"is a time that occurs only once in {reading.zone}, or has a UTC offset")
        if faults and name not in needs.warned:
            unread = columns[name].isna().to_numpy() & ~pc.is_null(there, nan_is_null=True).to_numpy()
            reject(name, unread, cells, rule_of(name, kind, reading))
        if kind == "category" and is_text and name in needs.required:
            spoilt = pc.fill_null(pc.match_substring(there, NOT_TEXT), False).to_numpy()
            reject(name, spoilt, cells, "is text in UTF-8")
        if name in needs.filled:
            reject(name, pc.is_null(there, nan_is_null=True).to_numpy(), cells, "is not blank")
    frame = _with_calendar(pd.DataFrame(columns), needs, reading)
    suite = for_columns(needs.suite, frame.columns)
    for number, places in (rows_that_break(frame, suite, needs.required) if len(frame) else {}).items():
        expectation = suite.expectations[number]
        about = sorted(expectation.columns)
        bad = np.zeros(len(frame), dtype=bool)
        bad[np.asarray(places, dtype="int64")] = True
        reject(", ".join(about), bad & good, frame[about[0]], in_words(expectation))
    for row, text in loaded.ragged:
        reason = f"{BREAKS}has exactly one value for each of the {loaded.table.num_columns} columns"
        rejected.append(_rejected(np.array([row]), file, "", [text[:LONGEST]], reason))
    places = np.flatnonzero(good)
    table = pa.concat_tables([REJECTED.empty_table(), *rejected])
    if len(places) < len(good):
        frame = frame.iloc[places].reset_index(drop=True)
    return frame, loaded.rows[places], table.sort_by("row") if len(table) else table


def _with_calendar(frame: pd.DataFrame, needs: NeededColumns, reading: ReadingParams) -> pd.DataFrame:
    for name, part in needs.calendar.items():
        if name not in frame:
            frame[name] = calendar_part(frame[needs.time], part, zone=reading.zone)
    return frame


def _there(loaded: LoadedRows, needs: NeededColumns) -> list[str]:
    """Columns of a part, and those that it leaves out as its rows do not know them."""
    there = list(loaded.table.column_names)
    if {*needs.required, *needs.carried, *needs.past} <= {*there}:
        return there
    return there + sorted(loaded.elsewhere() & needs.columns - {*there})


def _wanted(there: list[str], file: str, needs: NeededColumns, reading: ReadingParams) -> dict[str, ColumnType]:
    """Columns to read, and their types."""
    twice = sorted({name for name in there if there.count(name) > 1})
    if twice:
        raise BadInputError(f"{file} has the column {twice[0]!r} twice; rename or remove one of the two")
    lacking = lacking_columns(there, needs)
    if lacking:
        cure = hint_of_separator(there, reading.separator) or hint_of_spelling(lacking, there)
        raise BadInputError(
            f"{file} lacks {', '.join(lacking)}, which the version needs; "
            f"{cure or 'add each column, and leave unknown values blank'}"
        )
    also = {name: kind for name, kind in needs.carried.items() if name in there}
    past: dict[str, ColumnType] = {name: "number" for name in needs.past if name in there}
    return {**_required(there, needs), **also, **past}


def _required(there: Collection[str], needs: NeededColumns) -> dict[str, ColumnType]:
    """Columns that have to be there, with their types: parts of the time can be computed from it."""
    required = {name: kind for name, kind in needs.required.items() if name not in needs.calendar or name in there}
    if needs.calendar.keys() - set(there):
        required.setdefault(needs.time, "time")
    return required


def lacking_columns(there: Collection[str], needs: NeededColumns) -> list[str]:
    """Columns that a version needs and that are not among these."""
    return [name for name in _required(there, needs) if name not in there]


def _cells(table: pa.Table, name: str) -> pa.ChunkedArray:
    return table.column(name) if name in table.column_names else pa.chunked_array([pa.nulls(len(table))])


def _as_text(cells: pa.ChunkedArray | pd.Series, places: np.ndarray) -> list[str | None]:
    shown = cells.iloc[places].tolist() if isinstance(cells, pd.Series) else cells.take(pa.array(places)).to_pylist()
    return [None if cell is None or cell != cell else str(cell)[:LONGEST] for cell in shown]  # noqa: PLR0124  NaN


def _rejected(rows: np.ndarray, file: str, column: str, values: list[str | None], reason: str) -> pa.Table:
    many = len(rows)
    return pa.table(
        {"row": rows, "file": [file] * many, "column": [column] * many, "value": values, "reason": [reason] * many},
        schema=REJECTED,
    )
