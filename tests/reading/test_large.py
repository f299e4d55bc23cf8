"""A large file gives pieces that are files of their own, always the same, and together the file."""

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as paf
import pyarrow.parquet as pq
import pytest

from retrim.errors import BadInputError
from retrim.reading.chunks import MB, LargeFile, _parquet, large_at
from retrim.reading.table import read_content
from retrim.table.data import DataParams
from retrim.table.reading import PLAIN

HEADER = "at,order,weight,items,country,price\n"
ROWS = 3000
CHANGED = "changed while retrim was reading it"
LINES = [f'2024-01-01T10:00:00Z,{number},0.5,2,"N""L,\n{number}",9.5\n' for number in range(ROWS)]
TEXT = (HEADER + "".join(LINES)).encode()
TABLE = pa.table(
    {
        "at": pa.array([1704103200] * ROWS, pa.timestamp("s", "UTC")),
        "order": pa.array(range(ROWS), pa.int64()),
        "weight": pa.array([0.5, None] * (ROWS // 2), pa.float32()),
        "items": pa.array([2] * ROWS, pa.int8()),
        "country": pa.array([f"land {number % 7}" for number in range(ROWS)]).dictionary_encode(),
        "price": pa.array([9.5] * ROWS),
    }
)
JSON = "".join(
    f'{{"at": "2024-01-01T10:00Z", "order": {number}, "weight": 0.5, "items": 2, "country": "N\\"L", "price": 9.5}}\n'
    for number in range(ROWS)
).encode()


def parquet(table: pa.Table = TABLE, **how: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **how)
    return sink.getvalue()


def arrow(table: pa.Table = TABLE, **how: Any) -> bytes:
    sink = io.BytesIO()
    paf.write_feather(table, sink, **how)
    return sink.getvalue()


FILES: dict[str, tuple[str, bytes]] = {
    "CSV": ("t.csv", TEXT),
    "CSV with a mark": ("t.csv", b"\xef\xbb\xbf" + TEXT),
    "CSV with CRLF": ("t.csv", TEXT.replace(b"\n", b"\r\n")),
    "CSV with CR": ("t.csv", TEXT.replace(b"\n", b"\r")),
    "gzipped CSV": ("t.csv.gz", gzip.compress(TEXT)),
    "JSON lines": ("t.jsonl", JSON),
    "Parquet": ("t.parquet", parquet()),
    "Parquet of many row groups": ("t.parquet", parquet(row_group_size=70)),
    "Arrow": ("t.arrow", arrow()),
    "Arrow of many batches": ("t.arrow", arrow(chunksize=70)),
}
each_file = pytest.mark.parametrize(("name", "content"), FILES.values(), ids=FILES)


def large(path: Path, content: bytes, *, piece_mb: float = 0.02) -> LargeFile:
    path.write_bytes(content)
    found = large_at(path, piece_mb=piece_mb, reading=PLAIN)
    assert found is not None
    return found


@each_file
def test_pieces_put_together_are_the_file(tmp_path: Path, shop: DataParams, name: str, content: bytes) -> None:
    whole = read_content(content, shop, labels=False).frame
    pieces = list(large(tmp_path / name, content).pieces())
    frames = [read_content(piece.content, shop, labels=False).frame for piece in pieces]

    assert whole is not None
    assert len(pieces) > 2
    assert [piece.part.rows for piece in pieces] == [len(frame) for frame in frames if frame is not None]
    assert whole.equals(pd.concat(frames, ignore_index=True))


SPARSE = b"".join(
    line.replace(b', "items": 2', b"") if number < ROWS // 2 else line
    for number, line in enumerate(JSON.splitlines(keepends=True))
)


def test_a_chunk_of_json_lines_may_lack_a_column_that_others_have(tmp_path: Path, shop: DataParams) -> None:
    whole = read_content(SPARSE, shop, labels=False).frame
    pieces = large(tmp_path / "t.jsonl", SPARSE).pieces()
    frames = [read_content(piece.content, shop, labels=False, elsewhere=piece.columns).frame for piece in pieces]

    assert whole is not None
    assert whole.equals(pd.concat(frames, ignore_index=True))


def test_a_chunk_of_json_lines_may_not_lack_a_column_that_no_chunk_has(tmp_path: Path, shop: DataParams) -> None:
    pieces = large(tmp_path / "t.jsonl", JSON.replace(b', "items": 2', b"")).pieces()
    first = next(pieces)
    (fault,) = read_content(first.content, shop, labels=False, elsewhere=first.columns).faults

    assert fault.examples[0].value == "missing: items"


@each_file
def test_a_piece_is_no_larger_than_asked_for(tmp_path: Path, name: str, content: bytes) -> None:
    pieces = large(tmp_path / name, content, piece_mb=0.05).pieces()

    assert max(len(piece.content) for piece in pieces) <= 0.05 * MB + 5000  # the schema of an Arrow file


@each_file
def test_the_same_file_gives_the_same_pieces(tmp_path: Path, name: str, content: bytes) -> None:
    first, second = (list(large(tmp_path / name, content).pieces()) for _ in range(2))

    assert first == second


@each_file
def test_a_file_that_is_not_larger_has_no_pieces(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    assert large_at(tmp_path / name, piece_mb=1, reading=PLAIN) is None


def test_pieces_say_which_rows_they_have(tmp_path: Path) -> None:
    found = large(tmp_path / "t.csv.gz", gzip.compress(TEXT))
    parts = [piece.part for piece in found.pieces()]

    assert [part.first for part in parts[1:]] == [part.first + part.rows for part in parts[:-1]]
    assert [part.number for part in parts] == list(range(1, parts[0].count + 1))
    assert {part.first + part.rows + part.after for part in parts} == {ROWS}


def test_pieces_of_a_text_are_the_same_packed_and_not(tmp_path: Path) -> None:
    packed = large(tmp_path / "t.csv.gz", gzip.compress(TEXT))
    plain = large(tmp_path / "t.csv", TEXT)

    assert list(packed.digests) == list(plain.digests)
    assert [piece.name for piece in packed.pieces()] == [piece.name for piece in plain.pieces()]
    assert next(plain.pieces()).name == "t.rows-0-255.csv"


def test_a_file_that_was_changed_while_it_was_read_is_given_up(tmp_path: Path) -> None:
    found = large(tmp_path / "t.csv", TEXT)
    pieces = found.pieces()
    next(pieces)
    (tmp_path / "t.csv").write_bytes(TEXT.replace(b"9.5", b"8.5"))

    with pytest.raises(BadInputError, match=CHANGED):
        list(found.pieces())


DAMAGED = {
    "cut gzip": (gzip.compress(TEXT * 9)[:-20], "cannot be read to the end"),
    "cut Parquet": (parquet(compression="none", use_dictionary=False)[:-7], "cannot be read to the end"),
    "binary": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100_000), r"binary data, a zero byte at 8"),
    "UTF-16": (TEXT.decode().encode("utf-16"), "byte order mark of UTF-16"),
}


@pytest.mark.parametrize(("content", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_large_file_that_is_damaged_is_said_to_be_before_any_of_it_lands(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "t").write_bytes(content)

    with pytest.raises(BadInputError, match=said):
        large_at(tmp_path / "t", piece_mb=0.001, reading=PLAIN)


@pytest.mark.parametrize(
    ("encoding", "cut"), [("cp1252", True), ("koi8-r", True), ("shift_jis", False), ("utf-16", False)]
)
def test_a_text_is_cut_where_a_sign_is_a_byte(tmp_path: Path, encoding: str, cut: bool) -> None:  # noqa: FBT001
    (tmp_path / "t.csv").write_bytes(TEXT.decode().encode(encoding))
    found = large_at(tmp_path / "t.csv", piece_mb=0.02, reading=PLAIN.model_copy(update={"encoding": encoding}))

    assert (found is not None) == cut


class Counted(io.BytesIO):
    """Bytes that know how many of them were read."""

    read_bytes = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.read_bytes += len(found)
        return found


def test_parquet_is_read_as_its_rows_are_needed() -> None:
    noise = pa.table({f"x{number}": np.random.default_rng(number).normal(size=200_000) for number in range(5)})
    content = parquet(noise, use_dictionary=False, row_group_size=200_000)
    file = Counted(content)
    next(_parquet(file, MB))

    assert file.read_bytes < len(content) / 2


def packed_line(path: Path, megabytes: int) -> Path:
    """A small gzip file that is a header and one line of that many megabytes."""
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(b"at,number\n")
        for _ in range(megabytes):
            file.write(b"x" * (1 << 20))
    return path
