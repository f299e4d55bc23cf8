"""Brings a store's tables to the shape that this version of retrim reads and writes (Alembic).

The tables are declared in `schema.py`, from which the first revision makes them.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from retrim.adapters.migrations.schema import METADATA
from retrim.errors import RetrimError

if TYPE_CHECKING:
    from alembic.config import Config

VERSION_TABLE = "retrim_alembic_version"
"""Ours alone: Prefect and MLflow keep theirs, and may share the database."""
HEAD = "0001"
"""The newest revision. Here too, so that a store in the newest shape is opened without loading Alembic."""


def is_current(connection: sa.Connection) -> bool:
    """Whether the store has the newest shape."""
    return _revision(connection) == HEAD


def migrate(connection: sa.Connection) -> None:
    """Makes or changes the tables, within the transaction of `connection`: all of it, or nothing.

    It is a writer's transaction: of two processes at once, the second waits for the first and finds nothing to do.

    Raises:
        RetrimError: The store has tables without a revision, or a revision that this version does not know.
    """
    before = _revision(connection)
    if before == HEAD:
        return
    from alembic import command
    from alembic.script import ScriptDirectory

    config = _config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if before is not None and before not in known:
        raise RetrimError(
            f"a newer version of retrim wrote the store, which has revision {before}; the installed version supports "
            f"revisions up to {HEAD}. Install the newer version, or set RETRIM_STORE_URL to a different store"
        )
    if before is None and (there := _tables(connection)):
        raise RetrimError(
            f"the store has tables ({', '.join(there)}) but no revision, so it was created by a version of retrim "
            "that is too old, or by a different program; move that store away, or set RETRIM_STORE_URL to a different "
            "store"
        )
    command.upgrade(config, "head")


def _config(connection: sa.Connection) -> "Config":
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _revision(connection: sa.Connection) -> str | None:
    if not sa.inspect(connection).has_table(VERSION_TABLE):
        return None
    revision = connection.execute(sa.text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()
    return None if revision is None else str(revision)


def _tables(connection: sa.Connection) -> list[str]:
    """Our tables that are there, by name."""
    return sorted(set(sa.inspect(connection).get_table_names()) & set(METADATA.tables))
