"""A table is made of the class of its rows."""

from dataclasses import fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import sqlalchemy as sa

COLUMN_TYPES: dict[Any, type[sa.types.TypeEngine[Any]]] = {
    str: sa.String,
    int: sa.Integer,
    float: sa.Float,
    bytes: sa.LargeBinary,
    dict: sa.JSON,
}


def table_of(metadata: sa.MetaData, name: str, row: type, key: str, *more: sa.schema.SchemaItem) -> sa.Table:
    """The table of a kind of row with its primary key, names apart by blanks; a field that may be None may be NULL."""
    hints = get_type_hints(row)
    columns = []
    for column in (field.name for field in fields(row)):
        kinds = get_args(hints[column]) if get_origin(hints[column]) is UnionType else (hints[column],)
        kind = str if get_origin(kinds[0]) is Literal else get_origin(kinds[0]) or kinds[0]
        is_key = column in key.split()
        columns.append(sa.Column(column, COLUMN_TYPES[kind], primary_key=is_key, nullable=type(None) in kinds))
    return sa.Table(name, metadata, *columns, *more)
