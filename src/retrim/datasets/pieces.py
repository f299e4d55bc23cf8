"""A table on disk, written and read a piece at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

PIECE = 1 << 19
"""Rows of a piece: few enough that some copies of them are small, many enough that what is done once a piece is too."""


@contextmanager
def writing(path: Path) -> Iterator[Callable[[pd.DataFrame], None]]:
    """A function that adds rows to the Parquet file at `path`, which is replaced whole when all were added.

    pandas categories become text.

    Settings are those of `retrim.core.frames.to_parquet`: the same pieces give the same bytes. Where nothing is added,
    or an error ends it, the file stays as it was.
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
        path: The file.
        columns: Which columns; None: all.
        coded: Columns of text that become pandas categories.
    """
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        stored = pq.ParquetFile(file, read_dictionary=list(coded))
        table = stored.read(columns=None if columns is None else list(columns))
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    return frame if columns is None else frame[list(columns)]


def read_rows_at(path: Path, places: np.ndarray) -> pd.DataFrame:
    """The rows of a Parquet file at these places, ascending: only row groups that hold one of them are read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts: list[pa.Table] = []
    start = 0
    with path.open("rb") as file:
        stored = pq.ParquetFile(file)
        for group in range(stored.metadata.num_row_groups):
            end = start + stored.metadata.row_group(group).num_rows
            within = places[(places >= start) & (places < end)] - start
            if len(within) or not parts:
                parts.append(stored.read_row_group(group).take(pa.array(within, pa.int64())))
            start = end
    frame: pd.DataFrame = pa.concat_tables(parts).to_pandas(split_blocks=True)
    return frame
