"""The hour that comes twice in autumn: two rows of it are two rows, told apart by their order."""

from typing import Any

import pandas as pd
import pytest

from retrim.files import WorkspacePaths
from retrim.landing.ingest import Landed, land_batch
from retrim.table.data import DataParams
from retrim.table.reading import PLAIN, ReadingParams
from tests.builders.landed import read_landed
from tests.conftest import SHOP

NOW = pd.Timestamp("2024-11-10", tz="UTC")
BERLIN = PLAIN.model_copy(update={"zone": "Europe/Berlin"})
# Clocks in Berlin went from 03:00 back to 02:00 on 2024-10-27, which is 01:00 UTC.
HOURS = ("01:00", "02:00", "02:00", "03:00")
UTC = ("2024-10-26T23:00", "2024-10-27T00:00", "2024-10-27T01:00", "2024-10-27T02:00")
QUARTERS = tuple(f"02:{minute:02d}" for minute in (0, 15, 30, 45))


class Hand:
    """Hands files in whose times are those of clocks in Berlin."""

    def __init__(self, workspace: WorkspacePaths, data: DataParams, reading: ReadingParams) -> None:
        self.workspace, self.data, self.reading, self.now = workspace, data, reading, NOW

    def land(self, frame: pd.DataFrame, *, labels: bool = False, correction: bool = False) -> Landed:
        self.now += pd.Timedelta("1h")
        path = self.workspace.root / "batch.csv"
        frame.to_csv(path, index=False)
        how: dict[str, Any] = {"workspace": self.workspace, "data": self.data, "reading": self.reading}
        return land_batch(path, "labels" if labels else "rows", now=self.now, correction=correction, **how)

    def times(self) -> list[str]:
        """Events of what has landed, in the order in which it lies there."""
        rows, _ = read_landed(self.workspace.landing)
        return [f"{time:%Y-%m-%dT%H:%M}" for time in rows["at"]]

    def values(self, column: str = "weight") -> dict[str, Any]:
        """A column by event time, the newest arrival of each."""
        rows, _ = read_landed(self.workspace.landing)
        return {f"{time:%Y-%m-%dT%H:%M}": value for time, value in zip(rows["at"], rows[column], strict=True)}

    def labels(self) -> dict[str, float]:
        _, found = read_landed(self.workspace.landing)
        assert found is not None
        return {key[:16]: price for key, price in zip(found["_key"], found["price"], strict=True)}


def hand(workspace: WorkspacePaths, *, reading: ReadingParams = BERLIN, **changes: Any) -> Hand:
    return Hand(workspace, DataParams.model_validate({**SHOP, "key": ["at"], **changes}), reading)


@pytest.fixture
def berlin(shop_workspace: WorkspacePaths) -> Hand:
    return hand(shop_workspace)


def rows(*walls: str, day: str = "2024-10-27", country: str = "NL", first: int = 0, **columns: Any) -> pd.DataFrame:
    """A row for each time of clocks on a day; `weight` numbers them."""
    frame = pd.DataFrame({"at": [f"{day} {wall}:00" for wall in walls]})
    frame["order"] = range(first, first + len(walls))
    return frame.assign(weight=frame["order"], items=1, country=country, price=9.5, **columns)


def test_two_rows_of_that_hour_are_two_rows(berlin: Hand) -> None:
    landed = berlin.land(rows(*HOURS))

    assert (landed.outcome, landed.faults) == ("landed", ())
    assert berlin.times() == list(UTC)


def test_a_source_that_sorts_by_local_time_is_told_apart_by_the_order_of_equal_ones(berlin: Hand) -> None:
    berlin.land(rows("01:45", *sorted(QUARTERS * 2), "03:00"))

    assert len(set(berlin.times())) == 10
    assert berlin.values()["2024-10-27T00:15"] == 3
    assert berlin.values()["2024-10-27T01:15"] == 4


@pytest.mark.parametrize("by", ["at", "country"])
def test_rows_of_several_series_are_told_apart_each_by_itself(shop_workspace: WorkspacePaths, by: str) -> None:
    berlin = hand(shop_workspace, key=["country", "at"])
    both = pd.concat([rows(*HOURS), rows(*HOURS, country="DE", first=4)])
    landed = berlin.land(both.sort_values(by, kind="stable"))

    assert landed.outcome == "landed"
    assert sorted(berlin.times()) == sorted(UTC * 2)


