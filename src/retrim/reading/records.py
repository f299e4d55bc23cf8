"""Where the records of a text end, so that it can be cut between two of them: lines of JSON, or CSV with its quotes."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

import numpy as np

LF, CR, QUOTE = b'\n\r"'
STEP = 8 << 20
"""Bytes that are read at once; the pieces of a text depend on it."""


class EndlessRecordError(ValueError):
    """A record is longer than any; says how many records come before it, and how long one may be."""

    def __init__(self, before: int, length: int) -> None:
        super().__init__(f"record {before} is longer than {length} bytes")
        self.before, self.length = before, length


@dataclass(frozen=True)
class MadeChunk:
    """Some rows of a file on their way: how many, and their bytes unpacked.

    Args:
        content: Gives a file of them, once: the parts are let go.
        suffix: What its name ends with; empty: as that of the file.
    """

    rows: int
    size: int
    content: Callable[[], bytes]
    suffix: str = ""


Records = tuple[np.ndarray, int]
"""Where each whole record of a text ends, its line end included, ascending; and where its last line ends."""
Ends = Callable[[bytes], Records]


def csv_ends(separator: str) -> Ends:
    """Finds the ends of CSV records as the reader sees them.

    A quote counts at the start of a cell alone, two within quotes are one; a line ends by any of the three line ends,
    and a blank one is not a record.
    """
    sign = re.escape(separator.encode("ascii"))
    cell = rb'(?:"[^"]*+(?:""[^"]*+)*+"[^%b\r\n]*+|(?!")[^%b\r\n]*+)' % (sign, sign)
    record = re.compile(rb"%b(?:%b%b)*+(?:\r\n|\n|\r)" % (cell, sign, cell))
    starts = np.frombuffer(separator.encode("ascii") + b'\n\r"', dtype="uint8")

    def find(text: bytes) -> Records:
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


def json_ends(text: bytes) -> Records:
    """The ends of lines of JSON, in whose text a line end is always escaped."""
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


def _but_blank(signs: np.ndarray, lines: np.ndarray) -> Records:
    if not len(lines):
        return lines, 0
    starts = np.append(0, lines[:-1])
    blank = (lines - starts == 1) | ((lines - starts == 2) & (signs[starts] == CR))
    return lines[~blank], int(lines[-1])


def first_record(stream: BinaryIO, ends: Ends, *, longest: int, step: int = STEP) -> tuple[bytes, bytes]:
    """The first record of a text, blank lines before it left out, and what was read beyond it.

    Raises:
        EndlessRecordError: It is longer than any.
    """
    read = b""
    while True:
        fresh = _read(stream, min(max(step, len(read)), longest + step - len(read)))  # never much more than one may be
        read = (read + fresh).lstrip(b"\r\n")
        record_ends, _ = ends(read)
        if len(record_ends):
            return read[: record_ends[0]], read[record_ends[0] :]
        if not fresh:
            return read, b""
        if len(read) > longest:
            raise EndlessRecordError(0, longest)


def cut(
    stream: BinaryIO, ends: Ends, *, header: bytes, begun: bytes, size: int, longest: int, step: int = STEP
) -> Iterator[MadeChunk]:
    """The records of a text as texts with this header, that many at once that they have `size` bytes or less.

    How many is told by the first step, as a power of two: so other bytes in one record leave the cuts where they are.
    Where records become much longer than the first ones, a cut comes as soon as there are twice as many bytes.

    Raises:
        EndlessRecordError: A record is longer than any.
    """
    rest, fresh = begun, b"-"
    held: list[bytes] = []
    records, length, before, wanted = 0, 0, 0, 0  # records and bytes held, records given, records wanted at once
    while fresh:
        fresh = _read(stream, max(step, len(rest)))
        rest += fresh
        complete, whole = ends(rest)
        if fresh and not whole and len(rest) > longest:
            raise EndlessRecordError(before + records, longest)
        if not fresh:  # the last record may lack its line end, or the end of its quotes
            complete = np.append(complete, [len(rest)] if rest[whole:].strip(b"\r\n") else []).astype("int64")
            whole = len(rest)
        if len(complete) and not wanted:
            wanted = 1 << max(int(size / (whole / len(complete))).bit_length() - 1, 0)
        start, taken = 0, 0
        while taken < len(complete):
            full = int(np.searchsorted(complete, start + 2 * size - length))
            last = min(taken + wanted - records - 1, full)
            if last >= len(complete):
                break
            end = int(complete[last])
            records += last + 1 - taken
            held.append(rest[start:end])
            yield MadeChunk(records, length + end - start, partial(_joined, header, held))
            before, start, taken, records, length, held = before + records, end, last + 1, 0, 0, []
        records += len(complete) - taken
        held.append(rest[start:whole])
        length += whole - start
        rest = rest[whole:]
    if records:
        yield MadeChunk(records, length, partial(_joined, header, held))


def _joined(header: bytes, parts: list[bytes]) -> bytes:
    """One text of all parts, which are let go."""
    content = b"".join([header, *parts])
    parts.clear()
    return content


def _read(stream: BinaryIO, size: int) -> bytes:
    """This many bytes, and more where the last could be half a line end."""
    read = stream.read(size)
    while read.endswith(b"\r") and (more := stream.read(1)):
        read += more
    return read
