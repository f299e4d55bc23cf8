"""Frames as bytes: Parquet with fixed settings, so that the same frame gives the same file."""

from io import BytesIO

import numpy as np
import pandas as pd


def to_parquet(frame: pd.DataFrame) -> bytes:
    """The frame as a Parquet file without pandas metadata; same rows, same bytes (one pyarrow version)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    buffer = BytesIO()
    pq.write_table(
        table,
        buffer,
        compression="zstd",
        compression_level=3,
        version="2.6",
        data_page_version="1.0",
        row_group_size=1 << 20,
    )
    return buffer.getvalue()


def rows_at(frame: pd.DataFrame, places: np.ndarray) -> pd.DataFrame:
    """The rows at these places, ascending; without a copy of them where no row between is left out."""
    if len(places) and places[-1] - places[0] + 1 == len(places):
        return frame.iloc[int(places[0]) : int(places[-1]) + 1]
    return frame.iloc[places]


def from_parquet(content: bytes) -> pd.DataFrame:
    """The frame of a Parquet file."""
    return pd.read_parquet(BytesIO(content))
