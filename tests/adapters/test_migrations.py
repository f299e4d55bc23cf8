"""The store's shape: made by migrations, checked when it is opened, whole or not at all."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from retrim.adapters import migrations
from retrim.adapters.database import Database, copy_sqlite
from retrim.adapters.migrations.schema import METADATA
from retrim.errors import RetrimError


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'retrim.db'}"


@pytest.fixture
def plain(url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(url)
    yield engine
    engine.dispose()


def test_the_migrations_end_in_the_tables_of_the_schema(url: str, plain: sa.Engine) -> None:
    Database(url)
    with plain.connect() as connection:
        found = compare_metadata(
            MigrationContext.configure(connection, opts={"version_table": migrations.VERSION_TABLE}), METADATA
        )
        uniques = {
            name: sorted(tuple(each["column_names"]) for each in sa.inspect(connection).get_unique_constraints(name))
            for name in METADATA.tables
        }

    assert (found, uniques) == ([], {name: _uniques(table) for name, table in METADATA.tables.items()})


def _uniques(table: sa.Table) -> list[tuple[str, ...]]:
    each = [item for item in table.constraints if isinstance(item, sa.UniqueConstraint)]
    return sorted(tuple(column.name for column in item.columns) for item in each)


def test_the_newest_revision_is_the_one_that_is_looked_for() -> None:
    scripts = ScriptDirectory(str(Path(migrations.__file__).parent))

    assert scripts.get_current_head() == migrations.HEAD


def test_a_store_of_a_newer_retrim_is_refused(url: str, plain: sa.Engine) -> None:
    Database(url)
    with plain.begin() as connection:
        connection.execute(sa.text(f"UPDATE {migrations.VERSION_TABLE} SET version_num = '9999'"))

    with pytest.raises(RetrimError, match=rf"\b9999\b.*\b{migrations.HEAD}\b"):
        Database(url)


def test_tables_without_a_revision_are_refused(url: str, plain: sa.Engine) -> None:
    METADATA.create_all(plain)

    with pytest.raises(RetrimError, match=r"no revision, .*RETRIM_STORE_URL"):
        Database(url)


def test_tables_of_others_are_left_alone(url: str, plain: sa.Engine) -> None:
    with plain.begin() as connection:
        connection.execute(sa.text("CREATE TABLE alembic_version (version_num VARCHAR)"))
        connection.execute(sa.text("INSERT INTO alembic_version VALUES ('foreign')"))
    Database(url)
    with plain.connect() as connection:
        kept = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()

    assert kept == "foreign"


def test_a_migration_that_fails_leaves_nothing(url: str, plain: sa.Engine) -> None:
    with plain.begin() as connection:  # an index of this name is in the way of the second table
        connection.execute(sa.text("CREATE TABLE elsewhere (model VARCHAR)"))
        connection.execute(sa.text("CREATE INDEX one_running ON elsewhere (model)"))
    with pytest.raises(RetrimError, match="one_running"):
        Database(url)

    assert sa.inspect(plain).get_table_names() == ["elsewhere"]


def test_what_a_writer_has_read_is_still_so_when_it_writes(url: str, tmp_path: Path) -> None:
    with (
        Database(url).begin(),
        closing(sqlite3.connect(tmp_path / "retrim.db", timeout=0)) as other,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")


def test_a_copy_of_a_store_holds_what_it_held(url: str, tmp_path: Path) -> None:
    store = Database(url)
    with store.begin() as connection:
        connection.execute(sa.text("CREATE TABLE mine (x INTEGER)"))
    with store.connect() as connection:  # somebody reads it meanwhile
        connection.execute(sa.text("SELECT * FROM mine")).fetchall()
        copied = copy_sqlite(url, tmp_path / "backup" / "retrim.db")
    with closing(sqlite3.connect(tmp_path / "backup" / "retrim.db")) as copy:
        names = {name for (name,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}

    assert copied
    assert {"mine", "versions"} <= names


def test_a_store_that_is_no_file_is_not_copied(tmp_path: Path) -> None:
    assert not copy_sqlite(f"sqlite:///{tmp_path / 'none.db'}", tmp_path / "copy.db")
    assert not copy_sqlite("postgresql+psycopg://user@host/name", tmp_path / "copy.db")
    assert list(tmp_path.iterdir()) == []
