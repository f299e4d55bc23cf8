"""Opens a table of which nothing is declared yet: what kind of file it is, and its columns as they stand in it."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from retrim.errors import BadInputError
from retrim.parquet import writable
from retrim.reading.address import address_of, fetch, files_in, is_address
from retrim.reading.container import (
    AS_LINES,
    JSON_ARRAY,
    JSON_LINE,
    UTF8_MARK,
    NoTableError,
    header_of,
    read_stored,
    read_texts,
    stored_kind,
    unpacked,
)
from retrim.reading.table import as_floats
from retrim.table.reading import RawColumn, Stored

SEPARATORS = (",", ";", "\t", "|")
HEAD, LINES, SAME = 1 << 18, 20, 0.6
"""Bytes and lines looked at for the separator, and the share of lines with as many cells as the first has."""
Kind = Literal["csv", "json", "parquet", "arrow", "excel"]
SUFFIXES: dict[Kind, str] = {
    "csv": ".csv", "json": ".jsonl", "parquet": ".parquet", "arrow": ".parquet", "excel": ".parquet"
}  # fmt: skip
KINDS = "CSV, JSON lines, Parquet, Arrow or Excel"
MOST_COLUMNS = 10_000


def _read_csv(text: bytes, where: str) -> tuple[pa.Table, str, int]:
    """Its columns as text, what separates them, and how many ragged lines were left out."""
    text = text.lstrip(b"\r\n")
    separator = _separator(text)
    header = header_of(text, separator)
    if not any(name.strip() for name in header):
        raise BadInputError(f"{where} has no column names in its first line; add a header line")
    table, ragged = read_texts(text, header, separator)
    return table, separator, len(ragged)


def _separator(text: bytes) -> str:
    """The sign that cuts the first lines into most cells, as many in each; a comma where none does."""
    best, most = ",", 1
    head = text[:HEAD].decode("utf-8", "ignore")
    for separator in SEPARATORS:
        try:
            lines = csv.reader(io.StringIO(head, newline=""), delimiter=separator)
            widths = [len(row) for row in islice(lines, LINES) if row]
        except csv.Error:
            continue
        if len(text) > HEAD and 1 < len(widths) < LINES:
            widths = widths[:-1]  # it is cut
        usual = widths[0] if widths else 0
        if usual > most and sum(width == usual for width in widths) >= SAME * len(widths):
            best, most = separator, usual
    return best


def look_of(name: str, column: pa.ChunkedArray) -> RawColumn:
    """A column at a glance; cells with nothing but blanks are missing."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        column = column.cast(pa.string())
    stored = _stored(column.type)
    if stored == "text":
        column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)
    elif stored == "boolean":
        column = column.cast(pa.string())
    elif stored in ("number", "integer"):
        column = as_floats(column)
    elif stored == "time":  # counted, not converted: far away it would not fit
        column = (column.cast(pa.timestamp("ms")) if pa.types.is_date(column.type) else column).cast(pa.int64())
    else:
        column = pa.array(["nested"] * len(column))
    dtype = "float64" if stored in ("number", "integer", "time") else "str"
    return RawColumn(name, stored, pd.Series(column.to_pandas(), dtype=dtype, name=name))


def _stored(kind: pa.DataType) -> Stored:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    return "time" if pa.types.is_timestamp(kind) or pa.types.is_date(kind) else "other"


@dataclass(frozen=True)
class RawTable:
    """A table as it stands in its file, or in several.

    Args:
        columns: Text columns for CSV, with blank cells missing; else as stored.
        ragged: Lines of a CSV that had too many or too few cells, and were left out.
        before: Rows of its file before these, which are not among them.
        sizes: Rows of each file, where there are several.
    """

    kind: Kind
    encoding: str
    separator: str
    columns: pa.Table
    ragged: int
    files: int
    before: int = 0
    sizes: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        return int(self.columns.num_rows)

    def looks(self) -> list[RawColumn]:
        """Each column at a glance."""
        return [look_of(name, self.columns.column(name)) for name in self.columns.column_names]

    def piece(
        self,
        rows: "pd.Series | list[int]",
        *,
        without: Collection[str] = (),
        only: Mapping[str, str] | None = None,
        beside: Mapping[str, Sequence[str]] | None = None,
    ) -> bytes:
        """Some of its rows as a file of the same kind, cells untouched; the others become Parquet."""
        chosen = only or {name: name for name in self.columns.column_names if name not in without}
        part = self.columns.select(list(chosen)).take(pa.array(rows, pa.int64())).rename_columns(list(chosen.values()))
        for name, cells in reversed(list((beside or {}).items())):
            part = part.add_column(0, name, pa.array(cells, pa.string()))
        if self.kind != "csv":
            sink = io.BytesIO()
            pq.write_table(writable(part), sink)
            return sink.getvalue()
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.separator, lineterminator="\r\n")  # so that a cell of either is quoted
        writer.writerow(part.column_names)
        columns = [column.to_pylist() for column in part.columns]
        if len(columns) == 1:  # a blank line would be no row
            columns = [[cell if cell is not None else " " for cell in columns[0]]]
        writer.writerows(zip(*columns, strict=True))
        return text.getvalue().encode(self.encoding)


