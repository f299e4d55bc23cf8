"""A database behind an address: opened, read, written; what goes wrong is told in our words, without its password."""

import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pandas as pd
import sqlalchemy as sa

from retrim.adapters.migrations import is_current, migrate
from retrim.decision.stored_rows import StoredRow, columns_of
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import file_state, make_private_file
from retrim.reading.address import address_of

WRITE = "use an address such as sqlite:////folder/retrim.db or postgresql+psycopg://user@host/name"

Row = TypeVar("Row", bound=StoredRow)
WRITER = 0x72657472
"""The lock of PostgreSQL that a writer holds: the letters `retr`."""
EXTRAS = {"postgresql": "postgresql"}
"""By kind of database, the extra of this package that brings its driver."""
WRITES = "retrim_writes"
"""Execution option of a connection that is going to write."""
PG_DUMP, PG_RESTORE = "pg_dump", "pg_restore"
TICK_SECONDS = 2
"""No file system dates two writes alike that lie so far apart."""


def _begin_explicitly(engine: sa.Engine) -> None:
    """Has SQLite begin transactions where SQLAlchemy does: its driver by itself does so only before some statements.

    So a table is changed whole or not at all, and what a writer has read is still so when it writes: it locks the file
    from its start. Source: SQLAlchemy's documentation of its SQLite dialect, on transactions of pysqlite.
    """

    @sa.event.listens_for(engine, "connect")
    def _leave_transactions_to_us(connection: Any, _: object) -> None:
        connection.isolation_level = None
        # Flushed with each transaction, its journal's removal too: what git and MLflow are told of is in the store.
        connection.execute("PRAGMA synchronous = EXTRA")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _write_one_at_a_time(engine: sa.Engine) -> None:
    """Has a writer on PostgreSQL wait for the one before from the start of its transaction, as SQLite does."""

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get(WRITES, False):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER})")


def _shown(url: sa.URL) -> str:
    """An address without password and query; of one whose password may be taken for its host, the protocol alone."""
    if url.host and "@" in f"{url.host}{url.database}":
        return f"{url.drivername}://***"
    return url.set(query={}).render_as_string(hide_password=True)


def make_private_sqlite(url: sa.URL) -> None:
    """Makes the file of a SQLite database, if it is one, or closes it: its user alone can read it."""
    name = url.database
    is_file = url.get_backend_name() == "sqlite" and name and name != ":memory:" and not name.startswith("file:")
    if is_file and name and Path(name).parent.is_dir():
        with suppress(OSError):  # whoever opens it says what is wrong with it
            make_private_file(Path(name))


def copy_sqlite(address: str, to: Path) -> bool:
    """Copies the file of an SQLite database whole, even while others write to it. False if the file does not exist."""
    url = sa.engine.make_url(address)
    if url.get_backend_name() != "sqlite" or not url.database or not Path(url.database).is_file():
        return False
    make_private_file(to)
    with closing(sqlite3.connect(url.database)) as source, closing(sqlite3.connect(to)) as copy:
        source.backup(copy)
    return True


def in_utf8(url: sa.URL) -> sa.URL:
    """The address with which psycopg reads texts as such of a database in SQL_ASCII too, which names no encoding."""
    if url.drivername != "postgresql+psycopg" or "client_encoding" in url.query:
        return url
    return url.update_query_dict({"client_encoding": "utf8"})


def is_sqlite(address: str) -> bool:
    return sa.engine.make_url(address).get_backend_name() == "sqlite"


def dump_postgresql(address: str, to: Path) -> None:
    """Writes a PostgreSQL database into a file, as of one moment, by PostgreSQL's own tool; others go on meanwhile.

    Raises:
        RefusedError: The address is of another kind of database, or the tool is not installed.
        RetrimError: It failed.
    """
    fails = f"{_shown(sa.engine.make_url(address))} cannot be backed up"
    _run_tool(_find_tool(PG_DUMP, address, fails), address, fails, ["--format=custom", f"--file={to}"])


