"""The tables of our own store: each kind of row in `decision/stored_rows.py` declares its columns, by name and type."""

from functools import partial

import sqlalchemy as sa

from retrim.adapters.migrations.row_tables import table_of
from retrim.decision import stored_rows as rows

METADATA = sa.MetaData()
OF_DECISION = (["decision"], ["decisions.id"])
_table = partial(table_of, METADATA)

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
