"""Columns that Parquet has no type for, such as empty records: as text."""

import json

import pyarrow as pa
import pyarrow.parquet as pq


def writable(table: pa.Table) -> pa.Table:
    """The table, with each column that Parquet cannot hold as JSON text."""
    for kind in set(table.schema.types):
        if _is_writable(kind):
            continue
        for place, found in enumerate(table.schema.types):
            if found == kind:
                table = table.set_column(place, table.column_names[place], _as_text(table.column(place)))
    return table


def _is_writable(kind: pa.DataType) -> bool:
    try:
        pq.write_table(pa.table({"x": pa.array([], kind)}), pa.BufferOutputStream())
    except pa.ArrowException:
        return False
    return True


def _as_text(column: pa.ChunkedArray) -> pa.Array:
    cells = [None if cell is None else json.dumps(cell, ensure_ascii=False, default=str) for cell in column.to_pylist()]
    return pa.array(cells, pa.string())
