"""Landing a file: it lands whole, or is set aside with its bytes and a report; nothing in between."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from retrim.adapters.landing import Landing
from retrim.core.table import DataParams, assemble
from retrim.datasets.landed import read_landed
from retrim.errors import BadInputError, RefusedError
from retrim.ops.ingest import Landed, drop, land, land_labels, overdue, quarantine_list, quarantine_show, release
from retrim.paths import Workspace

HEADER = "at,order,weight,items,country,price\n"
GOOD = HEADER + "2024-01-01T10:00:00Z,1,0.5,2,NL,9.5\n2024-01-01T11:00:00Z,2,1.5,1,DE,8\n"
NEXT = HEADER + "2024-01-08T10:00:00Z,3,0.5,2,NL,9.5\n"
HEAVY = HEADER + "2024-01-08T10:00:00Z,3,0.5,2,NL,9.5\n2024-01-08T11:00:00Z,4,-1,2,NL,9.5\n"
DAY = pd.Timedelta(1, "D")
NOW = pd.Timestamp("2024-01-02", tz="UTC")


class Desk:
    """Files handed in at a workspace, a day after one another."""

    def __init__(self, workspace: Workspace, data: DataParams, inbox: Path) -> None:
        self.workspace, self.data, self.inbox, self.now = workspace, data, inbox, NOW
        inbox.mkdir()

    def file(self, content: str | bytes, name: str = "batch.csv") -> Path:
        path = self.inbox / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def land(self, content: str | bytes | Path, *, correction: bool = False, labels: bool = False) -> Landed:
        path = content if isinstance(content, Path) else self.file(content)
        self.now += DAY
        use = land_labels if labels else land
        return use(path, workspace=self.workspace, data=self.data, now=self.now, correction=correction)

    def release(self, name: str, reason: str = "weighed again") -> Landed:
        self.now += DAY
        return release(name, workspace=self.workspace, data=self.data, now=self.now, reason=reason)

    def drop(self, name: str) -> None:
        drop(name, workspace=self.workspace, now=self.now, reason="a test file")

    @property
    def landed(self) -> list[str]:
        return [batch.batch for batch in Landing(self.workspace.landing).batches()]

    def table(self) -> pd.DataFrame:
        return assemble(*read_landed(self.workspace.landing), self.data, as_of=self.now).set_index("_key")

    def litter(self) -> list[Path]:
        return [path for path in self.workspace.var.rglob("*") if ".tmp" in path.name]


@pytest.fixture
def desk(shop_workspace: Workspace, shop: DataParams, tmp_path: Path) -> Desk:
    return Desk(shop_workspace, shop, tmp_path / "inbox")


@pytest.fixture
def desk_later(shop_workspace: Workspace, shop_later: DataParams, tmp_path: Path) -> Desk:
    return Desk(shop_workspace, shop_later, tmp_path / "inbox")


# --- landing --------------------------------------------------------------------------------------


def test_a_good_batch_lands_with_its_arrival(desk: Desk) -> None:
    landed = desk.land(GOOD)

    assert (landed.outcome, landed.rows, landed.faults) == ("landed", 2, ())
    assert read_landed(desk.workspace.landing)[0]["_arrived"].unique().tolist() == [desk.now]


def test_landing_a_file_twice_changes_nothing(desk: Desk) -> None:
    first = desk.land(GOOD)
    before = {path: path.read_bytes() for path in desk.workspace.var.rglob("*") if path.is_file()}
    again = desk.land(GOOD)

    assert (again.outcome, again.path) == ("already", first.path)
    assert {path: path.read_bytes() for path in desk.workspace.var.rglob("*") if path.is_file()} == before


def test_events_may_come_out_of_order(desk: Desk) -> None:
    lines = GOOD.splitlines()

    assert desk.land("\n".join([lines[0], lines[2], lines[1]])).outcome == "landed"
    assert desk.table().index.tolist() == ["1", "2"]


def test_a_correction_replaces_rows_with_its_keys(desk: Desk) -> None:
    desk.land(GOOD)
    corrected = desk.land(GOOD.replace("9.5", "7"), correction=True)

    assert corrected.outcome == "landed"
    assert desk.table()["price"].to_dict() == {"1": 7.0, "2": 8.0}


def test_rows_without_a_key_are_named_by_batch_and_number(desk: Desk, shop_keyless: DataParams) -> None:
    desk.data = shop_keyless
    landed = desk.land(GOOD)

    assert desk.table().index.tolist() == [f"{landed.batch}:0", f"{landed.batch}:1"]


def test_rows_without_a_key_cannot_be_corrected(desk: Desk, shop_keyless: DataParams) -> None:
    desk.data = shop_keyless

    with pytest.raises(BadInputError, match="without a key cannot be corrected"):
        desk.land(GOOD, correction=True)


@pytest.mark.parametrize("correction", [False, True])
def test_arrivals_go_forward(desk: Desk, correction: bool) -> None:  # noqa: FBT001 (a parameter of the case)
    desk.land(GOOD)
    desk.now -= 2 * DAY + (pd.Timedelta(0) if not correction else -DAY)

    with pytest.raises(BadInputError, match="arrivals go forward"):
        desk.land(NEXT, correction=correction)
    assert len(desk.landed) == 1


# --- bad input ------------------------------------------------------------------------------------


def torn_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"at": [1, 2, 3]}), sink)
    return sink.getvalue().to_pybytes()[:-7]


BAD: dict[str, tuple[str | bytes, str, str]] = {
    "not a table": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "", "is a table of text"),
    "empty file": (b"", "", "holds a table"),
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
    "key twice": (GOOD.replace("Z,2,", "Z,1,"), "_key", "is there once in the batch"),
    "blank target": (GOOD.replace(",9.5", ","), "price", "is not blank, as labels come with the rows"),
    "out of bounds": (GOOD.replace("0.5", "-0.5"), "weight", "is at least 0 (kg)"),
    "Latin-1": (GOOD.replace("NL", "Österreich").encode("latin-1"), "", "is UTF-8 text"),
    "UTF-16": (GOOD.encode("utf-16"), "", "is UTF-8 text"),
    "short row": (GOOD + "2024-01-01T12:00:00Z,3\n", "", "has a value for each of the 6 columns"),
    "torn Parquet": (torn_parquet(), "", "is a whole Parquet file"),
    "torn gzip": (b"\x1f\x8b\x08\0\0\0\0\0\0\x03KL", "", "is a whole gzip file"),
}


@pytest.mark.parametrize(("content", "column", "rule"), BAD.values(), ids=BAD)
class TestEveryBadFile:
    def test_is_set_aside_with_its_bytes_and_a_report(
        self, desk: Desk, content: str | bytes, column: str, rule: str
    ) -> None:
        path = desk.file(content)
        landed = desk.land(path)
        report = json.loads((landed.path / "report.json").read_text(encoding="utf-8"))

        assert landed.outcome == "quarantined"
        assert (report["state"], report["file"], report["arrived"]) == ("held", "batch.csv", desk.now.isoformat())
        assert any(fault["column"] == column and fault["rule"].startswith(rule) for fault in report["faults"])
        assert (landed.path / "source.csv").read_bytes() == path.read_bytes()

    def test_leaves_nothing_in_the_landing_zone(self, desk: Desk, content: str | bytes, column: str, rule: str) -> None:
        desk.land(content)

        assert desk.landed == []
        assert desk.litter() == []

    def test_handed_in_again_changes_nothing(self, desk: Desk, content: str | bytes, column: str, rule: str) -> None:
        first = desk.land(content)
        report = (first.path / "report.json").read_bytes()
        again = desk.land(content)

        assert (again.outcome, again.path, again.faults) == ("quarantined", first.path, first.faults)
        assert (first.path / "report.json").read_bytes() == report


@pytest.mark.parametrize(
    ("make", "said"),
    [(lambda path: path.mkdir(), "is a folder"), (lambda path: None, "does not exist")],
    ids=["folder", "nothing"],
)
def test_what_is_no_file_is_bad_input(desk: Desk, make: Callable[[Path], None], said: str) -> None:
    make(desk.inbox / "x")

    with pytest.raises(BadInputError, match=said):
        desk.land(desk.inbox / "x")
    assert not desk.workspace.var.exists() or desk.litter() == []


def test_a_fault_names_the_row_its_key_and_its_value(desk: Desk) -> None:
    (fault,) = desk.land(HEAVY).faults

    assert (fault.column, fault.examples[0].row, fault.examples[0].key, fault.examples[0].value) == (
        "weight", 1, "4", "-1.0",
    )  # fmt: skip


def test_known_keys_are_set_aside_and_the_first_rows_stay(desk: Desk) -> None:
    desk.land(GOOD)
    landed = desk.land(GOOD.replace("9.5", "7"))

    assert landed.outcome == "quarantined"
    assert [fault.rule for fault in landed.faults] == ["is the key of no row that has landed before"]
    assert desk.table()["price"].to_dict() == {"1": 9.5, "2": 8.0}


def test_a_quarantined_correction_may_be_handed_in_as_one(desk: Desk) -> None:
    desk.land(GOOD)
    desk.land(GOOD.replace("9.5", "7"))
    landed = desk.land(GOOD.replace("9.5", "7"), correction=True)

    assert landed.outcome == "landed"
    assert [entry.state for entry in quarantine_list(desk.workspace)] == ["landed"]


def test_a_suite_that_cannot_be_used_stops_before_anything_is_written(desk: Desk) -> None:
    (desk.workspace.root / desk.data.suite).write_text("{", encoding="utf-8")

    with pytest.raises(BadInputError, match=r"shop\.json"):
        desk.land(GOOD)
    assert not desk.workspace.var.exists()


# --- labels ---------------------------------------------------------------------------------------

UNLABELLED = GOOD.replace(",9.5", ",").replace(",8\n", ",\n")


def test_labels_that_come_later_fill_their_rows(desk_later: Desk) -> None:
    desk_later.land(UNLABELLED)
    landed = desk_later.land("order,price\n2,8\n", labels=True)

    assert (landed.outcome, landed.kind, landed.rows) == ("landed", "labels", 1)
    assert desk_later.table()["price"].dropna().to_dict() == {"2": 8.0}


def test_a_label_time_is_kept_and_else_is_the_arrival(desk_later: Desk) -> None:
    desk_later.land(UNLABELLED)
    desk_later.land("order,price,label_time\n1,9,2024-01-02T09:00+01:00\n2,8,\n", labels=True)
    labels = read_landed(desk_later.workspace.landing)[1]

    assert labels is not None
    assert labels["label_time"].tolist() == [pd.Timestamp("2024-01-02T08:00Z"), desk_later.now]


def test_a_label_of_an_unknown_row_is_set_aside_and_waits_when_released(desk_later: Desk) -> None:
    desk_later.land(UNLABELLED)
    landed = desk_later.land("order,price\n3,8\n", labels=True)
    assert [fault.rule for fault in landed.faults] == ["is the key of a row that has landed"]

    desk_later.release(landed.batch)
    desk_later.land(NEXT.replace(",9.5", ","))

    assert desk_later.table()["price"].dropna().to_dict() == {"3": 8.0}


def test_a_second_label_of_a_row_needs_a_correction(desk_later: Desk) -> None:
    desk_later.land(UNLABELLED)
    desk_later.land("order,price\n1,9\n", labels=True)

    assert desk_later.land("order,price\n1,7\n", labels=True).outcome == "quarantined"
    assert desk_later.land("order,price\n1,7\n", labels=True, correction=True).outcome == "landed"
    assert desk_later.table()["price"].dropna().to_dict() == {"1": 7.0}


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ("order,price\n1,\n", "price"),
        ("order,price\n1,cheap\n", "price"),
        ("order,price\n1,-3\n", "price"),
        ("order,price\n1,3\n1,3\n", "_key"),
        ("order\n1\n", ""),
        (GOOD, ""),
    ],
    ids=["blank", "text", "out of bounds", "key twice", "no target", "rows"],
)
def test_bad_labels_are_set_aside(desk_later: Desk, content: str, column: str) -> None:
    desk_later.land(UNLABELLED)
    landed = desk_later.land(content + "\n", labels=True)

    assert landed.outcome == "quarantined"
    assert [fault.column for fault in landed.faults] == [column]
    assert len(desk_later.landed) == 1


def test_labels_handed_in_as_rows_may_be_handed_in_again_as_labels(desk_later: Desk) -> None:
    desk_later.land(UNLABELLED)

    assert desk_later.land("order,price\n1,9\n").outcome == "quarantined"
    assert desk_later.land("order,price\n1,9\n", labels=True).outcome == "landed"


# --- quarantine -----------------------------------------------------------------------------------


def test_a_released_batch_arrives_when_it_is_released(desk: Desk) -> None:
    held = desk.land(HEAVY)
    released = desk.release(held.batch[:6])
    (batch,) = Landing(desk.workspace.landing).batches()

    assert (released.outcome, batch.arrived, batch.released) == ("landed", desk.now, "weighed again")
    assert desk.table().index.tolist() == ["3", "4"]


def test_the_report_of_a_released_batch_says_why(desk: Desk) -> None:
    entry = quarantine_show(desk.workspace, desk.release(desk.land(HEAVY).batch).batch)

    assert (entry.state, entry.reason, entry.closed) == ("released", "weighed again", desk.now)
    assert [fault.column for fault in entry.faults] == ["weight"]


def test_releasing_twice_changes_nothing(desk: Desk) -> None:
    batch = desk.release(desk.land(HEAVY).batch).batch

    assert desk.release(batch).outcome == "already"
    assert desk.landed == [batch]


STUBBORN = ["wrong type", "missing column", "key twice", "blank key", "torn Parquet"]


@pytest.mark.parametrize("name", STUBBORN)
def test_what_no_reason_cures_is_not_released(desk: Desk, name: str) -> None:
    batch = desk.land(BAD[name][0]).batch

    with pytest.raises(RefusedError, match="cannot be released"):
        desk.release(batch)
    assert desk.landed == []
    assert quarantine_show(desk.workspace, batch).state == "held"


def test_known_keys_are_not_released_but_corrected(desk: Desk) -> None:
    desk.land(GOOD)
    batch = desk.land(GOOD.replace("9.5", "7")).batch

    with pytest.raises(RefusedError, match="--correction"):
        desk.release(batch)


def test_a_dropped_batch_keeps_its_report_and_loses_its_bytes(desk: Desk) -> None:
    held = desk.land(HEAVY)
    desk.drop(held.batch)

    assert [path.name for path in held.path.iterdir()] == ["report.json"]
    assert quarantine_show(desk.workspace, held.batch).state == "dropped"


def test_a_dropped_batch_may_be_handed_in_again(desk: Desk) -> None:
    held = desk.land(HEAVY)
    desk.drop(held.batch)

    with pytest.raises(RefusedError, match="was dropped"):
        desk.release(held.batch)
    assert desk.land(HEAVY).outcome == "quarantined"
    assert desk.release(held.batch).outcome == "landed"


def test_a_batch_that_landed_is_not_dropped(desk: Desk) -> None:
    batch = desk.release(desk.land(HEAVY).batch).batch

    with pytest.raises(RefusedError, match="was released"):
        desk.drop(batch)


@pytest.mark.parametrize("name", ["", "zz"])
def test_an_unknown_batch_is_named_with_those_there_are(desk: Desk, name: str) -> None:
    batch = desk.land(HEAVY).batch

    with pytest.raises(BadInputError, match=batch):
        quarantine_show(desk.workspace, name)


def test_an_empty_reason_is_refused(desk: Desk) -> None:
    batch = desk.land(HEAVY).batch

    with pytest.raises(BadInputError, match="reason is empty"):
        release(batch, workspace=desk.workspace, data=desk.data, now=desk.now, reason=" ")
    with pytest.raises(BadInputError, match="reason is empty"):
        drop(batch, workspace=desk.workspace, now=desk.now, reason="")


# --- overdue --------------------------------------------------------------------------------------


def late_by(desk: Desk, days: float) -> pd.Timedelta | None:
    found = overdue(workspace=desk.workspace, data=desk.data, now=NOW + DAY + days * DAY)
    return None if found is None else found.late


def test_a_batch_is_overdue_when_span_and_grace_are_over(desk: Desk) -> None:
    desk.land(GOOD)

    assert late_by(desk, 8) is None
    assert late_by(desk, 8.5) == 1.5 * DAY


def test_nothing_is_overdue_before_the_first_batch(desk: Desk) -> None:
    assert late_by(desk, 100) is None


def test_corrections_and_quarantined_batches_are_not_the_batch_that_is_due(desk: Desk) -> None:
    desk.land(GOOD)
    desk.now += 5 * DAY
    desk.land(GOOD.replace("9.5", "7"), correction=True)
    desk.land(HEAVY)

    assert late_by(desk, 9) == 2 * DAY
