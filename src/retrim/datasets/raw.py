"""Opens a table of which nothing is declared yet: what kind of file it is, and its columns as they stand in it."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.feather as paf
import pyarrow.json as pajson
import pyarrow.parquet as pq

from retrim.core.init.looks import Look, Stored
from retrim.datasets.container import ARROW, BLOCK, GZIP, JSON_LINE, PARQUET, UTF8_MARK
from retrim.errors import BadInputError

Kind = Literal["csv", "json", "parquet", "arrow"]
SUFFIXES: dict[Kind, str] = {"csv": ".csv", "json": ".jsonl", "parquet": ".parquet", "arrow": ".parquet"}
SEPARATORS = (",", ";", "\t", "|")
KINDS = "CSV, JSON lines, Parquet or Arrow"
MOST_COLUMNS = 10_000


@dataclass(frozen=True)
class RawTable:
    """A table as it stands in its file.

    Args:
        kind: What the file is.
        encoding: Of CSV text.
        separator: Between the cells of a CSV line.
        columns: Text columns for CSV, with blank cells missing; else as stored.
        ragged: Lines of a CSV that had too many or too few cells, and were left out.
        files: How many files it was put together from.
    """

    kind: Kind
    encoding: str
    separator: str
    columns: pa.Table
    ragged: int
    files: int

    @property
    def rows(self) -> int:
        return int(self.columns.num_rows)

    def looks(self) -> list[Look]:
        """Each column at a glance."""
        return [look_of(name, self.columns.column(name)) for name in self.columns.column_names]

    def piece(self, rows: "pd.Series | list[int]") -> bytes:
        """Some of its rows as a file of the same kind, cells untouched; Arrow becomes Parquet."""
        part = self.columns.take(pa.array(rows, pa.int64()))
        sink = io.BytesIO()
        if self.kind == "csv":
            text = io.StringIO()
            writer = csv.writer(text, delimiter=self.separator, lineterminator="\n")
            writer.writerow(part.column_names)
            columns = [column.to_pylist() for column in part.columns]
            if len(columns) == 1:  # a blank line would be no row
                columns = [[cell if cell is not None else " " for cell in columns[0]]]
            writer.writerows(zip(*columns, strict=True))
            return text.getvalue().encode(self.encoding)
        pq.write_table(part, sink)
        return sink.getvalue()


def open_raw(where: str) -> RawTable:
    """The table in a file, in all files of a folder put together, or at an fsspec address such as `s3://...`.

    Raises:
        BadInputError: There is no such file, it is no table, or the files of a folder differ in their columns.
    """
    if "://" in where:
        return read_raw(_fetch(where), where)
    path = Path(where)
    try:
        if path.is_dir():
            return _folder(path)
        return read_raw(path.read_bytes(), str(path))
    except FileNotFoundError as error:
        raise BadInputError(
            f"{where} does not exist; name a file ({KINDS}), a folder of them, or an address"
        ) from error
    except (OSError, ValueError) as error:
        raise BadInputError(f"{where} cannot be read ({error}); name a file that you may read") from error


def _fetch(where: str) -> bytes:
    import fsspec

    try:
        with fsspec.open(where, "rb") as file:
            content = file.read()
    except Exception as error:  # noqa: BLE001  each kind of address has errors of its own
        raise BadInputError(
            f"{where} cannot be read ({type(error).__name__}: {error}); name a file that you may read"
        ) from error
    return bytes(content)


def _folder(path: Path) -> RawTable:
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith((".", "_")))
    if not files:
        raise BadInputError(f"{path} has no file in it; name a folder of files ({KINDS})")
    read = [read_raw(file.read_bytes(), str(file)) for file in files]
    first = read[0]
    for file, table in zip(files, read, strict=True):
        if table.columns.column_names != first.columns.column_names:
            odd = sorted(set(table.columns.column_names) ^ set(first.columns.column_names)) or ["their order"]
            raise BadInputError(
                f"{file} has other columns than {files[0]} ({', '.join(odd[:5])}); all of a folder need the same"
            )
        if (table.kind, table.separator, table.encoding) != (first.kind, first.separator, first.encoding):
            raise BadInputError(
                f"{file} is written otherwise than {files[0]} ({table.kind}, separator {table.separator!r}); name them one by one"
            )
    try:
        columns = pa.concat_tables([table.columns for table in read], promote_options="permissive")
    except pa.ArrowException as error:
        raise BadInputError(
            f"{path}: its files hold columns of different types ({error}); name them one by one"
        ) from error
    return replace(first, columns=columns, ragged=sum(table.ragged for table in read), files=len(read))


def read_raw(content: bytes, where: str) -> RawTable:
    """The table in the bytes of a file; `where` names it in errors.

    Raises:
        BadInputError: It is no table.
    """
    content = _unpacked(content, where)
    try:
        if content.startswith(PARQUET):
            table = pq.read_table(io.BytesIO(content))
            return _checked(RawTable("parquet", "utf-8", ",", table, 0, 1), where)
        if content.startswith(ARROW):
            return _checked(RawTable("arrow", "utf-8", ",", paf.read_table(io.BytesIO(content)), 0, 1), where)
        text, encoding = _decoded(content, where)
        if JSON_LINE.match(text):
            options = pajson.ReadOptions(use_threads=False, block_size=min(BLOCK, len(text) + 1))
            return _checked(
                RawTable("json", encoding, ",", pajson.read_json(io.BytesIO(text), read_options=options), 0, 1), where
            )
        return _checked(_csv(text, encoding, where), where)
    except (pa.ArrowException, OSError, csv.Error) as error:
        raise BadInputError(
            f"{where} cannot be read as a table ({' '.join(str(error).split())[:200]}); send {KINDS}"
        ) from error


def _checked(raw: RawTable, where: str) -> RawTable:
    names = raw.columns.column_names
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise BadInputError(f"{where} has the column {twice[0]!r} twice; rename or remove one")
    if len(names) > MOST_COLUMNS:
        raise BadInputError(f"{where} has {len(names)} columns; at most {MOST_COLUMNS} are looked at")
    if not raw.rows:
        raise BadInputError(f"{where} has a header and no row; a table with rows is needed")
    try:
        raw.columns.validate(full=True)
    except pa.ArrowException as error:
        raise BadInputError(
            f"{where} holds text that is not UTF-8, or broken columns ({error}); store it anew"
        ) from error
    return raw


def _unpacked(content: bytes, where: str) -> bytes:
    try:
        if content.startswith(GZIP):
            return gzip.decompress(content)
        if content.startswith(b"BZh"):
            return bz2.decompress(content)
        if content.startswith(b"\xfd7zXZ"):
            return lzma.decompress(content)
        if content.startswith(b"PK\x03\x04"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
                if len(names) != 1:
                    raise BadInputError(
                        f"{where} is a zip of {len(names)} files ({', '.join(names[:4])}); unpack it and name one of them, or their folder"
                    )
                return archive.read(names[0])
    except (
        OSError,
        EOFError,
        ValueError,
        zlib.error,
        lzma.LZMAError,
        zipfile.BadZipFile,
        RuntimeError,
        NotImplementedError,
    ) as error:
        raise BadInputError(
            f"{where} is no whole compressed file ({error}); it was cut or damaged: send it again"
        ) from error
    return content


def _decoded(content: bytes, where: str) -> tuple[bytes, str]:
    """The text in UTF-8, and the encoding it had."""
    if content.startswith(UTF8_MARK):
        content = content.removeprefix(UTF8_MARK)
    elif content.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return content.decode("utf-16").encode("utf-8"), "utf-16"
        except UnicodeError as error:
            raise BadInputError(f"{where} is marked as UTF-16 and is not ({error}); save it as CSV in UTF-8") from error
    if b"\0" in content:
        raise BadInputError(
            f"{where} is binary (a zero byte at {content.index(0)}) and none of {KINDS}; save it as one of them"
        )
    if not content.strip():
        raise BadInputError(f"{where} is empty; a table with rows is needed")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        try:
            return content.decode("cp1252").encode("utf-8"), "cp1252"
        except UnicodeDecodeError:
            raise BadInputError(
                f"{where} is neither UTF-8 (byte 0x{content[error.start]:02x} at {error.start}) nor cp1252; save it as CSV in UTF-8"
            ) from error
    return content, "utf-8"


def _csv(text: bytes, encoding: str, where: str) -> RawTable:
    text = text.lstrip(b"\r\n")
    separator = _separator(text)
    header = _header(text, separator)
    if not any(name.strip() for name in header):
        raise BadInputError(f"{where} has no names of columns in its first line; put them there")
    if b"\n" not in text:
        text += b"\n"
    ragged: list[int] = []

    def note(row: pacsv.InvalidRow) -> str:
        ragged.append(1)
        return "skip"

    names = list(dict.fromkeys(header))
    table = pacsv.read_csv(
        io.BytesIO(text),
        read_options=pacsv.ReadOptions(use_threads=False, block_size=min(BLOCK, len(text) + 1)),
        parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True, invalid_row_handler=note),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        ),
    )
    return RawTable("csv", encoding, separator, table, len(ragged), 1)


def _header(text: bytes, separator: str) -> list[str]:
    line = text.splitlines()[0].decode("utf-8") if text else ""
    csv.field_size_limit(131_072)
    return next(csv.reader([line], delimiter=separator), [])


def _separator(text: bytes) -> str:
    """The sign that cuts the first lines into most cells, as many in each; a comma where none does."""
    lines = [line.decode("utf-8", "replace") for line in text[: 1 << 16].splitlines()[:20] if line.strip()]
    if len(text) > 1 << 16 and len(lines) > 1:
        lines = lines[:-1]
    best, most = ",", 1
    for separator in SEPARATORS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=separator)]
        except csv.Error:
            continue
        usual = widths[0] if widths else 0
        if usual > most and sum(width == usual for width in widths) >= 0.9 * len(widths):
            best, most = separator, usual
    return best


def look_of(name: str, column: pa.ChunkedArray) -> Look:
    """A column at a glance; cells with nothing but blanks are missing."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_null(kind):
        column, kind = column.cast(pa.string()), pa.string()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)
        return Look(name, "text", pd.Series(column.to_pandas(), dtype="str", name=name))
    stored = _stored(kind)
    if stored == "boolean":
        return Look(name, stored, pd.Series(column.cast(pa.string()).to_pandas(), dtype="str", name=name))
    if stored in ("number", "integer"):
        numbers = column.cast(pa.float64(), safe=False).to_pandas()
        return Look(name, stored, pd.Series(numbers, dtype="float64", name=name))
    if stored == "time":
        # Counted, not converted: far away it would not fit.
        ticks = column.cast(pa.timestamp("ms") if pa.types.is_date(kind) else kind).cast(pa.int64())
        return Look(name, stored, pd.Series(ticks.to_pandas(), dtype="float64", name=name))
    empty = pd.Series(["nested"] * len(column), dtype="str", name=name)
    return Look(name, "other", empty)


def _stored(kind: pa.DataType) -> Stored:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    return "other"
