"""Run by Alembic: applies the migrations on the connection that `migrate` gives."""

from alembic import context

from retrim.adapters.migrations import VERSION_TABLE
from retrim.adapters.migrations.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    render_as_batch=True,  # SQLite changes a table by making it anew
    transactional_ddl=True,  # SQLite can; Alembic takes it for one that cannot, as its driver used to commit by itself
)
context.run_migrations()
