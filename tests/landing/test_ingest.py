"""Landing rows and labels: they land whole, once, with their arrival; corrections replace; what is late is said."""

import re
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from retrim.adapters.landing_zone import Landing
from retrim.errors import BadInputError
from retrim.landing.ingest import Landed, land_batch
from retrim.landing.overdue import overdue
from retrim.table.data import DataParams
from retrim.table.derived_columns import APART
from retrim.table.reading import PLAIN
from tests.builders.counter import DAY, GOOD, HEAVY, NEXT, NOW, Counter
from tests.builders.landed import read_landed

MANY = GOOD + "2024-01-01T12:00:00Z,3,0.5,2,NL,9.5\n2024-01-01T13:00:00Z,4,1.5,1,DE,8\n"


def test_a_good_batch_lands_with_its_arrival(counter: Counter) -> None:
    landed = counter.land(GOOD)

    assert (landed.outcome, landed.rows, landed.faults) == ("landed", 2, ())
    assert read_landed(counter.workspace.landing)[0]["_arrived"].unique().tolist() == [counter.now]


def test_landing_a_file_twice_changes_nothing(counter: Counter) -> None:
    first = counter.land(GOOD)
    before = {path: path.read_bytes() for path in counter.workspace.var.rglob("*") if path.is_file()}
    again = counter.land(GOOD)

    assert (again.outcome, again.path) == ("already", first.path)
    assert {path: path.read_bytes() for path in counter.workspace.var.rglob("*") if path.is_file()} == before


def test_a_correction_replaces_rows_with_its_keys(counter: Counter) -> None:
    counter.land(GOOD)
    corrected = counter.land(GOOD.replace("9.5", "7"), correction=True)

    assert corrected.outcome == "landed"
    assert counter.table()["price"].to_dict() == {"1": 7.0, "2": 8.0}


def test_a_correction_says_how_many_of_its_rows_are_new(counter: Counter) -> None:
    counter.land(GOOD)
    corrected = counter.land(GOOD + NEXT.splitlines()[1], correction=True)

    assert corrected.notes == ("1 of 3 rows had not landed before; they were added, as there was nothing to correct",)
    assert counter.land(GOOD.replace("9.5", "7"), correction=True).notes == ()


def test_rows_without_a_key_cannot_be_corrected(counter: Counter, shop_keyless: DataParams) -> None:
    counter.data = shop_keyless

    with pytest.raises(BadInputError, match=r"data\.key"):
        counter.land(GOOD, correction=True)


@pytest.mark.parametrize("correction", [False, True])
def test_arrivals_go_forward(counter: Counter, correction: bool) -> None:  # noqa: FBT001 (a parameter of the case)
    counter.land(GOOD)
    landed = counter.now
    counter.now -= 2 * DAY + (pd.Timedelta(0) if not correction else -DAY)

    with pytest.raises(BadInputError, match=f", {re.escape(str(landed))};"):
        counter.land(NEXT, correction=correction)
    assert len(counter.landed) == 1


# --- labels ---------------------------------------------------------------------------------------

UNLABELLED = GOOD.replace(",9.5", ",").replace(",8\n", ",\n")


def test_labels_landed_as_rows_are_told_how_to_land(counter_later: Counter) -> None:
    counter_later.land(UNLABELLED)
    labels = "order,price,label_time\n2,8,2024-01-03T00:00:00Z\n"
    (fault,) = counter_later.land(labels).faults

    assert "retrim ingest FILE --labels" in fault.cure
    assert counter_later.land(labels, labels=True).outcome == "landed"


def test_labels_that_come_later_fill_their_rows(counter_later: Counter) -> None:
    counter_later.land(UNLABELLED)
    landed = counter_later.land("order,price\n2,8\n", labels=True)

    assert (landed.outcome, landed.kind, landed.rows) == ("landed", "labels", 1)
    assert counter_later.table()["price"].dropna().to_dict() == {"2": 8.0}


def test_a_label_time_is_kept_and_else_is_the_arrival(counter_later: Counter) -> None:
    counter_later.land(UNLABELLED)
    counter_later.land("order,price,label_time\n1,9,2024-01-02T09:00+01:00\n2,8,\n", labels=True)
    labels = read_landed(counter_later.workspace.landing)[1]

    assert labels is not None
    assert labels["label_time"].tolist() == [pd.Timestamp("2024-01-02T08:00Z"), counter_later.now]


