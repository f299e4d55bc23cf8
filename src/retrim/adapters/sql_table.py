"""A table that a database gives: the rows of a query, or all of a table, typed as the database has them."""

import asyncio
from collections.abc import Sequence
from datetime import time, timedelta
from importlib.util import find_spec
from typing import Any
from uuid import UUID

import pyarrow as pa

from retrim.errors import BadInputError
from retrim.reading.address import Address, address_of

DRIVERS = {"postgresql": ("psycopg2", "psycopg", "asyncpg"), "mysql": ("pymysql", "MySQLdb", "aiomysql")}
"""Of dialects that need a package: the first that is installed is taken where the address names none."""
READ_ONLY = dict.fromkeys(("mysql", "mariadb"), "set session transaction read only") | {
    "sqlite": "pragma query_only = on"
}
"""What has a database refuse to write, even what it would commit by itself."""
AT_ONCE = 10_000
DIALECTS = ("sqlite", "postgresql", "mysql", "mariadb", "oracle", "mssql")


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
            "--query and --table belong to an address of a database, such as sqlite:///shop.db; leave them out"
        )


def read_query(where: str, *, query: str | None, table: str | None) -> pa.Table:
    """The rows of `query`, or of `table`, or of the only table that is there. Nothing is committed.

    SQLite, PostgreSQL, MySQL and MariaDB are told to refuse what writes. Others may commit a statement by themselves.

    Args:
        where: A SQLAlchemy address, such as `sqlite:///shop.db`.
        query: A statement that gives rows.
        table: A table's name, with its schema before a point if it has one.

    Raises:
        BadInputError: No such driver, database or table; or the query is refused, or gives no rows.
    """
    address = address_of(where)
    if query is not None and table is not None:
        raise BadInputError("give --query or --table, not both")
    if query is not None and not query.strip():
        raise BadInputError("--query is empty; write a statement that gives rows, such as 'select * from orders'")
    from sqlalchemy.exc import DBAPIError, SQLAlchemyError

    try:
        names, columns = _read(address, query, table)
    except BadInputError:
        raise
    except DBAPIError as error:
        raise BadInputError(
            f"{address.shown} gives no rows ({address.clean(error.orig)}); correct the address, --query or --table"
        ) from None  # what came before could hold the password
    except (SQLAlchemyError, OSError, ValueError, TypeError) as error:
        raise BadInputError(
            f"{address.shown} cannot be read ({type(error).__name__}: {address.clean(error)}); write a SQLAlchemy "
            "address such as postgresql://host/shop"
        ) from None
    return pa.Table.from_arrays([_column(cells) for cells in columns], names=names)


def _read(address: Address, query: str | None, table: str | None) -> tuple[list[str], list[list[Any]]]:
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url

    url = make_url(address.text)
    if url.drivername == "postgres":
        raise BadInputError(f"{address.shown}: write postgresql:// for postgres://")
    if "+" not in url.drivername:
        driver = next((one for one in DRIVERS.get(url.drivername, ()) if find_spec(one)), None)
        url = url.set(drivername=f"{url.drivername}+{driver.lower()}") if driver else url
    if url.get_backend_name() == "sqlite":
        _require_file(address, url.database)
    try:
        asynchronous = url.get_dialect().is_async
        if not asynchronous:
            engine = create_engine(url, hide_parameters=True)
            try:
                with engine.connect() as connection:
                    return _rows(connection, query, table, address)
            finally:
                engine.dispose()
    except ImportError as error:
        package = error.name or str(error)
        known = DRIVERS.get(url.get_backend_name(), (package,))
        raise BadInputError(
            f"{address.shown} needs the Python package {package!r}, which is not installed; install it beside retrim "
            f"(known: {', '.join(known)})"
        ) from None
    return asyncio.run(_read_async(url, query, table, address))


async def _read_async(
    url: Any, query: str | None, table: str | None, address: Address
) -> tuple[list[str], list[list[Any]]]:
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(url, hide_parameters=True)
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(_rows, query, table, address)
    finally:
        await engine.dispose()


def _require_file(address: Address, database: str | None) -> None:
    """SQLite makes an empty file where none is, which nobody asked for."""
    from pathlib import Path

    if database and database != ":memory:" and not database.startswith("file:") and not Path(database).is_file():
        raise BadInputError(f"{address.shown} does not exist; name a file of SQLite, three slashes before its path")


def _rows(connection: Any, query: str | None, table: str | None, address: Address) -> tuple[list[str], list[list[Any]]]:
    from sqlalchemy import literal_column, select
    from sqlalchemy import table as named

    connection = connection.execution_options(postgresql_readonly=True)  # others pass it over
    if connection.dialect.name in READ_ONLY:
        connection.exec_driver_sql(READ_ONLY[connection.dialect.name])
    if query is not None:
        # As it is: a colon or a percent sign in it is no place of a value.
        result = connection.execution_options(no_parameters=True).exec_driver_sql(query)
    else:
        schema, _, name = (table or _only_table(connection, address)).rpartition(".")
        result = connection.execute(select(literal_column("*")).select_from(named(name, schema=schema or None)))
    if not result.returns_rows:
        raise BadInputError("--query gives no rows; write a statement that does, such as 'select * from orders'")
    names = [str(name) for name in result.keys()]  # noqa: SIM118  no mapping: iterating gives rows
    columns: list[list[Any]] = [[] for _ in names]
    for part in result.partitions(AT_ONCE):
        for cells, more in zip(columns, zip(*part, strict=True), strict=True):
            cells.extend(more)
    return names, columns


def _only_table(connection: Any, address: Address) -> str:
    from sqlalchemy import inspect

    found = sorted(inspect(connection).get_table_names())
    if len(found) != 1:
        shown = f": {', '.join(found[:10])}" if found else ""
        raise BadInputError(f"{address.shown} has {len(found)} tables{shown}; name one: --table NAME, or --query TEXT")
    return str(found[0])


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
