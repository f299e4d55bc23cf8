"""Every table."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes every table."""
    op.create_table(
        "decisions",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("as_of", sa.String, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
        sa.Column("sequence", sa.Integer),
        sa.UniqueConstraint("model", "source", "as_of"),
        sa.UniqueConstraint("model", "sequence"),
    )
    op.create_table(
        "runs",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("decision", sa.String, sa.ForeignKey("decisions.id"), nullable=False, unique=True),
        sa.Column("as_of", sa.String, nullable=False),
        sa.Column("mode", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("started", sa.String, nullable=False),
        sa.Column("ended", sa.String),
        sa.Column("version", sa.Integer),
        sa.Column("detail", sa.JSON, nullable=False),
    )
    running = sa.text("state = 'running'")
    op.create_index("one_running", "runs", ["model"], unique=True, sqlite_where=running, postgresql_where=running)
    op.create_table(
        "versions",
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
    op.create_table(
        "releases",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("sequence", sa.Integer, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("previous", sa.Integer),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("actor", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("as_of", sa.String, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("follows", sa.String, nullable=False),
        sa.Column("signer", sa.String, nullable=False),
        sa.Column("signature", sa.String, nullable=False),
    )
    op.create_table(
        "release_heads",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("signer", sa.String, nullable=False),
        sa.Column("signature", sa.String, nullable=False),
    )
    op.create_table(
        "envelopes",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("record", sa.JSON, nullable=False),
    )
    op.create_table(
        "counted_rows",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("decision", sa.String, sa.ForeignKey("decisions.id"), primary_key=True),
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("batch", sa.String, primary_key=True),
        sa.Column("rows", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "used_rows",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("batch", sa.String, primary_key=True),
        sa.Column("rows", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "alerts",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("about", sa.String, nullable=False, server_default=""),
        sa.Column("queued", sa.String),
    )
    op.create_table(
        "deliveries",
        sa.Column("alert", sa.String, primary_key=True),
        sa.Column("address", sa.String, primary_key=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("tried", sa.String, nullable=False),
        sa.Column("due", sa.String),
        sa.Column("claim", sa.String),
        sa.Column("sent", sa.String),
        sa.Column("error", sa.String),
    )
    op.create_table(
        "stage_times",
        sa.Column("run", sa.String, primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("stage", sa.String, primary_key=True),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("mode", sa.String, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
    )
    op.create_table(
        "due_times",
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("flow", sa.String, primary_key=True),
        sa.Column("done_until", sa.String, nullable=False),
    )