def test_a_label_of_an_unknown_row_is_set_aside_and_waits_when_released(counter_later: Counter) -> None:
    counter_later.land(UNLABELLED)
    landed = counter_later.land("order,price\n3,8\n", labels=True)
    assert [fault.rule for fault in landed.faults] == ["is the key of a row that has landed"]

    counter_later.release(landed.batch)
    counter_later.land(NEXT.replace(",9.5", ","))

    assert counter_later.table()["price"].dropna().to_dict() == {"3": 8.0}


def test_a_second_label_of_a_row_needs_a_correction(counter_later: Counter) -> None:
    counter_later.land(UNLABELLED)
    counter_later.land("order,price\n1,9\n", labels=True)

    assert counter_later.land("order,price\n1,7\n", labels=True).outcome == "quarantined"
    assert counter_later.land("order,price\n1,7\n", labels=True, correction=True).outcome == "landed"
    assert counter_later.table()["price"].dropna().to_dict() == {"1": 7.0}


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
def test_bad_labels_are_set_aside(counter_later: Counter, content: str, column: str) -> None:
    counter_later.land(UNLABELLED)
    landed = counter_later.land(content + "\n", labels=True)

    assert landed.outcome == "quarantined"
    assert [fault.column for fault in landed.faults] == [column]
    assert len(counter_later.landed) == 1


def test_the_same_rows_in_other_bytes_are_known_and_one_changed_cell_is_not(counter: Counter) -> None:
    first = counter.land(GOOD)
    again = counter.land("\r\n".join(reversed(GOOD.splitlines()[1:])).join([GOOD.splitlines()[0] + "\r\n", "\r\n"]))
    other = counter.land(GOOD.replace("0.5", "0.25"))

    assert (first.outcome, again.outcome, again.batch) == ("landed", "already", first.batch)
    assert other.outcome == "quarantined"
    assert len(counter.landed) == 1


class TestABinaryTarget:
    @pytest.fixture
    def flagged(self, counter: Counter, shop: DataParams) -> Counter:
        columns = {**shop.model_dump()["columns"], "price": {"type": "category", "role": "target"}}
        changes = {"columns": columns, "task": "binary", "positive": "True", "labels": "later"}
        counter.data = DataParams.model_validate({**shop.model_dump(), **changes})
        (counter.workspace.root / counter.data.suite).write_text('{"name": "none", "expectations": []}')
        counter.land("".join(line.rpartition(",")[0] + "\n" for line in MANY.splitlines()))
        return counter

    def flags(self, counter: Counter) -> dict[str, str]:
        return counter.table()["price"].dropna().to_dict()

    def test_has_two_values(self, flagged: Counter) -> None:
        flagged.land("order,price\n1,True\n2,False\n", labels=True)
        held = flagged.land("order,price\n3,TRUEE\n4,False\n", labels=True)

        assert held.outcome == "quarantined"
        assert held.faults[0].rule == "is 'True' or 'False', because a binary target has two values"
        assert [example.value for example in held.faults[0].examples] == ["TRUEE"]

    def test_that_is_one_class_against_the_rest_has_those_that_are_declared(self, flagged: Counter) -> None:
        target = {"type": "category", "role": "target", "rest": ["no", "maybe"]}
        columns = {**flagged.data.model_dump()["columns"], "price": target}
        flagged.data = DataParams.model_validate({**flagged.data.model_dump(), "columns": columns})

        assert flagged.land("order,price\n1,True\n2,maybe\n", labels=True).outcome == "landed"
        held = flagged.land("order,price\n3,never\n4,no\n", labels=True)
        assert held.faults[0].rule == "is 'True' or 'no' or 'maybe', because a binary target has these values"
        assert "add it to data.columns.price.rest" in held.faults[0].cure

    def test_with_a_third_value_that_was_released_takes_it(self, flagged: Counter) -> None:
        held = flagged.land("order,price\n1,no\n2,no\n3,maybe\n", labels=True)
        flagged.release(held.batch)

        assert flagged.land("order,price\n4,maybe\n", labels=True).outcome == "landed"

    def test_of_stored_booleans_is_spelt_as_the_positive_class(self, flagged: Counter, tmp_path: Path) -> None:
        path = tmp_path / "labels.parquet"
        pd.DataFrame({"order": [1, 2], "price": [True, False]}).to_parquet(path)

        assert flagged.land(path, labels=True).outcome == "landed"
        assert self.flags(flagged) == {"1": "True", "2": "False"}


