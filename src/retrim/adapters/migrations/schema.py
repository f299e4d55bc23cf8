"""The tables of our own store."""

import sqlalchemy as sa

METADATA = sa.MetaData()

DECISIONS = sa.Table(
    "decisions",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("source", sa.String, nullable=False),  # check, person, settlement, refit
    sa.Column("as_of", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("outcome", sa.String, nullable=False),  # none, retrain, restore, held, settled
    sa.Column("actor", sa.String, nullable=False),  # who took it: a person, or schedule; "by" is a word of SQL
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
    # Of checks alone, 1, 2, ...: of two that count the same rows at once, one collides here and looks again.
    sa.Column("sequence", sa.Integer),
    sa.UniqueConstraint("model", "source", "as_of"),
    sa.UniqueConstraint("model", "sequence"),
)
RUNS = sa.Table(
    "runs",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("decision", sa.String, sa.ForeignKey("decisions.id"), nullable=False, unique=True),
    sa.Column("as_of", sa.String, nullable=False),
    sa.Column("mode", sa.String, nullable=False),
    sa.Column("state", sa.String, nullable=False),  # decision/history.py lists them
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("pid", sa.Integer, nullable=False),
    sa.Column("started", sa.String, nullable=False),
    sa.Column("ended", sa.String),
    sa.Column("version", sa.Integer),
    sa.Column("detail", sa.JSON, nullable=False),
)
# One run of a model at a time: the second is refused by the database, not by hope.
RUNNING = RUNS.c.state == "running"
sa.Index("one_running", RUNS.c.model, unique=True, sqlite_where=RUNNING, postgresql_where=RUNNING)
VERSIONS = sa.Table(
    "versions",
    METADATA,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("run", sa.String, nullable=False, unique=True),
    sa.Column("tag", sa.String, nullable=False),
    sa.Column("as_of", sa.String, nullable=False),
    sa.Column("bundle", sa.String, nullable=False),
    sa.Column("model_sha256", sa.String, nullable=False),
    sa.Column("made", sa.String, nullable=False),
    sa.Column("lineage", sa.JSON, nullable=False),
    sa.Column("verdict", sa.JSON, nullable=False),
)
RELEASES = sa.Table(
    "releases",
    METADATA,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),  # 1, 2, ...: two movers of one model collide here
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("previous", sa.Integer),
    sa.Column("action", sa.String, nullable=False),  # promote, rollback, restore, import
    sa.Column("actor", sa.String, nullable=False),  # who moved it, or decided that it moves
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("as_of", sa.String, nullable=False),  # the moment that a run, a check or a command takes for now
    sa.Column("at", sa.String, nullable=False),  # when the champion moved, by the clock
    sa.Column("follows", sa.String, nullable=False),  # digest of the row before (decision/release_log.py)
    sa.Column("signer", sa.String, nullable=False),  # public key of the workspace that moved it
    sa.Column("signature", sa.String, nullable=False),
)
RELEASE_HEADS = sa.Table(  # how many releases there are, and the digest of the last: replaced with each of them
    "release_heads",
    METADATA,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("sequence", sa.Integer, nullable=False),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("signer", sa.String, nullable=False),
    sa.Column("signature", sa.String, nullable=False),
)
ENVELOPES = sa.Table(  # what is known of a version only after it was made: added, never changed
    "envelopes",
    METADATA,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),  # such as approval, proof
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("record", sa.JSON, nullable=False),
)
COUNTED_ROWS = sa.Table(  # what a check did with landed rows (decision/rows_counted.py): written with its decision
    "counted_rows",
    METADATA,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("decision", sa.String, sa.ForeignKey("decisions.id"), primary_key=True),
    sa.Column("kind", sa.String, primary_key=True),  # met, tested, target, measured, deposited, exempt
    sa.Column("batch", sa.String, primary_key=True),
    sa.Column("rows", sa.LargeBinary, nullable=False),  # a bit a row of the landed file, the lowest first
)
USED_ROWS = sa.Table(  # the landed rows that a version was made or judged with; each batch of its run has one
    "used_rows",
    METADATA,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("batch", sa.String, primary_key=True),
    sa.Column("rows", sa.LargeBinary, nullable=False),  # likewise
)
ALERTS = sa.Table(
    "alerts",
    METADATA,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("at", sa.String, nullable=False),
    sa.Column("text", sa.String, nullable=False),
    sa.Column("about", sa.String, nullable=False, server_default=""),  # what it happened to; empty: the text says it
    sa.Column("queued", sa.String),  # when it was last to be told, by the clock; none: it was told in other words
)
DELIVERIES = sa.Table(  # what an address was sent of an alert, or is to be
    "deliveries",
    METADATA,
    sa.Column("alert", sa.String, primary_key=True),
    sa.Column("address", sa.String, primary_key=True),  # its protocol and a keyed digest: an address is a secret
    sa.Column("model", sa.String, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("tried", sa.String, nullable=False),
    sa.Column("due", sa.String),  # when it is tried next; of a claimed one, when its process is taken for dead
    sa.Column("claim", sa.String),  # of the process that is sending it
    sa.Column("sent", sa.String),
    sa.Column("error", sa.String),
)
STAGE_TIMES = sa.Table(  # what a stage of a run took, by which later runs are limited
    "stage_times",
    METADATA,
    sa.Column("run", sa.String, primary_key=True),
    sa.Column("attempt", sa.Integer, primary_key=True),
    sa.Column("stage", sa.String, primary_key=True),
    sa.Column("model", sa.String, nullable=False),
    sa.Column("mode", sa.String, nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
)
DUE_TIMES = sa.Table(  # up to when all due times of a scheduled flow are done
    "due_times",
    METADATA,
    sa.Column("model", sa.String, primary_key=True),
    sa.Column("flow", sa.String, primary_key=True),
    sa.Column("done_until", sa.String, nullable=False),
)
