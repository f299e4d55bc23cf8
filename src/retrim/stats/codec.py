"""Records that are stored or printed: frozen dataclasses, and one codec between them and JSON.

A field is a key. A property that is `written` is a key too, which is not read. A key that an older record lacks takes
its field's default; a key that no field has, as a newer retrim may add, is left out.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import numpy as np
import pandas as pd
from pydantic import Field, PlainSerializer, PlainValidator, TypeAdapter, ValidationError, computed_field

from retrim.errors import RetrimError

T = TypeVar("T")
_adapter: Callable[[Any], TypeAdapter[Any]] = cache(TypeAdapter)


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
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise RetrimError(
            f"a stored {kind.__name__} is damaged: {place}: {first['msg'].lower()}; restore it from a backup"
        ) from error
    return read