class TestWithoutAnEventTime:
    """Files of a table whose times are made as it lands."""

    ROWS = 3000

    @pytest.fixture
    def ordered(self, counter: Counter, shop_keyless: DataParams) -> Counter:
        counter.data = shop_keyless
        return counter

    def put(self, counter: Counter, first: int, now: pd.Timestamp) -> Landed:
        """Lands a file of rows that `order` numbers through."""
        lines = [f"{number},0.5,2,NL,9.5\n" for number in range(first, first + self.ROWS)]
        path = counter.file("order,weight,items,country,price\n" + "".join(lines))
        reading = PLAIN.model_copy(update={"arrival": "at"})
        return land_batch(path, **counter.where, reading=reading, now=now, correction=False)

    @pytest.mark.parametrize("apart", ["0s", "1us", "1ms", "1s", "1min"])
    def test_files_stay_in_order_however_close_they_arrive(self, ordered: Counter, apart: str) -> None:
        for number in range(3):
            self.put(ordered, number * self.ROWS, NOW + number * pd.Timedelta(apart))
        rows = read_landed(ordered.workspace.landing)[0].sort_values("at")

        assert rows["at"].is_unique
        assert rows["order"].is_monotonic_increasing
        assert rows["at"].max() - rows["_arrived"].max() <= pd.Timedelta("10ms")

    def test_files_far_apart_keep_a_millisecond_between_rows(self, ordered: Counter) -> None:
        for number in range(2):
            self.put(ordered, number * self.ROWS, NOW + number * DAY)
        times = read_landed(ordered.workspace.landing)[0].sort_values("at")["at"]

        assert times.max() == NOW + DAY
        assert (times.iloc[self.ROWS :].diff().dropna() == APART).all()


# --- overdue --------------------------------------------------------------------------------------


def late_by(counter: Counter, days: float) -> pd.Timedelta | None:
    found = overdue(workspace=counter.workspace, data=counter.data, now=NOW + DAY + days * DAY)
    return None if found is None else found.late


def test_a_batch_is_overdue_when_span_and_grace_are_over(counter: Counter) -> None:
    counter.land(GOOD)

    assert late_by(counter, 8) is None
    assert late_by(counter, 8.5) == 1.5 * DAY


@pytest.mark.parametrize(
    ("gaps", "late"), [((30, 31), None), ((31,), 12 * DAY), ((30, 7, 30), None), ((30, 7, 7), 12 * DAY)]
)
def test_a_batch_that_comes_in_a_longer_rhythm_is_not_overdue(
    gaps: tuple[int, ...], late: pd.Timedelta | None, counter: Counter
) -> None:
    counter.land(GOOD)
    for number, gap in enumerate(gaps, 2):
        counter.now += (gap - 1) * DAY
        counter.land(GOOD.replace("Z,1,", f"Z,{number}1,").replace("Z,2,", f"Z,{number}2,"))
    found = overdue(workspace=counter.workspace, data=counter.data, now=counter.now + 19 * DAY)

    assert (None if found is None else found.late) == late


def test_pieces_of_large_files_are_no_batches_of_a_shorter_rhythm(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    pieces = [
        SimpleNamespace(
            kind="rows", correction=False, digest=f"{week} {n}", of=f"{week}", arrived=NOW + 30 * week * DAY
        )
        for week in range(3)
        for n in range(5)
    ]
    monkeypatch.setattr(Landing, "_all", lambda _: pieces)
    last = pieces[-1].arrived

    assert overdue(workspace=counter.workspace, data=counter.data, now=last + 29 * DAY) is None
    assert overdue(workspace=counter.workspace, data=counter.data, now=last + 40 * DAY) is not None


def test_a_batch_that_came_and_was_quarantined_is_not_said_not_to_have_come(counter: Counter) -> None:
    counter.land(GOOD)
    missing = overdue(workspace=counter.workspace, data=counter.data, now=counter.now + 9 * DAY)
    counter.now += 5 * DAY
    held = counter.land(HEAVY).batch
    came = overdue(workspace=counter.workspace, data=counter.data, now=counter.now + 9 * DAY)
    assert missing is not None
    assert came is not None

    assert missing.text.endswith("has not arrived")
    assert came.text.endswith(f"the batch that arrived is in quarantine: retrim batch show {held}")


def test_what_lay_in_quarantine_before_the_last_batch_is_not_the_batch_that_is_due(counter: Counter) -> None:
    counter.land(HEAVY)
    counter.land(GOOD)
    late = overdue(workspace=counter.workspace, data=counter.data, now=counter.now + 9 * DAY)
    assert late is not None

    assert late.quarantined == ()