def load_postgresql(file: Path, address: str) -> None:
    """Fills an empty PostgreSQL database from a file that `dump_postgresql` wrote, all of it or nothing.

    Raises:
        RefusedError: The database is not empty, or the tool is not installed.
        RetrimError: It failed.
    """
    fails = f"{_shown(sa.engine.make_url(address))} cannot be filled"
    tool = _find_tool(PG_RESTORE, address, fails)
    require_empty(address)
    _run_tool(tool, address, fails, ["--no-owner", "--no-acl", "--single-transaction", "--exit-on-error", str(file)])


def require_empty(address: str) -> None:
    """Checks that a database has no table.

    Raises:
        RefusedError: It has.
        RetrimError: It cannot be reached.
    """
    url = sa.engine.make_url(address)
    engine = None
    try:
        engine = sa.create_engine(in_utf8(url))
        names = sa.inspect(engine).get_table_names()
    except sa.exc.SQLAlchemyError as error:
        why = address_of(address).clean(str(getattr(error, "orig", None) or error))
        raise RetrimError(f"{_shown(url)} cannot be reached: {why}; check the address and the database") from None
    finally:
        if engine is not None:
            engine.dispose()
    if names:
        raise RefusedError(
            f"the database {_shown(url)} is not empty; create an empty database and use its address instead"
        )


def _find_tool(tool: str, address: str, fails: str) -> str:
    url = sa.engine.make_url(address)
    if url.get_backend_name() != "postgresql":
        raise RefusedError(
            f"{fails}: only SQLite and PostgreSQL are supported; use the backup tools of {url.get_backend_name()}"
        )
    path = shutil.which(tool)
    if path is None:
        raise RefusedError(
            f"{fails}, because {tool} is not installed; install PostgreSQL's client programs (Debian: "
            "apt-get install postgresql-client)"
        )
    return path


