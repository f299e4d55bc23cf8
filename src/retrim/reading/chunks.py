"""A file too large to be read at once, as pieces that are files of their own: some of its rows each, in their order.

The same file gives the same pieces, so that landing them again changes nothing. A text gives texts, header and all;
Parquet and Arrow give Arrow, whose bytes do not say by which version they were written.
"""

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import accumulate
from pathlib import Path, PurePath
from typing import BinaryIO, cast

import pyarrow as pa

from retrim.errors import BadInputError
from retrim.files import file_digest, name_of
from retrim.parquet import parquet_file
from retrim.reading.container import (
    ARROW,
    GZIP,
    JSON_LINE,
    OTHER_MARKS,
    PARQUET,
    SAVE_AS,
    UTF8_MARK,
    NoTableError,
    json_names,
)
from retrim.reading.records import EndlessRecordError, MadeChunk, csv_ends, cut, first_record, json_ends
from retrim.table.fault import whole_file
from retrim.table.reading import ReadingParams

LONGEST = 64 << 20
"""Bytes of a record, at least, before it is taken for a quote that never closes."""


MB = 1 << 20
PIECE_MB = 128.0  # megabytes, unpacked: a larger file lands in chunks of this size, which bounds the memory
HEAD = 1 << 16
BATCH = 1 << 16  # rows decoded at once, at most
CELL = 16  # bytes of a cell, so that few rows of very many columns are decoded at once


@dataclass(frozen=True)
class ChunkPart:
    """Position of a chunk in the large file with this SHA-256.

    Args:
        number: Of the chunk, from 1.
        count: Chunks of the file.
        first: Row of the file with which the chunk begins, from 0, without the header.
        after: Rows of the file after the chunk.
    """

    of: str
    number: int
    count: int
    first: int
    rows: int
    after: int

    def as_record(self) -> dict[str, str | int]:
        return {"of": self.of, "piece": self.number, "pieces": self.count, "first_row": self.first}


@dataclass(frozen=True)
class Chunk:
    """A part of a large file, as a file of its own.

    Args:
        columns: Of the whole file, if it is JSON lines: a chunk has only those of which it has a value.
    """

    part: ChunkPart
    name: str
    content: bytes
    columns: frozenset[str] = frozenset()


@dataclass(frozen=True)
class LargeFile:
    """A file that lands in pieces.

    Args:
        of: SHA-256 of its bytes; `digests` are those of each piece.
        counts: Rows of each piece.
        size: Bytes that a piece has at most, unpacked.
        columns: Of JSON lines, all columns of which some line has a value.
    """

    path: Path
    of: str
    digests: tuple[str, ...]
    counts: tuple[int, ...]
    size: int
    reading: ReadingParams
    columns: frozenset[str]

    @property
    def rows(self) -> int:
        return sum(self.counts)

    def pieces(self) -> Iterator[Chunk]:
        """Each piece, in order of the file.

        Raises:
            BadInputError: The file was changed while it was read.
        """
        firsts = [0, *accumulate(self.counts)]
        number = 0
        with told_of(self.path), self.path.open("rb") as file:
            for piece in _pieces_of(file, self.size, self.reading):
                content = piece.content()
                if number == len(self.digests) or sha256(content).hexdigest() != self.digests[number]:
                    raise _changed(self.path)
                first, rows = firsts[number], self.counts[number]
                number += 1
                part = ChunkPart(self.of, number, len(self.digests), first, rows, self.rows - first - rows)
                yield Chunk(part, _name(self.path, part, piece.suffix), content, self.columns)
                del content  # so that two pieces are never held at once
                pa.default_memory_pool().release_unused()
        if number < len(self.digests):
            raise _changed(self.path)


def large_at(path: Path, *, piece_mb: float, reading: ReadingParams) -> LargeFile | None:
    """The file at `path`, if it has more than `piece_mb` megabytes unpacked and can be cut; else None.

    What cannot be cut is a text in an encoding of several bytes a sign, and what cannot be read at all. It is read once
    from end to end, so that a damaged file is known before any of it lands.

    Raises:
        BadInputError: It is large and damaged, binary, or has a row without an end.
    """
    size = max(int(piece_mb * MB), 1)
    if not path.is_file():  # nor may a pipe be opened twice
        return None
    try:
        sure = path.stat().st_size > size
        with path.open("rb") as file:
            packed = file.read(len(ARROW)).startswith((PARQUET, ARROW, GZIP))
    except OSError:
        return None  # whoever reads it whole says why it cannot be
    if not sure and not packed:
        return None
    digests, counts, length = [], [], 0
    columns: frozenset[str] = frozenset()
    try:
        with told_of(path), path.open("rb") as file:
            for piece in _pieces_of(file, size, reading):
                length += piece.size
                counts.append(piece.rows)
                content = piece.content()
                digests.append(sha256(content).hexdigest())
                columns |= json_names(content, reading.encoding)
                del content  # so that two pieces are never held at once
    except BadInputError:
        if sure or length > size:
            raise
        return None  # small enough to be read whole, and set aside with its bytes
    if len(counts) < 2 or length <= size:
        return None
    return LargeFile(path, file_digest(path), tuple(digests), tuple(counts), size, reading, columns)


