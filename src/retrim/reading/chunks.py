"""Where the records of a text end, so that it can be cut between two of them: lines of JSON, or CSV with its quotes.

A file too large to be read at once, as pieces that are files of their own: some of its rows each, in their order.

The same file gives the same pieces, so that landing them again changes nothing. A text gives texts, header and all;
Parquet and Arrow give Arrow, whose bytes do not say by which version they were written.

A table on disk, written and read a piece at a time.
"""

import codecs
import gzip
import io
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import accumulate
from pathlib import Path, PurePath
from typing import BinaryIO, cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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
from retrim.table.fault import whole_file
from retrim.table.reading import ReadingParams

LF, CR, QUOTE = b'\n\r"'
STEP = 8 << 20
"""Bytes that are read at once; the pieces of a text depend on it."""
LONGEST = 64 << 20
"""Bytes of a record, at least, before it is taken for a quote that never closes."""


class EndlessRecordError(ValueError):
    """A record is longer than any; carries how many records come before it, and how long one may be."""

    def __init__(self, before: int, length: int) -> None:
        super().__init__(f"record {before} is longer than {length} bytes")
        self.before, self.length = before, length


@dataclass(frozen=True)
class FoundRecords:
    """Records of a stretch of text.

    Args:
        ends: Where each whole record ends, its line end included, ascending.
        end: Where the last line ends, blank lines among them.
    """

    ends: np.ndarray
    end: int


@dataclass(frozen=True)
class Text:
    """Some whole records, and how many.

    Whoever took its parts may clear them, so that they are not held while the next ones are awaited.
    """

    parts: list[bytes]
    records: int

    @property
    def content(self) -> bytes:
        return b"".join(self.parts)


Ends = Callable[[bytes], FoundRecords]


def csv_ends(separator: str) -> Ends:
    """Finds the ends of CSV records as the reader sees them.

    A quote counts at the start of a cell alone, two within quotes are one; a line ends by any of the three line ends,
    and a blank one is not a record.
    """
    sign = re.escape(separator.encode("ascii"))
    cell = rb'(?:"[^"]*+(?:""[^"]*+)*+"[^%b\r\n]*+|(?!")[^%b\r\n]*+)' % (sign, sign)
    record = re.compile(rb"%b(?:%b%b)*+(?:\r\n|\n|\r)" % (cell, sign, cell))
    starts = np.frombuffer(separator.encode("ascii") + b'\n\r"', dtype="uint8")

    def find(text: bytes) -> FoundRecords:
        signs = np.frombuffer(text, dtype="uint8")
        lines = _line_ends(signs, lone_cr=b"\r" in text)
        if b'"' not in text:
            return _but_blank(signs, lines)
        quotes = np.flatnonzero(signs == QUOTE)
        opening = quotes[0::2]
        if not np.isin(signs[opening[opening > 0] - 1], starts).all():  # one stands within a cell: it opens nothing
            return _but_blank(signs, _matched(record, text))
        outside = np.searchsorted(quotes, lines) % 2 == 0
        return _but_blank(signs, lines[outside])

    return find


def json_ends(text: bytes) -> FoundRecords:
    """The same for lines of JSON, in whose text a line end is always escaped."""
    signs = np.frombuffer(text, dtype="uint8")
    return _but_blank(signs, _line_ends(signs, lone_cr=False))


def _line_ends(signs: np.ndarray, *, lone_cr: bool) -> np.ndarray:
    """Behind each line end; a CR is one where no LF follows it."""
    ends = signs == LF
    if lone_cr:
        ends |= (signs == CR) & ~np.append(signs[1:] == LF, False)
    return np.flatnonzero(ends) + 1


def _matched(record: re.Pattern[bytes], text: bytes) -> np.ndarray:
    """Behind each record, one after another: slower."""
    ends: list[int] = []
    while match := record.match(text, ends[-1] if ends else 0):
        ends.append(match.end())
    return np.array(ends, dtype="int64")


def _but_blank(signs: np.ndarray, lines: np.ndarray) -> FoundRecords:
    if not len(lines):
        return FoundRecords(lines, 0)
    starts = np.append(0, lines[:-1])
    blank = (lines - starts == 1) | ((lines - starts == 2) & (signs[starts] == CR))
    return FoundRecords(lines[~blank], int(lines[-1]))


def first_record(stream: BinaryIO, ends: Ends, *, longest: int, step: int = STEP) -> tuple[bytes, bytes]:
    """The first record of a text, blank lines before it left out, and what was read beyond it.

    Raises:
        EndlessRecordError: It is longer than any.
    """
    read = b""
    while True:
        fresh = _read(stream, min(max(step, len(read)), longest + step - len(read)))  # never much more than one may be
        read = (read + fresh).lstrip(b"\r\n")
        found = ends(read)
        if len(found.ends):
            return read[: found.ends[0]], read[found.ends[0] :]
        if not fresh:
            return read, b""
        if len(read) > longest:
            raise EndlessRecordError(0, longest)