def _run_tool(tool: str, address: str, fails: str, options: Sequence[str]) -> None:
    url = sa.engine.make_url(address)
    password = url.password or url.query.get("password")  # in the environment, as others see what is typed
    query = url.difference_update_query(["password"]).query
    plain = sa.URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    known = {**os.environ, **({} if password is None else {"PGPASSWORD": str(password)})}
    done = subprocess.run(
        [tool, *options, f"--dbname={plain.render_as_string()}", "--no-password"],
        env=known,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        name = Path(tool).name
        why = address_of(address).clean(done.stderr.strip() or f"{name} ended with exit code {done.returncode}")
        raise RetrimError(
            f"{fails}: {why}; check the database, or install the version of {name} that matches the server"
        )


def move_places(address: str, moved: Mapping[str, str]) -> int:
    """Lets every text of a database that names a place, or one below it, name another; gives how many did."""
    engine, count = sa.create_engine(in_utf8(sa.engine.make_url(address))), 0
    with engine.begin() as connection:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        for table in metadata.tables.values():
            for column in (column for column in table.columns if isinstance(column.type, sa.String)):
                cases = [
                    (
                        sa.or_(column == old, column.startswith(f"{old}/", autoescape=True)),
                        sa.literal(new) + sa.func.substr(column, len(old) + 1),
                    )
                    for old, new in moved.items()
                ]
                moving = sa.update(table).where(sa.or_(*(names_it for names_it, _ in cases)))
                count += connection.execute(moving.values({column: sa.case(*cases, else_=column)})).rowcount
    engine.dispose()
    return count


class Database:
    """The store at an address; its tables are made, or brought to their newest shape, when it is opened.

    Attributes:
        shown: The address without its password and its query.
        place: The address with its query, which tells two stores apart; never shown.

    Raises:
        BadInputError: The address is none.
        RetrimError: It cannot be opened, or a newer retrim wrote it.
    """

    def __init__(self, url: str) -> None:
        self.url, self._address = url, address_of(url)
        try:
            parsed = sa.engine.make_url(url)
        except (sa.exc.ArgumentError, ValueError) as error:  # neither is shown: it may hold the password
            raise BadInputError(f"RETRIM_STORE_URL is not a database address; {WRITE}") from error
        self.shown = _shown(parsed)
        make_private_sqlite(parsed)
        self.place = parsed.set(password=None).render_as_string(hide_password=False)
        try:
            self._engine = sa.create_engine(
                in_utf8(parsed), connect_args={"timeout": 30} if url.startswith("sqlite") else {}
            )
        except (sa.exc.ArgumentError, ImportError) as error:
            why = self._address.clean(error)
            extra = EXTRAS.get(parsed.get_backend_name())
            driver = "its driver" if extra is None else f"its driver: pip install 'retrim[{extra}]'"
            raise BadInputError(
                f"the store at {self.shown} cannot be opened: {why}; install {driver}, or {WRITE}"
            ) from error
        if self._engine.dialect.name == "sqlite":
            _begin_explicitly(self._engine)
        elif self._engine.dialect.name == "postgresql":
            _write_one_at_a_time(self._engine)
        with self.wrapped("opened"):
            with self._engine.connect() as connection:
                current = is_current(connection)
            if not current:
                with self._transaction() as connection:
                    migrate(connection)

    def written(self) -> tuple[int, ...] | None:
        """What every write changes; None: that cannot be told, or the next write may look like the last, just made.

        Files are not opened for it: to close one would end the locks that SQLite holds on it in this process.
        """
        name = self._engine.url.database
        if self._engine.dialect.name != "sqlite" or not name:
            return None
        state = file_state(Path(name))
        if not state or Path(f"{name}-wal").exists() or time.time_ns() - state[1] < TICK_SECONDS * 1e9:
            return None
        return state

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def wrapped(self, what: str) -> Iterator[None]:
        """Turns the database's errors into a `RetrimError`; a key that is there already is for the caller to judge."""
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            why = self._address.clean(str(getattr(error, "orig", None) or error).strip().splitlines()[0])
            raise RetrimError(
                f"the store at {self.shown} cannot be {what}: {why}; check the database, its disk and its "
                "permissions, or set RETRIM_STORE_URL to a different database"
            ) from error

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """A transaction: all of it, or nothing."""
        with self.wrapped("written"), self._transaction() as connection:
            yield connection

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        with self._engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
            yield connection

    @contextmanager
    def connect(self) -> Iterator[sa.Connection]:
        """A connection to read with."""
        with self.wrapped("read"), self._engine.connect() as connection:
            yield connection


def iso(time: pd.Timestamp) -> str:
    """A time as the store spells it."""
    return time.tz_convert("UTC").isoformat(timespec="seconds")


class SqlTables(Database):
    def all(self, query: "sa.Select[Any]") -> "Sequence[sa.Row[Any]]":
        with self.connect() as connection:
            return connection.execute(query).all()

    def rows(self, query: "sa.Select[Any]", kind: type[Row]) -> list[Row]:
        """Whole rows of a table, as the dataclass whose fields are its columns."""
        with self.connect() as connection:
            return [kind(**row) for row in connection.execute(query).mappings()]

    def one(self, query: "sa.Select[Any]", kind: type[Row]) -> Row | None:
        """The first of them; None where there is none."""
        return next(iter(self.rows(query.limit(1), kind)), None)

    def _insert(
        self, table: sa.Table, row: StoredRow, others: Mapping[sa.Table, Sequence[StoredRow]] = MappingProxyType({})
    ) -> bool:
        """Inserts a row, and the rows of other tables that belong to it; False, and none of them, if one is there."""
        try:
            with self.begin() as connection:
                connection.execute(sa.insert(table).values(**columns_of(row)))
                for other, rows in others.items():
                    if rows:
                        connection.execute(sa.insert(other), [columns_of(other_row) for other_row in rows])
        except sa.exc.IntegrityError:
            return False
        return True
