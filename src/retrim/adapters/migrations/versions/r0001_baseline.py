"""Every table of `schema.py`."""

from alembic import op

from retrim.adapters.migrations.schema import METADATA

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes every table."""
    # Before the first release the tables are declared in one place alone. A release freezes this list of them.
    METADATA.create_all(op.get_bind(), checkfirst=False)
