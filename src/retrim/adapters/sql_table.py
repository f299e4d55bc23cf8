"""Rows of a query or of a table that a database gives, typed as it has them; and rows that are laid into its tables."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import time, timedelta
from importlib.util import find_spec
from itertools import chain
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pyarrow as pa

from retrim.errors import BadInputError
from retrim.reading.address import Address, address_of

if TYPE_CHECKING:
    from sqlalchemy import URL

DRIVERS = {"postgresql": ("psycopg2", "psycopg", "asyncpg"), "mysql": ("pymysql", "MySQLdb", "aiomysql")}
"""Of dialects that need a package: the first that is installed is taken where the address names none."""
READ_ONLY = dict.fromkeys(("mysql", "mariadb"), "set session transaction read only") | {
    "sqlite": "pragma query_only = on"
}
"""What has a database refuse to write, even what it would commit by itself."""
AT_ONCE = 10_000
DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql")
Take = Callable[[list[str], Sequence[Sequence[Any]]], None]
"""Is given the names of the columns and some rows; first of all no rows."""
SQL_TYPES = {"bool": "Boolean", "int64": "BigInteger", "int32": "Integer", "double": "Float"}
COPIED = "_files"
"""Suffix of the name of a table that records which content of which file is in the table without it."""
MAKING = 0x72657473
"""The lock of PostgreSQL that is held while tables are made: of two who make one at once, one would fail."""
CONNECT_SECONDS = 10


def is_database(where: str) -> bool:
    """Whether an address is one of a database, as SQLAlchemy writes it."""
    return where.partition("://")[0].partition("+")[0] in (*DIALECTS, "postgres")


def refuse_query(query: str | None, table: str | None) -> None:
    """Refuses what only a database can answer.

    Raises:
        BadInputError: A query or a table was named.
    """
    if query is not None or table is not None:
        raise BadInputError(
            "--query and --table can be used only with a database address such as sqlite:///shop.db; leave them out"
        )


def read_query(where: str, *, query: str | None, table: str | None) -> pa.Table:
    """The rows of `query`, or of `table`, or of the only table that is there. Nothing is committed.

    SQLite, PostgreSQL, MySQL and MariaDB are told to refuse what writes. Others may commit a statement by themselves.

    Raises:
        BadInputError: No such driver, database or table; or the query is refused, or gives no rows.
    """
    names: list[str] = []
    columns: list[list[Any]] = []

    def take(found: list[str], rows: Sequence[Sequence[Any]]) -> None:
        if not names:
            names.extend(found)
            columns.extend([] for _ in found)
        for cells, more in zip(columns, zip(*rows, strict=True), strict=False):
            cells.extend(more)

    pass_rows(where, take, query=query, table=table)
    return pa.Table.from_arrays([_column(cells) for cells in columns], names=names)


def table_of(names: list[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    """Rows that a database gave, typed as it has them."""
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.Table.from_arrays([_column(cells) for cells in columns], names=names)


def pass_rows(where: str, take: Take, *, query: str | None, table: str | None) -> None:
    """Hands the rows of `read_query` to `take`, some at a time, so that they need not all fit into memory."""
    address = address_of(where)
    if query is not None and table is not None:
        raise BadInputError("--query and --table are both set; use only one of them")
    if query is not None and not query.strip():
        raise BadInputError("--query is empty; write a statement that returns rows, such as 'select * from orders'")
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        _read(address, query, table, take)
    except BadInputError:
        raise
    except DBAPIError as error:
        raise BadInputError(
            f"no rows can be read from {address.shown} ({address.clean(error.orig)}); correct the address, --query or "
            "--table"
        ) from None  # what came before could hold the password
    except (SQLAlchemyError, OSError, ValueError, TypeError) as error:
        raise BadInputError(
            f"{address.shown} cannot be read ({type(error).__name__}: {address.clean(error)}); use a SQLAlchemy "
            "address such as postgresql://host/shop"
        ) from None


def database_url(address: Address) -> "URL":
    """The address as SQLAlchemy takes it, with a driver that is installed where it names none.

    Raises:
        BadInputError: It begins with postgres://.
    """
    from sqlalchemy.engine import make_url

    from retrim.adapters.database import in_utf8

    url = make_url(address.text)
    if url.drivername == "postgres":
        raise BadInputError(
            f"{address.shown} begins with postgres://, which SQLAlchemy does not accept; use postgresql:// instead"
        )
    if "+" not in url.drivername:
        driver = next((one for one in DRIVERS.get(url.drivername, ()) if find_spec(one)), None)
        url = url.set(drivername=f"{url.drivername}+{driver.lower()}") if driver else url
    return in_utf8(url)


def _read(address: Address, query: str | None, table: str | None, take: Take) -> None:
    from sqlalchemy import create_engine

    url = database_url(address)
    if url.get_backend_name() == "sqlite":
        _require_file(address, url.database)
    try:
        asynchronous = url.get_dialect().is_async
        if not asynchronous:
            engine = create_engine(url, hide_parameters=True)
            try:
                with engine.connect() as connection:
                    _rows(connection, query, table, address, take)
            finally:
                engine.dispose()
            return
    except ImportError as error:
        package = error.name or str(error)
        known = DRIVERS.get(url.get_backend_name(), (package,))
        raise BadInputError(
            f"{address.shown} needs the Python package {package!r}, which is not installed; install it in retrim's "
            f"environment (supported drivers for this database: {', '.join(known)})"
        ) from None
    asyncio.run(_read_async(url, query, table, address, take))


async def _read_async(url: Any, query: str | None, table: str | None, address: Address, take: Take) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(_rows, query, table, address, take)
    finally:
        await engine.dispose()


def replace_rows(where: str, table: str, batches: Iterator[pa.RecordBatch], *, where_is: Mapping[str, str]) -> None:
    """Puts rows into a table in place of those with the same values in some columns: all of it or nothing.

    The table is made where it is not there; its other rows stay.

    Raises:
        BadInputError: No such driver or database, or it refuses.
    """
    import sqlalchemy as sa

    first = next(batches, None)
    if first is None:
        return
    schema, _, name = table.rpartition(".")
    columns = [sa.Column(field.name, _sql_type(field.type)) for field in first.schema]
    target = sa.Table(name, sa.MetaData(), *columns, schema=schema or None)
    with _writing(where, table) as engine, engine.begin() as connection:
        target.create(connection, checkfirst=True)
        connection.execute(sa.delete(target).where(*(target.c[key] == value for key, value in where_is.items())))
        for batch in chain([first], batches):
            for start in range(0, batch.num_rows, AT_ONCE):
                connection.execute(sa.insert(target), batch.slice(start, AT_ONCE).to_pylist())


def count_rows(where: str, table: str, *, where_is: Mapping[str, str]) -> int | None:
    """How many rows of a table have these values in some columns; None without the table."""
    import sqlalchemy as sa

    schema, _, name = table.rpartition(".")
    with _writing(where, table) as engine, engine.connect() as connection:
        if not sa.inspect(connection).has_table(name, schema=schema or None):
            return None
        rows = sa.select(sa.func.count()).select_from(sa.table(name, schema=schema or None))
        return int(connection.scalar(rows.where(*(sa.column(key) == value for key, value in where_is.items()))) or 0)


@dataclass(frozen=True)
class FileOfRows:
    """A file whose rows belong into a table.

    Args:
        content: What tells its content from one that it had before.
        same: Columns and values that all of its rows have.
        rows: Reads its other columns, some rows at a time, none of them twice.
    """

    name: str
    content: str
    same: Mapping[str, str | int]
    rows: Callable[[], Iterator[pa.Table]]


def add_files(where: str, table: str, files: Iterable[FileOfRows], *, schema: pa.Schema, keys: Sequence[str]) -> int:
    """Adds the rows of files to a table, each once by its keys; gives how many were added.

    A file is read where its content is not the one that was added last. That is noted after its rows, in a table
    beside, so that one that was stopped half-way is read again. What is in the table stays as it is.

    Raises:
        BadInputError: No such driver or database, or it refuses.
    """
    import sqlalchemy as sa

    if where.partition("://")[0].partition("+")[0] not in ("sqlite", "postgresql", "postgres"):
        raise BadInputError(
            f"{address_of(where).shown} is neither SQLite nor PostgreSQL, so rows cannot be copied there; use an "
            "address such as sqlite:////folder/predictions.db or postgresql://host/name"
        )
    every, shared = sa.MetaData(), schema.names[: schema.get_field_index(keys[0])]
    columns = [
        sa.Column(field.name, _sql_type(field.type), primary_key=field.name in (*shared, *keys)) for field in schema
    ]
    target = sa.Table(table, every, *columns)
    file, content = sa.Column("file", sa.Text, primary_key=True), sa.Column("content", sa.Text, nullable=False)
    copied, added = sa.Table(f"{table}{COPIED}", every, file, content), 0
    with _writing(where, table) as engine:
        _make_tables(engine, every)
        with engine.begin() as connection:
            known = {row.file: row.content for row in connection.execute(sa.select(copied))}
        failed: Exception | None = None
        for source in files:
            if known.get(source.name) == source.content:
                continue
            try:
                for batch in chain.from_iterable(rows.to_batches(AT_ONCE) for rows in source.rows()):
                    with engine.begin() as connection:
                        added += _add_absent(connection, target, batch, source.same, keys)
            except sa.exc.OperationalError:  # the database is away
                raise
            except Exception as error:  # noqa: BLE001  a file that cannot be read or taken keeps no other from being copied
                failed = failed or error
                continue
            with engine.begin() as connection:
                connection.execute(sa.delete(copied).where(file == source.name))
                connection.execute(_or_nothing(connection, copied), {"file": source.name, "content": source.content})
        if failed is not None:
            raise failed
    return added


def _make_tables(engine: Any, tables: Any) -> None:
    import sqlalchemy as sa

    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MAKING)))
        for table in tables.sorted_tables:
            connection.execute(sa.schema.CreateTable(table, if_not_exists=True))


def _add_absent(
    connection: Any, target: Any, rows: pa.RecordBatch, same: Mapping[str, str | int], keys: Sequence[str]
) -> int:
    """Adds those of the rows that are not there; where another adds the same meanwhile, each is there once too."""
    import sqlalchemy as sa

    conditions = [target.c[name] == value for name, value in same.items()]
    conditions.append(target.c[keys[0]].in_(rows[keys[0]].to_pylist()))
    query = sa.select(*(target.c[name] for name in keys)).where(*conditions)
    known = {tuple(row) for row in connection.execute(query)}
    fresh = [{**same, **row} for row in rows.to_pylist() if tuple(row[name] for name in keys) not in known]
    if fresh:
        connection.execute(_or_nothing(connection, target), fresh)
    return len(fresh)


def _or_nothing(connection: Any, target: Any) -> Any:
    """The insert that leaves a row out which is there."""
    from sqlalchemy.dialects import postgresql, sqlite

    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    return insert(target).on_conflict_do_nothing()


def refuse_unwritable(where: str, table: str) -> None:
    """Refuses a database that cannot be written, as far as its address and driver tell; it is not asked."""
    with _writing(where, table):
        pass


@contextmanager
def _writing(where: str, table: str) -> Iterator[Any]:
    """The engine of a database that is written; what goes wrong is told without secrets."""
    import sqlalchemy as sa
    from sqlalchemy.exc import SQLAlchemyError

    address = address_of(where)
    try:
        url = database_url(address)
        if url.get_dialect().is_async:
            raise BadInputError(
                f"{address.shown} has the asynchronous driver {url.get_driver_name()}, which cannot write here; "
                "install a synchronous driver in retrim's environment, and use an address that begins with, for "
                "example, postgresql+psycopg:// or mysql+pymysql://"
            )
        if url.get_driver_name() in ("psycopg", "psycopg2") and "connect_timeout" not in url.query:
            url = url.update_query_dict({"connect_timeout": str(CONNECT_SECONDS)})  # one that is away holds nobody up
        engine = sa.create_engine(url, hide_parameters=True)
        try:
            yield engine
        finally:
            engine.dispose()
    except (SQLAlchemyError, ImportError, OSError) as error:
        why = address.clean(getattr(error, "orig", None) or error)
        raise BadInputError(
            f"{address.shown} cannot be written to ({why}); check the address, your permissions and the columns of "
            f"table {table!r}"
        ) from None


def _sql_type(kind: pa.DataType) -> Any:
    import sqlalchemy as sa

    if pa.types.is_timestamp(kind):
        return sa.DateTime(timezone=True)
    return getattr(sa, SQL_TYPES.get(str(kind), "Text"))()


def _require_file(address: Address, database: str | None) -> None:
    """SQLite makes an empty file where none is, which nobody asked for."""
    from pathlib import Path

    if database and database != ":memory:" and not database.startswith("file:") and not Path(database).is_file():
        raise BadInputError(
            f"{address.shown} does not exist; write the path of an existing SQLite file after sqlite:///"
        )


def _rows(connection: Any, query: str | None, table: str | None, address: Address, take: Take) -> None:
    from sqlalchemy import literal_column, select
    from sqlalchemy import table as named

    connection = connection.execution_options(postgresql_readonly=True)  # others pass it over
    if not connection.dialect.is_async:
        connection = connection.execution_options(stream_results=True)  # a driver that can holds not all rows then
    if connection.dialect.name in READ_ONLY:
        connection.exec_driver_sql(READ_ONLY[connection.dialect.name])
    if query is not None:
        # As it is: a colon or a percent sign in it is no place of a value.
        result = connection.execution_options(no_parameters=True).exec_driver_sql(query)
    else:
        schema, _, name = (table or _only_table(connection, address)).rpartition(".")
        result = connection.execute(select(literal_column("*")).select_from(named(name, schema=schema or None)))
    if not result.returns_rows:
        raise BadInputError(
            "--query does not return rows; use a statement that returns rows, such as 'select * from orders'"
        )
    names = [str(name) for name in result.keys()]  # noqa: SIM118  no mapping: iterating gives rows
    take(names, [])
    for part in result.partitions(AT_ONCE):
        take(names, part)


def _only_table(connection: Any, address: Address) -> str:
    from sqlalchemy import inspect

    names = sorted(inspect(connection).get_table_names())
    if len(names) != 1:
        shown = f": {', '.join(names[:10])}" if names else ""
        raise BadInputError(
            f"{address.shown} has {len(names)} tables{shown}; choose one with --table NAME, or use --query TEXT"
        )
    return str(names[0])


def _column(cells: Sequence[Any]) -> pa.Array:
    """A column of what a driver gave; text where its cells are of several kinds, or of one that no table has."""
    plain = [_plain(cell) for cell in cells]
    try:
        return pa.array(plain)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return pa.array([None if cell is None else str(cell) for cell in plain], pa.string())


def _plain(cell: object) -> object:
    if isinstance(cell, (UUID, time, timedelta)):
        return str(cell)
    return bytes(cell) if isinstance(cell, memoryview) else cell
