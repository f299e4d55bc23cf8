"""Every kind of bad file is set aside with its bytes and a report, or is a clear error; nothing lands of it."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrim.errors import BadInputError, RefusedError
from tests.builders.counter import GOOD, HEADER, HEAVY, Counter
from tests.builders.landed import quarantine_show


def torn_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"at": [1, 2, 3]}), sink)
    return sink.getvalue().to_pybytes()[:-7]


BAD: dict[str, tuple[str | bytes, str, str]] = {
    "not a table": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "", "is a table of text"),
    "empty file": (b"", "", "contains a table"),
    "no rows": (HEADER, "", "has rows"),
    "missing column": (GOOD.replace(",price", "").replace(",9.5", "").replace(",8", ""), "", "has the columns"),
    "extra column": (GOOD.replace("\n", ",1\n").replace("price,1", "price,extra"), "", "has the columns"),
    "column twice": (GOOD.replace("weight", "items"), "", "names each column once"),
    "wrong type": (GOOD.replace("0.5", "heavy"), "weight", "is a finite decimal number or blank"),
    "not a number": (GOOD.replace("0.5", "NaN"), "weight", "is a finite decimal number or blank"),
    "infinite": (GOOD.replace("0.5", "inf"), "weight", "is a finite decimal number or blank"),
    "no time": (GOOD.replace("2024-01-01T10:00:00Z", "noon"), "at", "is a time in ISO 8601"),
    "blank time": (GOOD.replace("2024-01-01T10:00:00Z", ""), "at", "is not blank"),
    "blank key": (GOOD.replace("Z,1,", "Z,,"), "order", "is not blank"),
    "key twice": (GOOD.replace("Z,2,", "Z,1,"), "_key", "is unique in the batch"),
    "blank target": (GOOD.replace(",9.5", ","), "price", "is not blank, because labels come with the rows"),
    "out of bounds": (GOOD.replace("0.5", "-0.5"), "weight", "is at least 0 (kg)"),
    "Latin-1": (GOOD.replace("NL", "Österreich").encode("latin-1"), "", "is UTF-8 text"),
    "UTF-16": (GOOD.encode("utf-16"), "", "is UTF-8 text"),
    "short row": (GOOD + "2024-01-01T12:00:00Z,3\n", "", "has exactly one value for each of the 6 columns"),
    "row cut off": (GOOD.rstrip("\n") + "\n2024-01-01T12:00:00Z,3", "", "ends with a whole row"),
    "torn Parquet": (torn_parquet(), "", "is a complete Parquet file"),
    "torn gzip": (b"\x1f\x8b\x08\0\0\0\0\0\0\x03KL", "", "is a complete gzip file"),
}


@pytest.mark.parametrize(("content", "column", "rule"), BAD.values(), ids=BAD)
class TestEveryBadFile:
    def test_is_set_aside_with_its_bytes_and_a_report(
        self, counter: Counter, content: str | bytes, column: str, rule: str
    ) -> None:
        path = counter.file(content)
        landed = counter.land(path)
        report = json.loads((landed.path / "report.json").read_text(encoding="utf-8"))

        assert landed.outcome == "quarantined"
        assert (report["state"], report["file"], report["arrived"]) == ("held", "batch.csv", counter.now.isoformat())
        assert any(fault["column"] == column and fault["rule"].startswith(rule) for fault in report["faults"])
        assert (landed.path / "source.csv").read_bytes() == path.read_bytes()

    def test_leaves_nothing_in_the_landing_zone(
        self, counter: Counter, content: str | bytes, column: str, rule: str
    ) -> None:
        counter.land(content)

        assert counter.landed == []
        assert counter.litter() == []


@pytest.mark.parametrize(
    ("make", "said"),
    [(lambda path: path.mkdir(), "is a folder"), (lambda path: None, "does not exist")],
    ids=["folder", "nothing"],
)
def test_what_is_no_file_is_bad_input(counter: Counter, make: Callable[[Path], None], said: str) -> None:
    make(counter.inbox / "x")

    with pytest.raises(BadInputError, match=said):
        counter.land(counter.inbox / "x")
    assert not counter.workspace.var.exists() or counter.litter() == []


def test_a_fault_names_the_row_its_key_and_its_value(counter: Counter) -> None:
    (fault,) = counter.land(HEAVY).faults

    assert (fault.column, fault.examples[0].row, fault.examples[0].key, fault.examples[0].value) == (
        "weight", 1, "4", "-1.0",
    )  # fmt: skip


def test_known_keys_are_set_aside_and_the_first_rows_stay(counter: Counter) -> None:
    counter.land(GOOD)
    landed = counter.land(GOOD.replace("9.5", "7"))

    assert landed.outcome == "quarantined"
    assert [fault.rule for fault in landed.faults] == ["is not the key of a row that has landed before"]
    assert counter.table()["price"].to_dict() == {"1": 9.5, "2": 8.0}


def test_a_suite_that_cannot_be_used_stops_before_anything_is_written(counter: Counter) -> None:
    (counter.workspace.root / counter.data.suite).write_text("{", encoding="utf-8")

    with pytest.raises(BadInputError, match=r"shop\.json"):
        counter.land(GOOD)
    assert not counter.workspace.var.exists()


STUBBORN = ["wrong type", "missing column", "key twice", "blank key", "torn Parquet"]


@pytest.mark.parametrize("name", STUBBORN)
def test_what_no_reason_cures_is_not_released(counter: Counter, name: str) -> None:
    batch = counter.land(BAD[name][0]).batch

    with pytest.raises(RefusedError, match=f"batch {batch} cannot"):
        counter.release(batch)
    assert counter.landed == []
    assert quarantine_show(counter.workspace, batch).state == "held"
