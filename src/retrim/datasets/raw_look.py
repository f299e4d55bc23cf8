"""A raw column at a glance, as the looks at a table take it."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from retrim.core.init.looks import Look, Stored


def look_of(name: str, column: pa.ChunkedArray) -> Look:
    """A column at a glance; cells with nothing but blanks are missing."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
        kind = column.type
    if pa.types.is_null(kind):
        column, kind = column.cast(pa.string()), pa.string()
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), None, column)
        return Look(name, "text", pd.Series(column.to_pandas(), dtype="str", name=name))
    stored = _stored(kind)
    if stored == "boolean":
        return Look(name, stored, pd.Series(column.cast(pa.string()).to_pandas(), dtype="str", name=name))
    if stored in ("number", "integer"):
        numbers = column.cast(pa.float64(), safe=False).to_pandas()
        return Look(name, stored, pd.Series(numbers, dtype="float64", name=name))
    if stored == "time":
        # Counted, not converted: far away it would not fit.
        ticks = column.cast(pa.timestamp("ms") if pa.types.is_date(kind) else kind).cast(pa.int64())
        return Look(name, stored, pd.Series(ticks.to_pandas(), dtype="float64", name=name))
    empty = pd.Series(["nested"] * len(column), dtype="str", name=name)
    return Look(name, "other", empty)


def _stored(kind: pa.DataType) -> Stored:
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "time"
    return "other"
