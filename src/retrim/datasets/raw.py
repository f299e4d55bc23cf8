"""Opens a table of which nothing is declared yet: what kind of file it is, and its columns as they stand in it."""

import bz2
import csv
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.feather as paf
import pyarrow.json as pajson
import pyarrow.parquet as pq

from retrim.core.init.looks import Look
from retrim.datasets.address import address_of, fetch, is_address
from retrim.datasets.container import ARROW, BLOCK, GZIP, JSON_LINE, PARQUET, UTF8_MARK
from retrim.datasets.raw_csv import read_csv
from retrim.datasets.raw_look import look_of
from retrim.datasets.writable import writable
from retrim.errors import BadInputError

Kind = Literal["csv", "json", "parquet", "arrow"]
SUFFIXES: dict[Kind, str] = {"csv": ".csv", "json": ".jsonl", "parquet": ".parquet", "arrow": ".parquet"}
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
        before: Rows of its file before these, which are not among them.
    """

    kind: Kind
    encoding: str
    separator: str
    columns: pa.Table
    ragged: int
    files: int
    before: int = 0

    @property
    def rows(self) -> int:
        return int(self.columns.num_rows)

    def looks(self) -> list[Look]:
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
        """Some of its rows as a file of the same kind, cells untouched; Arrow and JSON lines become Parquet.

        Args:
            rows: Their places.
            without: Columns to leave out.
            only: Columns to keep, and what each is called there; None: all.
            beside: Text columns that stand before them.
        """
        kept = only or {name: name for name in self.columns.column_names if name not in without}
        part = self.columns.select(list(kept)).take(pa.array(rows, pa.int64())).rename_columns(list(kept.values()))
        for name, cells in reversed(list((beside or {}).items())):
            part = part.add_column(0, name, pa.array(cells, pa.string()))
        sink = io.BytesIO()
        if self.kind == "csv":
            text = io.StringIO()
            writer = csv.writer(
                text, delimiter=self.separator, lineterminator="\r\n"
            )  # so that a cell of either is quoted
            writer.writerow(part.column_names)
            columns = [column.to_pylist() for column in part.columns]
            if len(columns) == 1:  # a blank line would be no row
                columns = [[cell if cell is not None else " " for cell in columns[0]]]
            writer.writerows(zip(*columns, strict=True))
            return text.getvalue().encode(self.encoding)
        pq.write_table(writable(part), sink)
        return sink.getvalue()


def open_raw(where: str) -> RawTable:
    """The table in a file, in all files of a folder put together, or at an fsspec address.

    Raises:
        BadInputError: There is no such file, it is no table, or the files of a folder differ in their columns.
    """
    if is_address(where):
        return _together(fetch(where), address_of(where).shown)
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


def raw_of(columns: pa.Table, where: str) -> RawTable:
    """A table that came typed, as from a database.

    Raises:
        BadInputError: It has no rows, or a column twice.
    """
    return _checked(RawTable("parquet", "utf-8", ",", columns, 0, 1), where)


def last_of(named: Sequence[tuple[str, bytes]], where: str, *, before: int) -> RawTable:
    """The last pieces of a file as one table.

    Args:
        named: Names and bytes of the pieces.
        where: The file.
        before: Rows before them.
    """
    return replace(_together(named, where), files=1, before=before)


def _folder(path: Path) -> RawTable:
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith((".", "_")))
    if not files:
        raise BadInputError(f"{path} has no file in it; name a folder of files ({KINDS})")
    return _together([(str(file), file.read_bytes()) for file in files], str(path))


def _together(named: Sequence[tuple[str, bytes]], where: str) -> RawTable:
    """One table of all files; `where` names their folder in errors."""
    read = [read_raw(content, name) for name, content in named]
    files, first = [name for name, _ in named], read[0]
    for file, table in zip(files, read, strict=True):
        if table.columns.column_names != first.columns.column_names:
            odd = sorted(set(table.columns.column_names) ^ set(first.columns.column_names)) or ["their order"]
            raise BadInputError(
                f"{file} has other columns than {files[0]} ({', '.join(odd[:5])}); all of a folder need the same"
            )
        if (table.kind, table.separator, table.encoding) != (first.kind, first.separator, first.encoding):
            raise BadInputError(
                f"{file} is written otherwise than {files[0]} ({table.kind}, separator "
                f"{table.separator!r}); name them one by one"
            )
    try:
        columns = pa.concat_tables([table.columns for table in read], promote_options="permissive")
    except pa.ArrowException as error:
        raise BadInputError(
            f"{where}: its files hold columns of different types ({error}); name them one by one"
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
        table, separator, ragged = read_csv(text, where)
        return _checked(RawTable("csv", encoding, separator, table, ragged, 1), where)
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
                        f"{where} is a zip of {len(names)} files ({', '.join(names[:4])}); unpack it "
                        "and name one of them, or their folder"
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
        encoding = "utf-32" if content.startswith(b"\xff\xfe\0\0") else "utf-16"
        try:
            return content.decode(encoding).encode("utf-8"), encoding
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
                f"{where} is neither UTF-8 (byte 0x{content[error.start]:02x} at {error.start}) nor "
                "cp1252; save it as CSV in UTF-8"
            ) from error
    return content, "utf-8"
