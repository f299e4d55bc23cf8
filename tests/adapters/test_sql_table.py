"""Tables in databases: the rows of a query or a table, typed as they are there, and nothing that is secret."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrim.adapters.sql_table import read_query
from retrim.errors import BadInputError
from retrim.reading.raw import RawTable, raw_of
from tests.builders.stores import is_installed, postgresql


def open_raw(where: str, *, query: str | None = None, table: str | None = None) -> RawTable:
    """The table at an address, as `retrim init` opens it."""
    return raw_of(read_query(where, query=query, table=table), where)


SECRET = "swordfish"  # noqa: S105  of nobody
NO_ROWS = "no rows can be read|does not return rows"


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """A database of SQLite with two tables."""
    with sqlite3.connect(tmp_path / "shop.db") as there:
        there.execute('create table "the orders" (id integer, at text, km real, note text, odd)')
        there.executemany(
            'insert into "the orders" values (?, ?, ?, ?, ?)',
            [
                (n, f"2024-01-{n:02d} 10:00:00", None if n == 3 else n / 2, "a:b 5%", n if n % 2 else "x")
                for n in range(1, 11)
            ],
        )
        there.execute("create table other (id integer)")
    there.close()
    return f"sqlite:///{tmp_path / 'shop.db'}"


class TestSqlite:
    def test_a_table_is_read_with_the_types_of_its_cells(self, shop: str) -> None:
        columns = open_raw(shop, table="the orders").columns

        assert columns.column_names == ["id", "at", "km", "note", "odd"]
        assert [str(kind) for kind in columns.schema.types] == ["int64", "string", "double", "string", "string"]
        assert columns["km"].to_pylist()[:3] == [0.5, 1.0, None]

    def test_a_query_is_sent_as_it_is(self, shop: str) -> None:
        query = 'select id as "order" from "the orders" where note like \'%:b 5%\' and id > 7 order by id'

        assert open_raw(shop, query=query).columns.to_pydict() == {"order": [8, 9, 10]}

    def test_nothing_is_kept_of_what_a_query_writes(self, shop: str) -> None:
        with pytest.raises(BadInputError, match=NO_ROWS):
            open_raw(shop, query="delete from other")
        with pytest.raises(BadInputError, match=NO_ROWS):
            open_raw(shop, query='delete from "the orders"')

        assert open_raw(shop, table="the orders").rows == 10

    @pytest.mark.parametrize(
        "query", ["drop table other", "create table made (id int)", "vacuum", "pragma user_version = 3"]
    )
    def test_what_a_database_would_commit_by_itself_is_refused(self, shop: str, query: str) -> None:
        file = Path(shop.removeprefix("sqlite:///"))
        before = file.read_bytes()
        with pytest.raises(BadInputError, match=NO_ROWS):
            open_raw(shop, query=query)

        assert file.read_bytes() == before

    def test_of_several_tables_one_has_to_be_named(self, shop: str) -> None:
        with pytest.raises(BadInputError, match=r" 2 tables: other, .*orders; .*--table"):
            open_raw(shop)

    def test_a_table_that_is_not_there_is_said(self, shop: str) -> None:
        with pytest.raises(BadInputError, match="table: orders"):
            open_raw(shop, table="orders")

    def test_a_table_cannot_carry_a_statement(self, shop: str) -> None:
        with pytest.raises(BadInputError, match="table: other"):
            open_raw(shop, table='other"; drop table "the orders')

        assert open_raw(shop, table="the orders").rows == 10

    def test_a_file_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        with pytest.raises(BadInputError, match=r"nothing\.db"):
            open_raw(f"sqlite:///{tmp_path / 'nothing.db'}", table="orders")

        assert list(tmp_path.iterdir()) == []

    def test_query_and_table_are_one_too_many(self, shop: str) -> None:
        with pytest.raises(BadInputError, match="only one"):
            open_raw(shop, query="select 1", table="other")

    def test_an_empty_table_says_so(self, shop: str) -> None:
        with pytest.raises(BadInputError, match="no row"):
            open_raw(shop, table="other")


@pytest.mark.parametrize(
    ("where", "package"),
    [("oracle://me:{0}@host/x", "oracledb"), ("mssql+pyodbc://me:{0}@host/x?password={0}", "pyodbc")],
)
def test_a_driver_that_is_not_there_is_named_without_the_password(where: str, package: str) -> None:
    with pytest.raises(BadInputError, match=f"needs the Python package '{package}'") as caught:
        open_raw(where.format(SECRET), table="orders")

    assert SECRET not in str(caught.value)


def test_a_server_that_is_not_there_is_said_without_the_password() -> None:
    with pytest.raises(BadInputError) as caught:
        open_raw(f"postgresql+asyncpg://me:{SECRET}@127.0.0.1:9/shop", table="orders")

    assert SECRET not in str(caught.value)
    assert "postgresql+asyncpg://127.0.0.1:9/shop" in str(caught.value)


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A server of PostgreSQL that wants a password and names no encoding; its address without the protocol."""
    if not is_installed():
        pytest.skip("PostgreSQL is not installed here (no initdb)")
    with postgresql(password=SECRET, encoding="SQL_ASCII") as server:
        yield server.address("postgres").partition("://")[2]


QUERY = (
    "select n as id, '2024-01-01'::timestamptz + n * interval '1 hour' as at, (n / 4.0)::numeric(8, 2) as km, "
    "n % 2 = 0 as paid, case when n > 3 then 'a:b%' end as note, md5(n::text)::uuid as number, "
    "array[n] as parts from generate_series(1, 10) as n"
)


@pytest.mark.server
class TestPostgres:
    @pytest.mark.parametrize("protocol", ["postgresql", "postgresql+asyncpg"])
    def test_a_query_is_read_with_its_types(self, postgres: str, protocol: str) -> None:
        columns = open_raw(f"{protocol}://{postgres}", query=QUERY).columns
        kinds = [str(kind) for kind in columns.schema.types]

        assert kinds[:1] + kinds[3:] == ["int64", "bool", "string", "string", "list<item: int64>"]
        assert kinds[1].startswith("timestamp[us")
        assert kinds[2].startswith("decimal128")
        assert columns["note"].to_pylist()[2:5] == [None, "a:b%", "a:b%"]

    def test_a_wrong_password_is_refused_and_not_repeated(self, postgres: str) -> None:
        with pytest.raises(BadInputError, match="authentication") as caught:
            open_raw(f"postgresql+asyncpg://{postgres.replace(SECRET, 'mackerel')}", query="select 1 as one")

        assert "mackerel" not in str(caught.value)

    def test_nothing_is_kept_of_what_a_query_writes(self, postgres: str) -> None:
        with pytest.raises(BadInputError, match="read-only transaction"):
            open_raw(f"postgresql+asyncpg://{postgres}", query="create table kept (id int)")
        with pytest.raises(BadInputError, match="has 0 tables"):
            open_raw(f"postgresql+asyncpg://{postgres}")