@pytest.mark.parametrize("by", ["at", "country"])
def test_rows_without_a_key_are_told_apart_where_every_hour_has_as_many(
    shop_workspace: WorkspacePaths, by: str
) -> None:
    berlin = hand(shop_workspace, key=[])
    both = pd.concat([rows("00:00", *HOURS, "04:00"), rows("00:00", *HOURS, "04:00", country="DE", first=6)])
    berlin.land(both.sort_values(by, kind="stable"))

    assert [berlin.times().count(time) for time in UTC] == [2, 2, 2, 2]


def test_a_time_that_names_its_offset_is_taken_as_it_stands(berlin: Hand) -> None:
    offsets = ("+02:00", "+01:00", "+02:00", "+01:00")
    told = [f"2024-10-27T{wall}:00{offset}" for wall, offset in zip(HOURS, offsets, strict=True)]
    berlin.land(rows(*HOURS).assign(at=told))

    assert berlin.values() == {UTC[0]: 0, UTC[2]: 1, UTC[1]: 2, UTC[3]: 3}


def test_stored_times_are_told_apart_too(berlin: Hand) -> None:
    frame = rows(*HOURS)
    path = berlin.workspace.root / "batch.parquet"
    frame.assign(at=pd.to_datetime(frame["at"])).to_parquet(path)
    how: dict[str, Any] = {"workspace": berlin.workspace, "data": berlin.data, "reading": berlin.reading}

    assert land_batch(path, now=NOW, correction=False, **how).outcome == "landed"
    assert berlin.times() == list(UTC)


def test_the_second_hour_may_come_in_a_file_of_its_own(berlin: Hand) -> None:
    outcomes = [berlin.land(rows(wall, first=number)).outcome for number, wall in enumerate(HOURS)]

    assert outcomes == ["landed"] * 4
    assert berlin.values() == dict(zip(UTC, range(4), strict=True))


def test_a_third_row_of_that_hour_is_there_twice(berlin: Hand) -> None:
    berlin.land(rows(*HOURS))

    assert berlin.land(rows("02:00", first=9)).outcome == "quarantined"


def test_labels_of_that_hour_go_to_the_row_of_their_place(shop_workspace: WorkspacePaths) -> None:
    berlin = hand(shop_workspace, labels="later")
    berlin.land(rows(*HOURS).drop(columns="price"))
    landed = berlin.land(pd.DataFrame({"at": rows(*HOURS)["at"], "price": [1, 2, 3, 4]}), labels=True)

    assert landed.outcome == "landed"
    assert berlin.labels() == dict(zip(UTC, [1, 2, 3, 4], strict=True))


def test_a_correction_of_both_rows_replaces_both(berlin: Hand) -> None:
    berlin.land(rows(*HOURS))
    landed = berlin.land(rows("02:00", "02:00", first=7), correction=True)

    assert landed.outcome == "landed"
    assert (berlin.values()[UTC[1]], berlin.values()[UTC[2]]) == (7, 8)


def test_a_correction_of_one_of_the_two_has_to_say_which(berlin: Hand) -> None:
    berlin.land(rows(*HOURS))
    landed = berlin.land(rows("02:00", first=7), correction=True)
    offset = rows("02:00", first=7).assign(at="2024-10-27T02:00:00+01:00")

    assert (landed.outcome, landed.faults[0].column, landed.faults[0].count) == ("quarantined", "at", 1)
    assert "+" in landed.faults[0].cure
    assert berlin.land(offset, correction=True).outcome == "landed"
    assert (berlin.values()[UTC[1]], berlin.values()[UTC[2]]) == (1, 7)


def test_a_label_that_was_due_in_that_hour_is_due_after_its_event(shop_workspace: WorkspacePaths) -> None:
    columns = {**SHOP["columns"], "due": {"type": "time", "role": "due"}}
    berlin = hand(shop_workspace, columns=columns, label_horizon=None)
    landed = berlin.land(rows(*HOURS, due=["2024-10-27 02:00"] * 3 + ["2024-10-27 03:00"]))
    found, _ = read_landed(shop_workspace.landing)

    assert landed.outcome == "landed"
    assert [f"{time:%H:%M}" for time in found["due"]] == ["00:00", "00:00", "01:00", "02:00"]


def test_an_hour_that_no_clock_showed_is_a_fault_that_says_so(berlin: Hand) -> None:
    landed = berlin.land(rows("01:30", "02:30", "03:30", day="2024-03-31"))
    (fault,) = landed.faults

    assert landed.outcome == "quarantined"
    assert (fault.column, fault.count, fault.examples[0].row) == ("at", 1, 1)
    assert "Europe/Berlin" in fault.rule
    assert "reading.zone" in fault.cure
