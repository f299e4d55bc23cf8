"""A time that lies after its arrival, and a label that was due before its event, are faults of their rows."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.landing import ingest
from retrim.landing.ingest import Landed, land_batch
from retrim.table.data import DataParams
from tests.builders.counter import DAY, GOOD, HEADER, NOW, Counter
from tests.builders.raw_tables import csv, hours, looked_at, table
from tests.conftest import SHOP

# Handed in when 2024-01-10 begins: see Counter.
AHEAD = HEADER + "2024-01-10T00:30:00Z,3,0.5,2,NL,9.5\n{at},4,0.5,2,NL,9.5\n"


def with_data(counter: Counter, **changes: Any) -> Counter:
    counter.data = DataParams.model_validate({**SHOP, **changes})
    return counter


def with_due(counter: Counter) -> Counter:
    return with_data(counter, columns={**SHOP["columns"], "due": {"type": "time", "role": "due"}}, label_horizon=None)


def told(landed: Landed) -> list[tuple[str, int, bool, int | None, str]]:
    """Column, count, whether it can be released, first row and value of each fault."""
    return [
        (each.column, each.count, each.releasable, each.examples[0].row, each.examples[0].value)
        for each in landed.faults
    ]


@pytest.mark.parametrize("at", ["2099-01-01T00:00:00Z", "2025-01-02T11:00:00Z", "2024-01-10T01:00:01Z"])
def test_an_event_later_than_its_arrival_is_a_fault_of_its_row(counter: Counter, at: str) -> None:
    landed = counter.land(AHEAD.format(at=at))

    assert landed.outcome == "quarantined"
    assert told(landed) == [("at", 1, False, 1, str(pd.Timestamp(at)))]
    assert landed.faults[0].examples[0].key == "4"
    assert "reading.zone" in landed.faults[0].cure
    assert "data.times_ahead" in landed.faults[0].cure


def test_a_clock_that_is_a_little_behind_is_no_fault(counter: Counter) -> None:
    assert counter.land(AHEAD.format(at="2024-01-10T01:00:00Z")).outcome == "landed"


def test_a_batch_of_next_year_does_not_land(counter: Counter) -> None:
    landed = counter.land(GOOD.replace("2024", "2025"))

    assert (landed.outcome, landed.faults[0].count) == ("quarantined", 2)


def test_rows_that_are_known_ahead_land_where_that_is_declared(counter: Counter) -> None:
    two_days = {**SHOP, "times_ahead": "2D"}
    counter.data = DataParams.model_validate(two_days)

    assert counter.land(AHEAD.format(at="2024-01-11T23:00:00Z")).outcome == "landed"
    assert counter.land(AHEAD.format(at="2024-01-15T00:00:00Z").replace(",3,", ",5,")).outcome == "quarantined"


def test_a_label_time_later_than_its_arrival_is_a_fault_of_its_row(counter_later: Counter) -> None:
    counter_later.land(GOOD)
    late = "2030-01-01T00:00:00Z"
    landed = counter_later.land(f"order,price,label_time\n1,9.5,2024-01-02\n2,8,{late}\n", labels=True)

    assert landed.outcome == "quarantined"
    assert told(landed) == [("label_time", 1, False, 1, str(pd.Timestamp(late)))]


def test_a_due_time_before_its_event_is_a_fault_of_its_row(counter: Counter) -> None:
    with_due(counter)
    lines = GOOD.splitlines()
    landed = counter.land(f"{lines[0]},due\n{lines[1]},2024-01-01T10:00:00Z\n{lines[2]},2024-01-01T10:59:59Z\n")

    assert landed.outcome == "quarantined"
    assert told(landed) == [("due", 1, False, 1, "2024-01-01 10:59:59+00:00")]


def test_what_was_ahead_lands_when_it_is_offered_once_its_time_has_come(counter: Counter) -> None:
    content = AHEAD.format(at="2024-01-12T00:00:00Z")
    held = counter.land(content)
    counter.now += 2 * DAY

    assert held.outcome == "quarantined"
    assert counter.land(content).outcome == "landed"


def test_what_was_ahead_of_a_slow_clock_lands_by_the_clock_once_that_is_right(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, outcomes = counter.file(AHEAD.format(at="2024-01-11T00:00:00Z")), []
    for moment in (NOW, NOW + 3 * DAY):
        monkeypatch.setattr(ingest, "clock", lambda moment=moment: moment)
        outcomes.append(land_batch(file, **counter.where, now=None, correction=False).outcome)

    assert outcomes == ["quarantined", "landed"]


def test_init_leaves_out_what_would_not_land() -> None:
    at = hours().mask(np.arange(len(hours())) == 7, pd.Timestamp("2099-01-01", tz="UTC"))
    due = (at + pd.Timedelta("1D")).mask(np.arange(len(at)) == 9, pd.Timestamp("2023-01-01", tz="UTC"))
    drafted = looked_at(csv(table(at=at, due=due)), event_time="at", label_due="due")

    misplaced = [(note.column, note.seen.split()[0]) for note in drafted.notes if note.about == "misplaced"]
    assert misplaced == [("at", "1"), ("due", "1")]
    assert not set(drafted.frame["_row"]) & {7, 9}
    assert len(drafted.frame) == len(at) - 2


def test_init_of_a_forecast_lets_a_batch_come_ahead() -> None:
    drafted = looked_at(csv(table(at=hours(every="1h"))), event_time="at", ahead="24h", known_ahead=("weather",))

    assert pd.Timedelta(drafted.data.times_ahead) == pd.Timedelta(drafted.data.batch_every)
