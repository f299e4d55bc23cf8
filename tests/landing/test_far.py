"""Files that lie elsewhere land as files of this machine do, and leave nothing behind."""

import sqlite3
from pathlib import Path

import pytest

from retrim.errors import BadInputError
from retrim.landing.inbox import at_hand
from tests.builders.counter import GOOD, Counter

NOTHING = {"query": None, "table": None}


def test_a_file_at_an_address_lands_as_on_this_machine(counter: Counter, tmp_path: Path) -> None:
    there = tmp_path / "elsewhere.csv"
    there.write_text(GOOD, encoding="utf-8")
    with at_hand(counter.workspace, f"file://{there}", **NOTHING) as path:
        landed = counter.land(path)

    assert landed.outcome == "landed"
    assert counter.land(GOOD).outcome == "already"


def test_rows_of_a_database_land_once(counter: Counter, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as there:
        there.execute('create table orders (at text, "order" integer, weight real, items integer, country text, price)')
        there.executemany(
            "insert into orders values (?, ?, ?, ?, ?, ?)", [line.split(",") for line in GOOD.split()[1:]]
        )
    there.close()
    ended = []
    for _ in range(2):
        where, query = (
            f"sqlite:///{tmp_path / 'shop.db'}",
            'select at, "order", weight, items, country, price + 0 as price',
        )
        with at_hand(counter.workspace, where, query=f"{query} from orders order by at", table=None) as path:
            ended.append(counter.land(path).outcome)

    assert ended == ["landed", "already"]
    assert counter.table()["price"].to_dict() == {"1": 9.5, "2": 8.0}


def test_several_files_are_no_batch(counter: Counter, tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text(GOOD, encoding="utf-8")

    with (
        pytest.raises(BadInputError, match="2 files"),
        at_hand(counter.workspace, f"file://{tmp_path}/*.csv", **NOTHING),
    ):
        pass


def test_a_query_needs_a_database(counter: Counter) -> None:
    with (
        pytest.raises(BadInputError, match=r"^--query and --table"),
        at_hand(counter.workspace, "trips.csv", query="select 1", table=None),
    ):
        pass