def cut(stream: BinaryIO, ends: Ends, *, begun: bytes, size: int, longest: int, step: int = STEP) -> Iterator[Text]:
    """The records of a text, that many at once that they have `size` bytes or less.

    How many is told by the first step, as a power of two: so other bytes in one record leave the cuts where they are.
    Where records become much longer than the first ones, a cut comes as soon as there are twice as many bytes.

    Args:
        size: Bytes.
        longest: Bytes of the longest record there may be.
        step: Bytes read at once.

    Raises:
        EndlessRecordError: A record is longer than any.
    """
    rest, fresh = begun, b"-"
    held: list[bytes] = []
    records, length, before, wanted = 0, 0, 0, 0
    while fresh:
        fresh = _read(stream, max(step, len(rest)))
        rest += fresh
        found = ends(rest)
        if fresh and not found.end and len(rest) > longest:
            raise EndlessRecordError(before + records, longest)
        if not fresh:
            found = _closed(rest, found)
        if len(found.ends) and not wanted:
            wanted = _at_once(size, found.end / len(found.ends))
        start, place = 0, 0
        while place < len(found.ends):
            full = int(np.searchsorted(found.ends, start + 2 * size - length))
            last = min(place + wanted - records - 1, full)
            if last >= len(found.ends):
                break
            end = int(found.ends[last])
            records += last + 1 - place
            held.append(rest[start:end])
            yield Text(held, records)
            before, start, place, records, length, held = before + records, end, last + 1, 0, 0, []
        records += len(found.ends) - place
        held.append(rest[start : found.end])
        length += found.end - start
        rest = rest[found.end :]
    if records:
        yield Text(held, records)


def _read(stream: BinaryIO, size: int) -> bytes:
    """This many bytes, and more where the last could be half a line end."""
    read = stream.read(size)
    while read.endswith(b"\r") and (more := stream.read(1)):
        read += more
    return read


def _closed(rest: bytes, found: FoundRecords) -> FoundRecords:
    """The same of the end of a text, whose last record may lack its line end, or the end of its quotes."""
    last = [len(rest)] if rest[found.end :].strip(b"\r\n") else []
    return FoundRecords(np.append(found.ends, last).astype("int64"), len(rest))


def _at_once(size: int, usual: float) -> int:
    """How many records of a usual length have `size` bytes or less: a power of two."""
    return 1 << max(int(size / usual).bit_length() - 1, 0)


MB = 1 << 20
HEAD = 1 << 16
BATCH = 1 << 16  # rows decoded at once, at most
CELL = 16  # bytes of a cell, so that few rows of very many columns are decoded at once


@dataclass(frozen=True)
class ChunkPart:
    """Position of a chunk in a large file.

    Args:
        of: SHA-256 of the large file.
        number: Number of the chunk, from 1.
        count: Number of chunks of the file.
        first: Row of the file with which the chunk begins, from 0, without the header.
        rows: Rows of the chunk.
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
    """A part of a large file.

    Args:
        part: Which.
        name: What it is kept under.
        content: Bytes of a file of its own.
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
        path: Where it lies.
        of: sha256 of its bytes.
        digests: Of each piece.
        counts: Rows of each piece.
        size: Bytes that a piece has at most, unpacked.
        reading: How the file is spelled.
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
            for made in _pieces_of(file, self.size, self.reading):
                content = made.content()
                if number == len(self.digests) or sha256(content).hexdigest() != self.digests[number]:
                    raise _changed(self.path)
                first, rows = firsts[number], self.counts[number]
                number += 1
                part = ChunkPart(self.of, number, len(self.digests), first, rows, self.rows - first - rows)
                yield Chunk(part, _name(self.path, part, made.suffix), content, self.columns)
                del content  # so that two pieces are never held at once
                pa.default_memory_pool().release_unused()
        if number < len(self.digests):
            raise _changed(self.path)


@dataclass(frozen=True)
class MadeChunk:
    """A piece on its way.

    Args:
        rows: Rows it has.
        size: Bytes they have unpacked.
        content: Gives its bytes, once.
        suffix: What its name ends with; empty: as that of the file.
    """

    rows: int
    size: int
    content: Callable[[], bytes]
    suffix: str


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
            for made in _pieces_of(file, size, reading):
                length += made.size
                counts.append(made.rows)
                content = made.content()
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
        found = f"a byte order mark of {mark}" if mark else f"binary data, a zero byte at {head.index(0)}"
        raise NoTableError(whole_file("is UTF-8 text", value=found, cure=SAVE_AS))
    is_json = JSON_LINE.match(head) is not None
    ends = json_ends if is_json else csv_ends(reading.separator)
    header, begun = (b"", b"") if is_json else first_record(text, ends, longest=longest)
    for part in cut(text, ends, begun=begun, size=size, longest=longest):
        yield MadeChunk(part.records, sum(map(len, part.parts)), partial(_text, header, part.parts), "")


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


