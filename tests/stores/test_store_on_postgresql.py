"""The store on PostgreSQL: what a writer has read is still so when it writes, and a driver that lacks is named."""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

import pytest
import sqlalchemy as sa

from retrim.adapters.store import Store
from retrim.errors import BadInputError
from tests.builders.stores import PostgreSQL

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]
WRITERS, TIMES = 4, 5


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    """Stores that are closed at the end of a test."""
    with ExitStack() as stack:
        yield stack


def test_of_writers_that_read_first_none_is_lost(database_server: PostgreSQL, opened: ExitStack) -> None:
    address = database_server.create("counted")
    stores = [opened.enter_context(closing(Store(address))) for _ in range(WRITERS)]
    with stores[0].begin() as connection:
        connection.execute(sa.text("create table counter as select 0 as n"))

    def add(store: Store) -> None:
        for _ in range(TIMES):
            with store.begin() as connection:
                n = connection.execute(sa.text("select n from counter")).scalar_one()
                time.sleep(0.01)
                connection.execute(sa.text("update counter set n = :n"), {"n": n + 1})

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(add, stores))

    assert database_server.run("select n from counter", database="counted") == str(WRITERS * TIMES)


def test_two_that_open_an_empty_database_at_once_both_find_its_tables(
    database_server: PostgreSQL, opened: ExitStack
) -> None:
    address = database_server.create("opened")

    with ThreadPoolExecutor(WRITERS) as pool:
        stores = [opened.enter_context(closing(store)) for store in pool.map(Store, [address] * WRITERS)]

    assert [list(store.decisions("shop")) for store in stores] == [[]] * WRITERS


def test_a_driver_that_is_not_installed_is_named_with_its_extra(
    database_server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)

    with pytest.raises(BadInputError, match=r"pip install 'retrim\[postgresql\]'"):
        Store(database_server.address("postgres"))
