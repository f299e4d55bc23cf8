"""Alerts are sent: what each is about, when it was to be told, and what each address was sent."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds them; what was recorded before counts as told when it was recorded."""
    with op.batch_alter_table("alerts") as alerts:
        alerts.add_column(sa.Column("about", sa.String, nullable=False, server_default=""))
        alerts.add_column(sa.Column("queued", sa.String))
    op.execute("UPDATE alerts SET queued = at")
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
