"""Four stations of an air-quality network: time in parts, several series in one file, judged side by side."""

import numpy as np
import pandas as pd
import pytest

from retrim.profile.columns_of_raw import series_of
from retrim.profile.rhythm import alike_rows_of_series
from retrim.reading.table import read_content
from tests.builders.raw_tables import csv, looked_at, said

STATIONS = ["Elm Road", "Harbour", "Museum", "Ring East"]


def air(*, hours: int = 24 * 40, months: str = "number") -> pd.DataFrame:
    """One station after another; the pollutant differs between them, and drifts."""
    rng = np.random.default_rng(7)
    times = pd.date_range("2024-01-20", periods=hours, freq="h")
    every = []
    for place, name in enumerate(STATIONS):
        wind = rng.gamma(2, 2, hours).round(1)
        every.append(
            pd.DataFrame(
                {
                    "year": times.year,
                    "month": times.month if months == "number" else times.month_name(),
                    "day": times.day,
                    "hour": times.hour,
                    "wind": wind,
                    "station": name,
                    "PM2.5": (20 * place - 3 * wind + rng.normal(40, 4, hours)).round(2),
                }
            )
        )
    return pd.concat(every, ignore_index=True)


@pytest.mark.slow
@pytest.mark.parametrize("months", ["number", "name"])
def test_time_in_parts_is_put_together_and_read_so_by_landing(months: str) -> None:
    content = csv(air(months=months))
    drafted = looked_at(content, target="PM2.5")
    read = read_content(content, drafted.data, labels=False, reading=drafted.reading)

    assert drafted.reading.parts == {"event_time": {"year": "year", "month": "month", "day": "day", "hour": "hour"}}
    assert read.faults == ()
    assert read.frame is not None
    assert read.frame["event_time"].to_list() == drafted.frame["event_time"].to_list()
    assert read.frame["event_time"].iloc[-1] == pd.Timestamp("2024-02-28T23:00", tz="UTC")


@pytest.mark.slow
def test_parts_of_the_event_time_are_no_features() -> None:
    drafted = looked_at(csv(air()), target="PM2.5")

    assert not {"year", "month", "day", "hour"} & set(drafted.data.columns)
    assert "hour of event" in drafted.data.features


@pytest.mark.slow
def test_a_part_that_is_asked_for_is_a_feature() -> None:
    drafted = looked_at(csv(air()), target="PM2.5", keep=("hour",))

    assert "hour" in drafted.data.features
    assert "hour of event" not in drafted.data.features


@pytest.mark.slow
def test_a_time_in_parts_beside_a_time_is_not_taken_and_may_be_the_due_one() -> None:
    frame = air().rename(columns={"year": "ArrivalYear", "month": "ArrivalMonth", "day": "ArrivalDayOfMonth"})
    times = pd.date_range("2024-01-01", periods=len(STATIONS) * 24 * 40, freq="min").astype("str")
    frame = frame.drop(columns=["hour", "station"]).assign(booked=times)

    assert "--label-due 'Arrival'" in said(looked_at(csv(frame), target="PM2.5"), "parts")

    drafted = looked_at(csv(frame), target="PM2.5", label_due="Arrival")

    assert (drafted.data.due, drafted.data.time) == ("Arrival", "booked")
    assert "ArrivalMonth" in drafted.data.features


@pytest.mark.parametrize("wrong", [{"day": 31}, {"year": 9}])
def test_columns_that_make_no_day_are_left_as_they_are(wrong: dict[str, int]) -> None:
    drafted = looked_at(csv(air().assign(**wrong)), target="PM2.5")

    assert drafted.reading.parts == {}
    assert "hour" in drafted.data.features


@pytest.mark.slow
def test_series_and_time_name_the_row() -> None:
    drafted = looked_at(csv(air()), target="PM2.5")

    assert drafted.data.key == ("station", "event_time")
    assert "4 parallel series" in said(drafted, "series")


@pytest.mark.slow
def test_each_series_is_judged_by_its_newest_rows() -> None:
    drafted = looked_at(csv(air()), target="PM2.5")
    judged = drafted.frame.sort_values("event_time", kind="stable").iloc[-400:]

    assert judged["station"].value_counts().to_dict() == dict.fromkeys(STATIONS, 100)


@pytest.mark.slow
def test_a_forecast_takes_its_past_from_the_same_series() -> None:
    drafted = looked_at(csv(air()), target="PM2.5", ahead="6h")

    assert drafted.data.history.entity == ("station",)


def test_lines_of_an_order_are_no_series() -> None:
    rng = np.random.default_rng(7)
    lines = rng.integers(1, 9, 200)
    time = pd.Series(np.repeat(np.arange(200), lines))
    line = pd.Series(np.concatenate([np.arange(many) for many in lines]))

    assert series_of(time, {"line": line}) == ()


def test_two_columns_may_tell_series_apart() -> None:
    pairs = pd.MultiIndex.from_product([range(50), ["a", "b"], ["x", "y", "z"]]).to_frame(index=False)

    assert series_of(pairs[0], {"shop": pairs[1], "item": pairs[2]}) == ("shop", "item")


def test_errors_alike_for_hours_are_so_in_rows_of_all_series() -> None:
    rng = np.random.default_rng(7)
    shared = np.repeat(rng.normal(size=100), 10)  # alike for ten hours, in twelve series
    event = pd.Series(np.repeat(np.arange(1000), 12))
    losses = np.repeat(shared, 12) + rng.normal(scale=0.3, size=12_000)

    assert 60 <= alike_rows_of_series(losses, event, most=600) <= 180


def test_a_table_with_a_row_a_time_is_one_series() -> None:
    time = pd.Series(pd.date_range("2024-01-01", periods=500, freq="h"))

    assert series_of(time, {"weather": pd.Series(["dry", "rain"] * 250)}) == ()
