"""Records and frames as bytes: one codec between frozen dataclasses and JSON, one spelling for the same content.

A field is a key. A property that is `written` is a key too, which is not read. A key that a record lacks takes
its field's default; a key that no field has, as a newer retrim may add, is left out.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter, ValidationError, computed_field

from retrim.errors import RetrimError

T = TypeVar("T")
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)
Duration = Annotated[pd.Timedelta, PlainValidator(pd.Timedelta), PlainSerializer(str, return_type=str)]
"""A span of time, such as `1 days 02:00:00`."""
Numbers = Annotated[
    np.ndarray,
    PlainValidator(lambda values: np.array(values, dtype="float64")),
    PlainSerializer(lambda values: values.tolist(), return_type=list[float]),
]
"""Floats, shape (n,)."""
Counted = Annotated[np.ndarray, PlainValidator(np.asarray), PlainSerializer(len, return_type=int)]
"""Things of which only the number is written, shape (n,)."""
Number = int | float
"""A figure that is written as it is: 3 stays 3. A `float` is written 3.0."""
Absent = Annotated[T | None, Field(exclude_if=lambda value: value is None)]
"""What may be None, and then has no key: `note: Absent[str] = None`."""
Unwritten = Annotated[T, Field(exclude=True)]
"""What a record leaves out."""


def spell_moment(time: pd.Timestamp) -> str:
    """ISO 8601 in UTC, to the second."""
    return time.tz_convert("UTC").isoformat(timespec="seconds")


def read_moment(time: Any) -> pd.Timestamp:
    """The moment that is spelled so, or that it is."""
    return pd.Timestamp(time)


Moment = Annotated[pd.Timestamp, PlainValidator(read_moment), PlainSerializer(spell_moment, return_type=str)]
"""A time that is spelled in UTC, to the second."""

Instant = Annotated[
    pd.Timestamp,
    PlainValidator(read_moment),
    PlainSerializer(lambda time: time.isoformat(), return_type=str),
]
"""A time that is spelled as precisely as it is, such as the event of a row."""


def key(name: str) -> Any:
    """Gives a field another key than its name, as for a word that Python has for itself.

    Such as `since: Annotated[str, key("from")]`.
    """
    return Field(alias=name)


if TYPE_CHECKING:
    written = property
else:

    def written(method: Callable[[Any], Any]) -> Any:
        """A property that stands in the record."""
        return computed_field(property(method))


@dataclass(frozen=True)
class Misfit:
    """A value that does not fit its type: where it stands, why, by which of pydantic's rules, and what it is."""

    loc: tuple[int | str, ...]
    msg: str
    type: str
    input: object

    @property
    def place(self) -> str:
        return ".".join(map(str, self.loc))


def misfits(error: ValidationError) -> list[Misfit]:
    """What pydantic found."""
    return [from_record(Misfit, fault) for fault in error.errors(include_url=False)]


def to_record(value: Any) -> dict[str, Any]:
    """The JSON object of a dataclass: a key a field, in their order, then its `written` properties.

    Raises:
        PydanticSerializationError: A field holds what its type does not allow.
    """
    record: dict[str, Any] = _adapter(type(value)).dump_python(value, mode="json", by_alias=True, warnings="error")
    return record


def from_record(kind: type[T], record: Mapping[str, Any]) -> T:
    """The dataclass of a JSON object that `to_record` made, now or in an earlier version.

    Raises:
        RetrimError: A key is missing, or its value is not what its field holds.
    """
    try:
        read: T = _adapter(kind).validate_python(record)
    except ValidationError as error:
        first = misfits(error)[0]
        raise RetrimError(
            f"a stored record of type {kind.__name__} is damaged: {first.place}: {first.msg.lower()}; restore it from "
            "a backup"
        ) from error
    return read


def read_record(kind: type[T], text: str) -> T:
    """The same of its JSON, quicker where a record is long and few of its keys are fields: those are not built.

    Raises:
        ValueError: It is not JSON.
        RetrimError: As `from_record`.
    """
    try:
        read: T = _adapter(kind).validate_json(text)
    except ValidationError:  # also of a lone surrogate, which the json of Python reads
        return from_record(kind, json.loads(text))
    return read


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


def from_parquet(content: bytes, columns: list[str] | None = None) -> pd.DataFrame:
    """The frame of a Parquet file, or these columns of it; read by this thread alone, as `retrim.parquet` says why."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(columns, use_threads=False)
    frame: pd.DataFrame = table.to_pandas()
    return frame


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
