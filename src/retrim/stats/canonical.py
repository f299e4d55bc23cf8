"""Records and folders with one spelling each: same content, same bytes, same hash.

Frames as bytes: Parquet with fixed settings, so that the same frame gives the same file; columns as numbers.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd


def to_json(record: Any) -> bytes:
    """Canonical JSON: sorted keys, no NaN, a newline at the end. Same record, same bytes."""
    return (json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def digest_of(digests: Mapping[str, str]) -> str:
    """SHA-256 over the files of a folder: relative names and their own SHA-256, sorted by name."""
    lines = [f"{name}\0{digest}\n" for name, digest in sorted(digests.items())]
    return sha256("".join(lines).encode()).hexdigest()


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


def as_numbers(values: pd.Series) -> pd.Series:
    """A column of numbers; text is read where it is a whole number, as in one that was an integer, else it is missing.

    So a model that knew the column as an integer reads it on after its type was widened to category.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype("str")
    if not pd.api.types.is_string_dtype(values.dtype):
        return values
    whole = values.str.fullmatch(r"[+-]?[0-9]{1,16}").fillna(value=False).astype("bool")
    return pd.to_numeric(values.where(whole), errors="coerce").astype("float64")
