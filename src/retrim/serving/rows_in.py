"""Rows to be predicted, wherever they lie, a part at a time: the same parts each time the same rows are read."""

import gzip
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from io import BufferedReader, BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.json as pajson
import pyarrow.parquet as pq

from retrim.adapters.sql_table import is_database, pass_rows, refuse_query, table_of
from retrim.errors import BadInputError
from retrim.files import file_digest
from retrim.parquet import parquet_file, writable
from retrim.reading.address import ReadableFile, address_of, files_in, is_address, remote_files
from retrim.reading.chunks import cut_text, is_plain, told_of
from retrim.reading.container import (
    ARROW,
    AS_LINES,
    GZIP,
    JSON_ARRAY,
    JSON_LINE,
    PARQUET,
    UTF8_MARK,
    NoTableError,
    header_of,
    read_stored,
    read_texts,
    utf8_text,
    without_views,
)
from retrim.reading.excel import MARK
from retrim.table.reading import ReadingParams

ROWS = 1 << 18
"""Rows of a part of a file that is not text."""
TEXT = 16 << 20
"""Bytes of a part of a text, at most."""
HEAD = 1 << 10
"""Bytes that tell a text's form."""
SPOOLED = 1 << 17
"""Rows of a database that become one file."""
Load = Callable[[], tuple[pa.Table, tuple[tuple[int, str], ...]]]
"""The columns of a part, and ragged lines by their number in it."""


@dataclass(frozen=True)
class LoadedRows:
    """A part that was read.

    Args:
        file: Of IN, as it is shown.
        table: Its columns; those of CSV are text.
        rows: Of each of its rows the number in IN, from 0; shape (n,).
        ragged: Lines with another number of cells than the header, which the table lacks: number and text.
        elsewhere: Of lines of JSON, which leave out what they do not know: gives all columns of the file.
    """

    file: str
    table: pa.Table
    rows: np.ndarray
    ragged: tuple[tuple[int, str], ...] = ()
    elsewhere: Callable[[], frozenset[str]] = frozenset


@dataclass(frozen=True)
class RowsIn:
    """IN: its files in order, as they were first, and a look at them as they are now."""

    shown: str
    reading: ReadingParams
    look: Callable[[], list[ReadableFile]]
    files: list[ReadableFile]

    def state(self) -> list[tuple[str, str]]:
        """What tells its content from another."""
        return [(file.shown, file.state) for file in self.files]

    def state_now(self) -> list[tuple[str, str]] | None:
        """The same of what lies there now; None where nothing does any more."""
        try:
            return [(file.shown, file.state) for file in self.look()]
        except (BadInputError, OSError):
            return None

    def names(self) -> set[str]:
        """The columns of its first file."""
        first = self.files[0]
        with named_fault(first.shown), first.opened() as stream:
            names = _names(stream, self.reading)
        return {*names, *(name for name, _ in self._partition(first))}

    def parts(self, columns: Collection[str]) -> Iterator[Callable[[], LoadedRows]]:
        """Gives what reads each of its parts, in order.

        Raises:
            BadInputError: A file is damaged, or none that holds a table.
        """
        first = 0
        for file in self.files:
            elsewhere = cache(partial(_all_names, file, self.reading))
            with named_fault(file.shown), file.opened() as stream:
                for count, load in _parts_of(stream, self.reading, columns):
                    yield partial(_loaded, file.shown, self._partition(file), first, load, elsewhere)
                    first += count

    def _partition(self, file: ReadableFile) -> list[tuple[str, str]]:
        """What folders between IN and a file say, as month=2024-05."""
        between = PurePosixPath(file.shown.removeprefix(self.shown).strip("/")).parts[:-1]
        pairs = (part.partition("=") for part in between)
        return [(key, value) for key, sign, value in pairs if sign and key]


def open_rows(where: str, reading: ReadingParams, *, query: str | None, table: str | None, spool: Path) -> RowsIn:
    """IN: a file or a folder here, or an fsspec address of such, or a database, whose rows are laid into `spool`.

    Raises:
        BadInputError: Nothing lies there, or it may not be read.
    """
    if is_database(where):
        shown = address_of(where).shown
        paths = _spooled(where, spool, query=query, table=table)
        files = [ReadableFile(shown, partial(_open, path), file_digest(path)) for path in paths]
        return RowsIn(shown, reading, lambda: files, files)
    refuse_query(query, table)
    shown, look = (address_of(where).shown, remote_files) if is_address(where) else (str(Path(where)), _local)
    return RowsIn(shown, reading, partial(look, where), look(where))


def _local(where: str) -> list[ReadableFile]:
    path = Path(where)
    if not where.strip():  # an empty variable of a script, which is no wish to read all that lies here
        raise BadInputError("IN is empty; specify a file, a folder or an address")
    if path.is_dir():
        paths = files_in(path)
        if not paths:
            raise BadInputError(
                f"{path} contains no files; specify a folder with CSV, JSON lines, Parquet, Arrow or Excel files"
            )
    elif path.is_file():
        paths = [path]
    else:
        raise BadInputError(f"{path} does not exist; specify a file, a folder or an address")
    facts = [file.stat() for file in paths]
    return [
        ReadableFile(str(file), partial(_open, file), f"{fact.st_size} {fact.st_mtime_ns}")
        for file, fact in zip(paths, facts, strict=True)
    ]


def _open(file: Path) -> BufferedReader:
    return file.open("rb")


