"""The tables of our own store: each kind of row in `decision/stored_rows.py` declares its columns, by name and type."""

from dataclasses import fields
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import sqlalchemy as sa

from retrim.decision import stored_rows as rows

METADATA = sa.MetaData()
COLUMN_TYPES: dict[Any, type[sa.types.TypeEngine[Any]]] = {
    str: sa.String,
    int: sa.Integer,
    float: sa.Float,
    bytes: sa.LargeBinary,
    dict: sa.JSON,
}
OF_DECISION = (["decision"], ["decisions.id"])


def _table(name: str, row: type, key: str, *more: sa.schema.SchemaItem) -> sa.Table:
    """The table of a kind of row with its primary key, names apart by blanks; a field that may be None may be NULL."""
    hints = get_type_hints(row)
    columns = []
    for column in (field.name for field in fields(row)):
        kinds = get_args(hints[column]) if get_origin(hints[column]) is UnionType else (hints[column],)
        kind = str if get_origin(kinds[0]) is Literal else get_origin(kinds[0]) or kinds[0]
        is_key = column in key.split()
        columns.append(sa.Column(column, COLUMN_TYPES[kind], primary_key=is_key, nullable=type(None) in kinds))
    return sa.Table(name, METADATA, *columns, *more)


DECISIONS = _table(
    "decisions",
    rows.DecisionRow,
    "id",
    sa.UniqueConstraint("model", "source", "as_of"),
    sa.UniqueConstraint("model", "sequence"),  # of two checks that count the same rows at once, one looks again
)
RUNS = _table("runs", rows.RunRow, "id", sa.ForeignKeyConstraint(*OF_DECISION), sa.UniqueConstraint("decision"))
# One run of a model at a time: the second is refused by the database, not by hope.
RUNNING = RUNS.c.state == "running"
sa.Index("one_running", RUNS.c.model, unique=True, sqlite_where=RUNNING, postgresql_where=RUNNING)
VERSIONS = _table("versions", rows.VersionRow, "model version", sa.UniqueConstraint("run"))
RELEASES = _table("releases", rows.ReleaseRow, "model sequence")  # two movers of one model collide at the key
RELEASE_HEADS = _table("release_heads", rows.ReleaseHeadRow, "model")  # replaced with each release
ENVELOPES = _table("envelopes", rows.EnvelopeRow, "model version kind id")  # added, never changed
COUNTED_ROWS = _table(  # written with the decision of the check that counted them
    "counted_rows", rows.CountedRow, "model decision kind batch", sa.ForeignKeyConstraint(*OF_DECISION)
)
USED_ROWS = _table("used_rows", rows.UsedRow, "model version batch")
ALERTS = _table("alerts", rows.AlertRow, "id")
DELIVERIES = _table("deliveries", rows.DeliveryRow, "alert address")
STAGE_TIMES = _table("stage_times", rows.StageTime, "run attempt stage")
DUE_TIMES = _table("due_times", rows.DueTime, "model flow")