def _text(header: bytes, parts: list[bytes]) -> bytes:
    """One text of all parts, which are let go."""
    content = b"".join([header, *parts])
    parts.clear()
    return content


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
    own = PurePath(name_of(path).removesuffix(".gz"))
    return f"{own.stem}.rows-{part.first}-{part.first + part.rows - 1}{suffix or own.suffix}"


@contextmanager
def told_of(name: object) -> Iterator[None]:
    """What goes wrong on the way through a large file, told as bad input."""
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


PIECE = 1 << 19
"""Rows of a piece: few enough that some copies of them are small, many enough that what is done once a piece is too."""


@contextmanager
def writing(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that adds rows to the Parquet file at `path`, which is replaced whole when all were added.

    pandas categories become text.

    Settings are those of `retrim.stats.codec.to_parquet`: the same pieces give the same bytes. Where nothing is
    added, or an error ends it, the file stays as it was.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    writers: list[pq.ParquetWriter] = []

    def add(rows: pd.DataFrame) -> None:
        table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
        text = [
            pa.field(each.name, pa.large_string()) if pa.types.is_dictionary(each.type) else each
            for each in table.schema
        ]
        table = table.cast(pa.schema(text))
        if not writers:
            how = {"compression": "zstd", "compression_level": 3, "version": "2.6", "data_page_version": "1.0"}
            writers.append(pq.ParquetWriter(fresh, table.schema, **how))
        writers[0].write_table(table.cast(writers[0].schema), row_group_size=1 << 20)

    try:
        yield add
        if writers:
            writers[0].close()
            fresh.replace(path)
    finally:
        for writer in writers:
            writer.close()
        fresh.unlink(missing_ok=True)


def read_frame(path: Path, columns: Sequence[str] | None = None, *, coded: Sequence[str]) -> pd.DataFrame:
    """A Parquet file as a frame, without a second copy of it in memory.

    Args:
        columns: Which columns; None: all.
    """
    with parquet_file(path, coded=coded) as stored:
        table = stored.read(columns=None if columns is None else list(columns))
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    return frame if columns is None else frame[list(columns)]


def shape_of(path: Path) -> tuple[int, int]:
    """Rows and columns of a Parquet file."""
    stored = pq.read_metadata(path)
    return stored.num_rows, stored.num_columns


def read_mapped(path: Path, *, coded: Sequence[str]) -> pd.DataFrame:
    """The same frame as `read_frame` gives, whose columns of floats lie in an unnamed file beside it, not in memory.

    The file is gone when the frame is, also after a kill. A system that is short of memory drops what it has read.
    """
    with parquet_file(path) as stored, tempfile.TemporaryFile(dir=path.parent) as file:
        names = stored.schema_arrow.names
        floats = [name for name in names if pa.types.is_float64(stored.schema_arrow.field(name).type)]
        others = read_frame(path, [name for name in names if name not in floats], coded=coded)
        mapped = np.memmap(file, dtype="float64", mode="w+", shape=(max(len(floats), 1), stored.metadata.num_rows))
        start = 0
        for group in range(stored.metadata.num_row_groups):
            for batch in stored.iter_batches(PIECE, row_groups=[group], columns=floats):
                for place, name in enumerate(floats):
                    mapped[place, start : start + batch.num_rows] = batch.column(name).to_numpy(zero_copy_only=False)
                start += batch.num_rows
    values = {name: np.asarray(mapped[place]) for place, name in enumerate(floats)}
    return pd.DataFrame({name: values.get(name, others.get(name)) for name in names}, copy=False)


def read_rows_at(path: Path, places: np.ndarray) -> pd.DataFrame:
    """The rows of a Parquet file at these places, ascending: only row groups that hold one of them are read."""
    import pyarrow as pa

    parts: list[pa.Table] = []
    start = 0
    with parquet_file(path) as stored:
        for group in range(stored.metadata.num_row_groups):
            end = start + stored.metadata.row_group(group).num_rows
            within = places[(places >= start) & (places < end)] - start
            if len(within) or not parts:
                parts.append(stored.read_row_group(group).take(pa.array(within, pa.int64())))
            start = end
    frame: pd.DataFrame = pa.concat_tables(parts).to_pandas(split_blocks=True)
    return frame