def open_raw(where: str) -> RawTable:
    """The table in a file, in all files of a folder put together, or at an fsspec address.

    Raises:
        BadInputError: The file does not exist, is not a table, or the files of a folder differ in their columns.
    """
    if is_address(where):
        return _together(fetch(where), address_of(where).shown)
    path = Path(where)
    try:
        if not path.is_dir():
            return read_raw(path.read_bytes(), str(path))
        if not (files := files_in(path)):
            raise BadInputError(f"{path} contains no files; specify a folder with files ({KINDS})")
        return _together([(str(file), file.read_bytes()) for file in files], str(path))
    except FileNotFoundError as error:
        raise BadInputError(
            f"{where} does not exist; specify a file ({KINDS}), a folder of such files, or an address"
        ) from error
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"{where} cannot be read ({error}); check its permissions, or specify a different file"
        ) from error


def raw_of(columns: pa.Table, where: str) -> RawTable:
    """A table that came typed, as from a database.

    Raises:
        BadInputError: It has no rows, or a column twice.
    """
    return _checked(RawTable("parquet", "utf-8", ",", columns, 0, 1), where)


def last_of(named: Sequence[tuple[str, bytes]], where: str, *, before: int) -> RawTable:
    """The last pieces of a file as one table."""
    return replace(_together(named, where), files=1, before=before, sizes=())


def _together(named: Sequence[tuple[str, bytes]], where: str) -> RawTable:
    """One table of all files; `where` names their folder in errors."""
    read = [read_raw(content, name) for name, content in named]
    index = next((index for index, table in enumerate(read) if table.encoding == "cp1252"), 0)
    first, its_name = read[index], named[index][0]
    for (file, content), table in zip(named, read, strict=True):
        if table.columns.column_names != first.columns.column_names:
            odd = sorted(set(table.columns.column_names) ^ set(first.columns.column_names)) or ["their order"]
            raise BadInputError(
                f"{file} and {its_name} differ in their columns ({', '.join(odd[:5])}); use the same "
                "columns in all files, or pass the files one by one"
            )
        fits = table.encoding == first.encoding
        if not fits and first.encoding == "cp1252":  # ASCII is the same in it
            fits = unpacked(content).isascii()
        if (table.kind, table.separator) != (first.kind, first.separator) or not fits:
            raise BadInputError(
                f"{file} ({table.kind}, {table.encoding}, separator {table.separator!r}) does not have the same "
                f"format as {its_name}; pass the files one by one"
            )
    try:
        columns = pa.concat_tables([table.columns for table in read], promote_options="permissive")
    except pa.ArrowException as error:
        raise BadInputError(
            f"{where}: a column has different types in different files ({error}); pass the files one by one"
        ) from error
    sizes = tuple(table.rows for table in read)
    return replace(first, columns=columns, ragged=sum(table.ragged for table in read), files=len(read), sizes=sizes)


def read_raw(content: bytes, where: str) -> RawTable:
    """The table in the bytes of a file; `where` names it in errors.

    Raises:
        BadInputError: It is not a table.
    """
    try:
        content = unpacked(content)
        if (kind := stored_kind(content)) is not None:
            return _checked(RawTable(kind, "utf-8", ",", read_stored(kind, content), 0, 1), where)
        text, encoding = _decoded(content, where)
        if JSON_LINE.match(text):
            return _checked(RawTable("json", encoding, ",", read_stored("json", text), 0, 1), where)
        if JSON_ARRAY.match(text):
            raise BadInputError(f"{where} is a JSON array; {AS_LINES}")
        table, separator, ragged = _read_csv(text, where)
        return _checked(RawTable("csv", encoding, separator, table, ragged, 1), where)
    except NoTableError as error:
        raise BadInputError(f"{where}: {error.fault}; {error.fault.cure}") from error
    except (pa.ArrowException, csv.Error) as error:
        raise BadInputError(
            f"{where} cannot be read as a table ({' '.join(str(error).split())[:200]}); save it as {KINDS}"
        ) from error


def _checked(raw: RawTable, where: str) -> RawTable:
    names = raw.columns.column_names
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise BadInputError(f"{where} has the column {twice[0]!r} twice; rename or remove one of the two")
    if len(names) > MOST_COLUMNS:
        raise BadInputError(
            f"{where} has {len(names)} columns, but retrim reads at most {MOST_COLUMNS}; remove some of the columns"
        )
    if not raw.rows and raw.ragged:
        raise BadInputError(
            f"{where} has {raw.ragged} lines after the first, but none with the {len(names)} cells of the first; make "
            "the names of the columns the first line, and put text that contains the separator in quotes"
        )
    if not raw.rows:
        raise BadInputError(f"{where} has a header but no rows; specify a table with rows")
    return raw


def _decoded(content: bytes, where: str) -> tuple[bytes, str]:
    """The text in UTF-8, and the encoding it had."""
    if content.startswith(UTF8_MARK):
        content = content.removeprefix(UTF8_MARK)
    elif content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-32" if content.startswith(b"\xff\xfe\0\0") else "utf-16"
        try:
            return content.decode(encoding).encode("utf-8"), encoding
        except UnicodeError as error:
            raise BadInputError(
                f"{where} is marked as {encoding} but is not valid {encoding} ({error}); save it as CSV in UTF-8"
            ) from error
    if b"\0" in content:
        raise BadInputError(
            f"{where} is binary data (a zero byte at {content.index(0)}) but not Parquet, Arrow or Excel; "
            f"unpack it, or save it as {KINDS}"
        )
    if not content.strip():
        raise BadInputError(f"{where} is empty; specify a file with a table")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        try:
            return content.decode("cp1252").encode("utf-8"), "cp1252"
        except UnicodeDecodeError:
            raise BadInputError(
                f"{where} is neither UTF-8 (byte 0x{content[error.start]:02x} at {error.start}) nor "
                "cp1252; save it as CSV in UTF-8"
            ) from error
    return content, "utf-8"
