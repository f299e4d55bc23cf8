"""A season that the reference holds several times is no drift; one that it does not hold is said."""

import numpy as np
import pandas as pd
import pytest

from retrim.drift.calibration import calibrate
from retrim.drift.profile import Profile, ProfileParams, make_profile
from retrim.drift.season import block_waves, waves_of
from retrim.drift.watched import watch
from retrim.table.data import ColumnType
from tests.builders.alarm_rates import verify

PARAMS = ProfileParams()
KINDS: dict[str, ColumnType] = {"warm": "number", "calm": "number", "sky": "category"}
ROWS, RATE = 14 * 8, 0.04


def rows(days: int, *, seed: int = 1, first: str = "2015-01-01") -> pd.DataFrame:
    """Eight rows a day: warm by day and in summer, with weather that lasts; calm has no season; sky follows warm."""
    draw = np.random.default_rng(seed)
    at = pd.Series(pd.date_range(first, periods=8 * days, freq="3h", tz="UTC"))
    turn = 2 * np.pi * np.asarray((at - pd.Timestamp(0, tz="UTC")) / pd.Timedelta("365.25D"))
    weather = np.convolve(draw.normal(0, 1, len(at) + 24), np.ones(25) / 5, "valid")
    warm = 10 * np.sin(turn) + 3 * np.sin(2 * np.pi * at.dt.hour / 24) + weather + draw.normal(0, 1, len(at))
    calm = np.convolve(draw.normal(0, 1, len(at) + 8), np.ones(9) / 3, "valid")
    sky = pd.Series(np.where(warm + draw.normal(0, 4, len(at)) > 4, "clear", "cloud"), dtype="str")
    return pd.DataFrame({"_event": at, "warm": warm, "calm": calm, "sky": sky})


def profile(days: int, *, seed: int = 1) -> Profile:
    return make_profile(rows(days, seed=seed), KINDS, PARAMS, time="_event")


FOUR_YEARS = profile(4 * 365)


def test_columns_with_a_season_have_one_and_others_do_not() -> None:
    watched = watch(FOUR_YEARS)
    location = watched.name == "location"
    assert watched.season is not None

    assert watched.season.has[location].tolist() == [True, False]


def test_a_season_that_came_less_than_three_times_is_not_taken_out() -> None:
    assert watch(profile(2 * 365)).season is None


def alarms(first: str, *, warmer: float = 0.0) -> list[str]:
    window = rows(14, seed=5, first=first).assign(warm=lambda made: made["warm"] + warmer)
    counts = {name: column.of(window[name]).rows for name, column in FOUR_YEARS.columns.items()}
    judged = calibrate(watch(FOUR_YEARS), rows=ROWS, draws=1000, seed=1)
    found = judged.judge(counts, rate=0.02, waves=waves_of(window["_event"]).mean(axis=0))
    return [alarm.column for alarm in found if alarm.alarmed]


@pytest.mark.parametrize("first", ["2019-01-10", "2019-07-10"])
def test_a_window_is_held_against_its_time_of_year(first: str) -> None:
    assert alarms(first) == []


def test_warmth_of_summer_in_winter_is_drift() -> None:
    assert "warm" in alarms("2019-01-10", warmer=6.0)


def test_verification_says_whether_a_season_was_taken_out() -> None:
    long, short = (
        verify(history, rows=ROWS, rate=RATE, draws=1000, splits=6, checks=50, seed=3)
        for history in (FOUR_YEARS, profile(2 * 365))
    )

    assert (long.season, short.season) == (True, False)
    assert long.achieved <= 1.5 * RATE


def test_the_waves_of_blocks_are_those_of_their_rows() -> None:
    made = rows(400)
    blocks = make_profile(made, KINDS, PARAMS, time="_event").blocks

    assert np.average(block_waves(blocks), axis=0, weights=blocks["rows"]) == pytest.approx(
        waves_of(made["_event"]).mean(axis=0), abs=0.01
    )