def _pieces_of(file: BinaryIO, size: int, reading: ReadingParams) -> Iterator[MadeChunk]:
    head = file.read(HEAD)
    file.seek(0)
    if head.startswith(PARQUET):
        return _of_batches(_parquet(file, size), size)
    if head.startswith(ARROW):
        return _of_batches(_arrow(file, size), size)
    if not is_plain(reading.encoding):
        return iter(())
    if head.startswith(GZIP):
        return cut_text(cast("BinaryIO", gzip.GzipFile(fileobj=file)), size, reading)
    return cut_text(file, size, reading)


def cut_text(text: BinaryIO, size: int, reading: ReadingParams) -> Iterator[MadeChunk]:
    """A text of CSV or lines of JSON as texts of `size` bytes or less, some whole records each, with the header.

    Raises:
        NoTableError: It is marked as UTF-16, or binary.
        EndlessRecordError: A record is longer than any.
    """
    longest = max(size, LONGEST)
    head = text.read(HEAD)
    marked = head.startswith(UTF8_MARK) and _is_utf8(reading.encoding)
    text.seek(len(UTF8_MARK) if marked else 0)
    head = head.removeprefix(UTF8_MARK)
    mark = next((name for mark, name in OTHER_MARKS.items() if head.startswith(mark)), None)
    if mark is not None or b"\0" in head:
        value = f"a byte order mark of {mark}" if mark else f"binary data, a zero byte at {head.index(0)}"
        raise NoTableError(whole_file("is UTF-8 text", value=value, cure=SAVE_AS))
    is_json = JSON_LINE.match(head) is not None
    ends = json_ends if is_json else csv_ends(reading.separator)
    header, begun = (b"", b"") if is_json else first_record(text, ends, longest=longest)
    yield from cut(text, ends, header=header, begun=begun, size=size, longest=longest)


def _of_batches(batches: Iterator[pa.RecordBatch], size: int) -> Iterator[MadeChunk]:
    """Some batches as one Arrow file: that many rows as `size` bytes hold of the first ones, a power of two."""
    held: list[pa.RecordBatch] = []
    wanted, rows, length = 0, 0, 0
    for whole in batches:
        batch = whole
        if batch.num_rows and not wanted:
            wanted = 1 << max(int(size * batch.num_rows / max(batch.nbytes, 1)).bit_length() - 1, 0)
        while batch.num_rows:
            taken = batch.slice(0, wanted - rows)
            held.append(taken)
            rows, length = rows + taken.num_rows, length + taken.nbytes
            batch = batch.slice(taken.num_rows)
            if rows == wanted or length >= 2 * size:
                yield MadeChunk(rows, length, partial(_arrow_bytes, held), ".arrow")
                held, rows, length = [], 0, 0
    if held:
        yield MadeChunk(rows, length, partial(_arrow_bytes, held), ".arrow")


def _arrow_bytes(batches: list[pa.RecordBatch]) -> bytes:
    """One file of all batches, which are let go."""
    table = pa.Table.from_batches(batches).unify_dictionaries().combine_chunks()
    batches.clear()
    sink = io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def _parquet(file: BinaryIO, size: int) -> Iterator[pa.RecordBatch]:
    with parquet_file(file, by_page=True) as stored:
        yield from stored.iter_batches(_rows_at_once(size, len(stored.schema_arrow)), use_threads=False)


def _arrow(file: BinaryIO, size: int) -> Iterator[pa.RecordBatch]:
    stored = pa.ipc.open_file(file, options=pa.ipc.IpcReadOptions(use_threads=False))
    rows = _rows_at_once(size, len(stored.schema))
    for number in range(stored.num_record_batches):
        batch = stored.get_batch(number)
        yield from (batch.slice(start, rows) for start in range(0, batch.num_rows, rows))


def _rows_at_once(size: int, columns: int) -> int:
    return min(max(size // (CELL * max(columns, 1)), 1), BATCH)


def _is_utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def is_plain(encoding: str) -> bool:
    """Whether quotes, separators and line ends are in it what they are in ASCII, and nothing else is."""
    if _is_utf8(encoding):
        return True
    try:
        decoders = [codecs.getincrementaldecoder(encoding)("replace") for _ in range(256)]
        signs = [decoder.decode(bytes([byte])) for byte, decoder in enumerate(decoders)]
    except (LookupError, UnicodeError):
        return False
    return all(len(sign) == 1 for sign in signs) and "".join(signs[:128]).encode("ascii", "ignore") == bytes(range(128))


def _name(path: Path, part: ChunkPart, suffix: str) -> str:
    """The file's name with the rows that the piece has of it."""
    name = PurePath(name_of(path).removesuffix(".gz"))
    return f"{name.stem}.rows-{part.first}-{part.first + part.rows - 1}{suffix or name.suffix}"


@contextmanager
def told_of(name: object) -> Iterator[None]:
    """Tells what goes wrong on the way through a large file as bad input."""
    try:
        yield
    except NoTableError as error:
        raise BadInputError(f"{name}: {error.fault}; {error.fault.cure}") from error
    except EndlessRecordError as error:
        raise BadInputError(
            f"{name}: row {error.before} does not end within {error.length // MB} MB, probably because a quote in it "
            "is not closed; close the quote, or store the table as Parquet"
        ) from error
    except (pa.ArrowException, OSError, EOFError, zlib.error, ValueError) as error:
        raise BadInputError(
            f"{name} cannot be read to the end ({' '.join(str(error).split())[:200]}); send the complete file again"
        ) from error


def _changed(path: Path) -> BadInputError:
    return BadInputError(f"{path} changed while retrim was reading it; ingest the file again when it is complete")
