"""A table on disk, written and read a piece at a time."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from retrim.parquet import parquet_file

PIECE = 1 << 19
"""Rows of a piece: few enough that some copies of them are small, many enough that what is done once a piece is too."""


@contextmanager
def writing(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that adds rows to the Parquet file at `path`, which is replaced whole when all were added.

    pandas categories become text, and the same pieces give the same bytes. Where nothing is added, or an error ends it,
    the file stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    writers: list[pq.ParquetWriter] = []

    def add(rows: pd.DataFrame) -> None:
        table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
        text = [
            pa.field(field.name, pa.large_string()) if pa.types.is_dictionary(field.type) else field
            for field in table.schema
        ]
        table = table.cast(pa.schema(text))
        if not writers:  # settings are those of `retrim.stats.codec.to_parquet`
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
    """A Parquet file as a frame, without a second copy of it in memory."""
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
                for column, name in enumerate(floats):
                    mapped[column, start : start + batch.num_rows] = batch.column(name).to_numpy(zero_copy_only=False)
                start += batch.num_rows
    values = {name: np.asarray(mapped[column]) for column, name in enumerate(floats)}
    return pd.DataFrame({name: values.get(name, others.get(name)) for name in names}, copy=False)


def read_rows_at(path: Path, places: np.ndarray) -> pd.DataFrame:
    """The rows of a Parquet file at these places, ascending: only row groups that hold one of them are read."""
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