def _spooled(where: str, folder: Path, *, query: str | None, table: str | None) -> list[Path]:
    """The rows of a database as files, some rows each: as many as needed, so that memory stays flat."""
    folder.mkdir()
    names: list[str] = []
    held: list[tuple[object, ...]] = []
    paths: list[Path] = []

    def write() -> None:
        paths.append(folder / f"{len(paths):06d}.parquet")
        pq.write_table(writable(table_of(names, held)), paths[-1])
        held.clear()

    def take(columns: list[str], rows: object) -> None:
        names[:] = columns
        held.extend(map(tuple, cast("list[tuple[object, ...]]", rows)))
        if len(held) >= SPOOLED:
            write()

    pass_rows(where, take, query=query, table=table)
    if held or not paths:
        write()
    return paths


def _all_names(file: ReadableFile, reading: ReadingParams) -> frozenset[str]:
    """Columns of any part of lines of JSON; none of another file."""
    with named_fault(file.shown), file.opened() as stream:
        head = stream.read(len(GZIP))
        stream.seek(0)
        text = cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if head.startswith(GZIP) else stream
        is_json = JSON_LINE.match(text.read(HEAD).removeprefix(UTF8_MARK)) is not None
        stream.seek(0)
        parts = _parts_of(stream, reading, ()) if is_json else ()
        return frozenset(name for _, load in parts for name in load()[0].column_names)


def _loaded(
    file: str,
    partition: Sequence[tuple[str, str]],
    first: int,
    load: Load,
    elsewhere: Callable[[], frozenset[str]],
) -> LoadedRows:
    with named_fault(file):
        stored, ragged = load()
    table = without_views(stored)
    for name, value in partition:
        if name not in table.column_names:
            table = table.append_column(name, pa.array([value] * len(table), pa.string()))
    numbers = np.arange(first, first + len(table) + len(ragged))
    rows = np.delete(numbers, [line for line, _ in ragged]) if ragged else numbers
    return LoadedRows(file, table, rows, tuple((first + line, text) for line, text in ragged), elsewhere)


def _parts_of(stream: BinaryIO, reading: ReadingParams, columns: Collection[str]) -> Iterator[tuple[int, Load]]:
    head = stream.read(len(ARROW))
    stream.seek(0)
    if head.startswith(PARQUET):
        with parquet_file(stream, by_page=True) as stored:
            wanted = [name for name in stored.schema_arrow.names if name in columns]
            yield from _grouped(stored.iter_batches(ROWS, columns=wanted, use_threads=False))
    elif head.startswith(ARROW):
        yield from _grouped(_arrow(stream, columns))
    elif head.startswith(MARK):
        table = read_stored("excel", stream.read(), required=columns)
        yield len(table), lambda: (table, ())
    elif not head:
        raise BadInputError("the file is empty; specify a file with a header of column names")
    else:
        if not is_plain(reading.encoding):
            raise BadInputError(f"text in {reading.encoding} cannot be read in parts; save it as CSV in UTF-8")
        text = cast("BinaryIO", gzip.GzipFile(fileobj=stream)) if head.startswith(GZIP) else stream
        if JSON_ARRAY.match(text.read(HEAD).removeprefix(UTF8_MARK)):
            raise BadInputError(f"the file is a JSON array; {AS_LINES}")
        text.seek(0)
        for chunk in cut_text(text, TEXT, reading):
            yield chunk.rows, partial(_text, chunk.content(), reading)


def _names(stream: BinaryIO, reading: ReadingParams) -> list[str]:
    head = stream.read(len(ARROW))
    stream.seek(0)
    if head.startswith(PARQUET):
        return list(pq.read_schema(stream).names)
    if head.startswith(ARROW):
        return list(pa.ipc.open_file(stream).schema.names)
    for _, load in _parts_of(stream, reading, ()):
        return list(load()[0].column_names)
    return []


def _arrow(stream: BinaryIO, columns: Collection[str]) -> Iterator[pa.RecordBatch]:
    stored = pa.ipc.open_file(stream, options=pa.ipc.IpcReadOptions(use_threads=False))
    wanted = [name for name in stored.schema.names if name in columns]
    for number in range(stored.num_record_batches):
        batch = stored.get_batch(number).select(wanted)
        yield from (batch.slice(start, ROWS) for start in range(0, batch.num_rows, ROWS))


def _grouped(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, Load]]:
    """Batches put together until they have `ROWS` rows, or nearly."""
    held: list[pa.RecordBatch] = []
    for batch in batches:
        if held and sum(map(len, held)) + len(batch) > ROWS:
            yield _table(held)
            held = []
        if len(batch):
            held.append(batch)
    if held:
        yield _table(held)


def _table(held: list[pa.RecordBatch]) -> tuple[int, Load]:
    table = pa.Table.from_batches(held)
    return len(table), lambda: (table, ())


def _text(content: bytes, reading: ReadingParams) -> tuple[pa.Table, tuple[tuple[int, str], ...]]:
    """A text; bytes that are no UTF-8 become U+FFFD, so that they spoil their own cell alone."""
    content = content.removeprefix(UTF8_MARK)
    try:
        text = utf8_text(content, reading.encoding)
    except NoTableError:
        text = utf8_text(content.decode("utf-8", "replace").encode(), "utf-8")
    if JSON_LINE.match(text):
        options = pajson.ReadOptions(use_threads=False, block_size=len(text) + 1)
        return pajson.read_json(BytesIO(text), read_options=options), ()
    table, ragged = read_texts(text, header_of(text, reading.separator), reading.separator)
    return table, tuple((row.number - 2, row.text) for row in ragged)


@contextmanager
def named_fault(where: str) -> Iterator[None]:
    """What goes wrong on the way through a file, with its name."""
    try:
        with told_of(where):
            yield
    except BadInputError as error:
        raise error if str(error).startswith(where) else BadInputError(f"{where}: {error}") from error
