"""Columns of one landed file, read as they are declared now."""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from retrim.core.landed_schema import ReadColumns
from retrim.core.table import OURS, ColumnType

STORED: Mapping[ColumnType, pa.DataType] = {
    "number": pa.float64(),
    "integer": pa.float64(),
    "category": pa.string(),
    "time": pa.timestamp("us", "UTC"),
}
"""How values of each type lie in a landed file."""


def stored_names(there: Sequence[str], read: ReadColumns, wanted: Sequence[str]) -> dict[str, str]:
    """What each of the wanted columns is called in a file with the columns `there`, without those that it lacks."""
    found = {name: name if name in OURS else read.names.within(name, there) for name in wanted}
    return {name: stored for name, stored in found.items() if stored is not None}


def as_read(table: pa.Table, names: Mapping[str, str], read: ReadColumns, wanted: Sequence[str]) -> pa.Table:
    """Columns of a file as they are read: missing where it lacks one, and of the type that is declared now.

    Args:
        table: What was read of the file.
        names: What `stored_names` gave.
        read: How they are read.
        wanted: Columns to give, in order.
    """
    columns = {}
    for name in wanted:
        if name not in names:
            columns[name] = pa.nulls(table.num_rows, STORED[read.types[name]])
        elif name in OURS:
            columns[name] = table[names[name]]
        else:
            columns[name] = _widened(table[names[name]], STORED[read.types[name]])
    return pa.table(columns)


def _widened(values: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if values.type == wanted:
        return values
    if pa.types.is_floating(values.type) and pa.types.is_string(wanted):
        return pc.cast(pc.cast(values, pa.int64()), wanted)  # an integer, as its digits
    return pc.cast(values, wanted)
