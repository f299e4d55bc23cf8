"""Predictions are a data set of Parquet files; what stands in tables waits there until it is moved."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Sets the tables of predictions aside, under other names; without rows they go."""
    there = op.get_bind().execute(sa.text("SELECT count(*) FROM predictions")).scalar()
    for name in ("predictions", "selections"):
        if there:
            op.rename_table(name, f"old_{name}")
        else:
            op.drop_table(name)
