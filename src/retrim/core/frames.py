"""Frames as bytes: Parquet with fixed settings, so that the same frame gives the same file."""

from io import BytesIO

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


def from_parquet(content: bytes) -> pd.DataFrame:
    """The frame of a Parquet file."""
    return pd.read_parquet(BytesIO(content))
