"""How Parquet is read: no thread of Arrow ever holds an object of Python.

A thread of Arrow's pools lets go of a Python buffer only after it has handed over what it read, and asks for the
interpreter to do so. Where the process has begun to end by then, it aborts ("terminate called without an active
exception"). So Arrow opens local files itself, and what only Python can read is read by the thread that asks for it.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:  # a command that reads no table does without Arrow
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

PAGE_BYTES = 1 << 16


@contextmanager
def parquet_file(
    source: Path | bytes | BinaryIO, *, coded: Sequence[str] = (), by_page: bool = False
) -> "Iterator[pq.ParquetFile]":
    """A Parquet file, opened. Read it with `use_threads=False` unless it is a path.

    Args:
        source: A local file, its content, or a stream of bytes that can seek.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    how = {
        "read_dictionary": list(coded),
        "pre_buffer": False,
        "buffer_size": PAGE_BYTES if by_page else 0,
        "coerce_int96_timestamp_unit": "us",  # in nanoseconds, Spark's times after 2262 would wrap without a word
    }
    if isinstance(source, Path):
        # A file opened here: a path would make Arrow read a folder such as `arrived=2024-01` as a column.
        with pa.OSFile(str(source)) as file:
            yield pq.ParquetFile(file, **how)
    else:
        content = pa.BufferReader(source) if isinstance(source, bytes) else source
        yield pq.ParquetFile(content, **how)


def parquet_table(source: Path | bytes, columns: Sequence[str] | None = None) -> "pa.Table":
    """The table in a Parquet file, or these columns of it, in this order."""
    with parquet_file(source) as stored:
        table = stored.read(None if columns is None else list(columns), use_threads=isinstance(source, Path))
    return table if columns is None else table.select(list(columns))


def read_parquet(path: Path, columns: Sequence[str] | None = None) -> "pd.DataFrame":
    """The frame in a Parquet file, or these columns of it, in this order."""
    frame: pd.DataFrame = parquet_table(path, columns).to_pandas()
    return frame


def writable(table: "pa.Table") -> "pa.Table":
    """The table, with each column that Parquet cannot hold as JSON text."""
    for kind in set(table.schema.types):
        if _is_writable(kind):
            continue
        for number, found in enumerate(table.schema.types):
            if found == kind:
                table = table.set_column(number, table.column_names[number], _as_text(table.column(number)))
    return table


def _is_writable(kind: "pa.DataType") -> bool:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.write_table(pa.table({"x": pa.array([], kind)}), pa.BufferOutputStream())
    except pa.ArrowException:
        return False
    return True


def _as_text(column: "pa.ChunkedArray") -> "pa.Array":
    import pyarrow as pa

    cells = [None if cell is None else json.dumps(cell, ensure_ascii=False, default=str) for cell in column.to_pylist()]
    return pa.array(cells, pa.string())
