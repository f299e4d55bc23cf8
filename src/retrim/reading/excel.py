"""Excel's files as tables: each sheet with a header line, its cells typed as Excel has them."""

import io
import zipfile
from typing import Any

import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook

MARK = b"PK\x03\x04"


class SheetError(ValueError):
    """The file is no workbook, or has no sheet with a table."""


def is_workbook(content: bytes) -> bool:
    """Whether a file is a workbook of Excel 2007 or later; any other archive is none."""
    if not content.startswith(MARK):
        return False
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            return "xl/workbook.xml" in file.namelist()
    except zipfile.BadZipFile:
        return False


def sheets_of(content: bytes, *, most: int) -> dict[str, pa.Table]:
    """The tables of a workbook by the names of their sheets; empty sheets are left out.

    Args:
        most: Bytes of the unpacked workbook, at most: a small file may unpack to any size.

    Raises:
        SheetError: It is damaged, too large, or holds no table.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            if (size := sum(entry.file_size for entry in file.infolist())) > most:
                raise SheetError(f"{size >> 20} MB unpacked, {most >> 20} at most")
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        sheets = {name: workbook.get_sheet_by_name(name).to_python() for name in workbook.sheet_names}
    except (zipfile.BadZipFile, CalamineError, OSError) as error:
        raise SheetError(str(error)) from error
    tables = {name: _table(rows) for name, rows in sheets.items() if len(rows) > 1}
    if not tables:
        raise SheetError("no sheet with a header line and rows")
    return tables


def _table(rows: list[list[Any]]) -> pa.Table:
    names = [str(cell).strip() for cell in rows[0]]
    while names and not names[-1]:  # formatted cells beside the table
        names.pop()
    filled = [row for row in rows[1:] if any(cell != "" for cell in row)]
    columns = [_column([row[number] for row in filled]) for number in range(len(names))]
    return pa.Table.from_arrays(columns, names=names)


def _column(cells: list[Any]) -> pa.Array:
    """Cells of one type as that, whole numbers as integers; else as text, as a person reads them."""
    values = [None if cell == "" else cell for cell in cells]
    try:
        column = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # of several types
        return pa.array(map(_text, values), pa.string())
    if pa.types.is_floating(column.type):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid:
            return column
    if pa.types.is_time(column.type) or pa.types.is_duration(column.type):
        return pa.array(map(_text, values), pa.string())
    return column


def _text(cell: Any) -> str | None:
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return None if cell is None else str(cell)
