"""Four stations of an air-quality network: several series in one file, judged side by side."""

import numpy as np
import pandas as pd
import pytest

from retrim.profile.rhythm import alike_rows_of_series, series_of
from tests.builders.raw_tables import csv, looked_at, said

STATIONS = ["Elm Road", "Harbour", "Museum", "Ring East"]


def air(*, hours: int = 24 * 40) -> pd.DataFrame:
    """One station after another; the pollutant differs between them, and drifts."""
    rng = np.random.default_rng(7)
    times = pd.date_range("2024-01-20", periods=hours, freq="h")
    every = []
    for place, name in enumerate(STATIONS):
        wind = rng.gamma(2, 2, hours).round(1)
        every.append(
            pd.DataFrame(
                {
                    "event_time": times,
                    "wind": wind,
                    "station": name,
                    "PM2.5": (20 * place - 3 * wind + rng.normal(40, 4, hours)).round(2),
                }
            )
        )
    return pd.concat(every, ignore_index=True)


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
