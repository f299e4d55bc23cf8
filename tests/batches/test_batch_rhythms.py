"""Real batches of another rhythm than the history's and season land; what contradicts the clock does not."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from retrim.batches.columns import constant_concern
from retrim.batches.verdict import BatchVerdict, History, look_at
from retrim.table.data import DataParams
from tests.batches.test_batches import DATA as STATIONS

START, HOUR = pd.Timestamp("2022-01-01", tz="UTC"), pd.Timedelta("1h")
COLUMNS = {
    "at": {"type": "time", "role": "time"},
    "month": {"type": "integer", "role": "feature"},
    "weekday": {"type": "category", "role": "feature"},
    "smoke": {"type": "number", "role": "feature"},
    "visitors": {"type": "number", "role": "target"},
}
DATA = DataParams.model_validate({**STATIONS.model_dump(), "columns": COLUMNS})


def hours(first: str, last: str) -> pd.DataFrame:
    """A row an hour. Smoke is three times as thick in January as in July, and no day is like another."""
    at = pd.Series(pd.date_range(first, last, freq="1h", tz="UTC", inclusive="left"))
    draw = np.random.default_rng([*first.encode()])
    season = 2 + np.cos((at.dt.day_of_year - 15) / 365.25 * 2 * np.pi)
    day = draw.lognormal(0, 0.2, len(at) // 24 + 1).repeat(24)[: len(at)]
    return pd.DataFrame(
        {
            "at": at,
            "month": at.dt.month.astype("float64"),
            "weekday": at.dt.day_name().str[:3].astype("str"),
            "smoke": 20 * season * day * draw.lognormal(0, 0.5, len(at)),
            "visitors": draw.normal(300, 40, len(at)),
        }
    )


def verdict(
    batch: pd.DataFrame, past: pd.DataFrame, *, every: str = "14D", late: str = "1h", skip: tuple[str, ...] = ()
) -> BatchVerdict:
    """The verdict on a batch, `late` after its end, that follows a history which landed in files of `every`."""
    files = [rows for _, rows in past.groupby((past["at"] - past["at"].iloc[0]) // pd.Timedelta(every))]
    ends, counts = [rows["at"].max() for rows in files], [len(rows) for rows in files]
    history = History(past, ends, [HOUR] * len(ends), counts)
    return look_at(batch, history, DATA, arrives=batch["at"].max() + pd.Timedelta(late), skip=skip)


YEAR = hours("2022-01-01", "2023-01-01")


@pytest.mark.parametrize("months", [5, 12])
def test_a_calendar_month_has_one_month(months: int) -> None:
    past = YEAR[YEAR["month"] <= months]
    batch = hours(str(past["at"].max() + HOUR)[:19], str(past["at"].max() + 29 * 24 * HOUR)[:19])

    assert verdict(batch, past).kind != "broken"
    assert not [each for each in verdict(batch, past).concerns if each.column in ("month", "weekday")]


def test_a_month_counted_with_its_year_goes_on_in_january() -> None:
    past, january = (
        rows.assign(month=(100 * rows["at"].dt.year + rows["at"].dt.month).astype("float64"))
        for rows in (YEAR, hours("2023-01-01", "2023-02-01"))
    )

    assert verdict(january, past).kind != "broken"


def test_a_new_quarter_is_no_change_of_unit() -> None:
    past, july = (
        rows.assign(month=rows["at"].dt.quarter.astype("float64"))
        for rows in (YEAR[YEAR["month"] <= 6], YEAR[YEAR["month"] == 7])
    )

    assert not [each for each in verdict(july, past).concerns if each.column == "month"]


def test_a_spell_nearly_as_long_as_earlier_ones_is_not_a_constant_column() -> None:
    spells = [pd.Series([0.0] * 60 + [1.0] * 40)] * 4
    mixed = [pd.Series([0.0, 1.0] * 50)] * 4
    dry = pd.Series([0.0] * 70)

    assert constant_concern("rain", dry, spells) is None
    assert constant_concern("rain", dry, mixed) is not None


@pytest.mark.parametrize("late", ["1h", "40D"])
@pytest.mark.parametrize("long", [1, 24, 168])
def test_files_that_come_more_often_are_whole(long: int, late: str) -> None:
    batch = hours("2023-01-01", str(START + pd.Timedelta("365D") + long * HOUR)[:19])

    assert verdict(batch, YEAR, late=late).kind != "broken"


def test_an_hour_after_files_of_a_fortnight_is_ok() -> None:
    assert verdict(hours("2023-01-01", "2023-01-01T01:00"), YEAR).kind == "ok"


def test_a_load_that_comes_when_it_is_due_and_stops_early_is_broken() -> None:
    batch = hours("2023-01-01", "2023-01-15").iloc[:30]
    found = verdict(batch, YEAR.iloc[: 26 * 336], late="12D")

    assert (found.kind, found.concerns[0].check) == ("broken", "cut short")


def test_a_winter_three_times_as_smoky_is_no_change_of_unit() -> None:
    summer = hours("2022-05-01", "2022-08-28")
    batch = hours("2022-08-28", "2022-09-04").assign(smoke=lambda rows: rows["smoke"] * 3.2)

    assert verdict(batch, summer).kind != "broken"


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows.assign(month=rows["month"] * 1000),
        lambda rows: rows.assign(month=-rows["month"]),
        lambda rows: rows.assign(weekday="Mon"),
        lambda rows: rows.assign(weekday=rows["weekday"].map({"Mon": "1", "Tue": "2"}).fillna("9")),
    ],
    ids=["times 1000", "the other sign", "one weekday", "codes"],
)
def test_a_column_that_does_not_say_what_the_clock_does_breaks_the_batch(
    change: Callable[[pd.DataFrame], pd.DataFrame],
) -> None:
    found = verdict(change(hours("2023-01-01", "2023-01-15")), YEAR)

    assert (found.kind, found.concerns[0].check) == ("broken", "clock")


def test_a_clock_that_is_an_hour_off_is_suspicious() -> None:
    def told(rows: pd.DataFrame, hours_off: int) -> pd.DataFrame:
        return rows.assign(month=((rows["at"].dt.hour + hours_off) % 24).astype("float64"))

    found = verdict(told(hours("2023-01-01", "2023-01-15"), 1), told(YEAR, 0))

    assert (found.kind, found.concerns[0].check) == ("suspicious", "clock")


def test_columns_show_the_clocks_of_their_zone() -> None:
    def told(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(month=rows["at"].dt.tz_convert("Europe/Berlin").dt.hour.astype("float64"))

    past, batch = told(hours("2022-04-01", "2022-10-25")), told(hours("2022-11-01", "2022-11-08"))
    history = History(past, [past["at"].max()], [HOUR], [len(past)])
    arrives = batch["at"].max() + HOUR

    assert look_at(batch, history, DATA, arrives=arrives, zone="Europe/Berlin").kind == "ok"
    assert look_at(batch, history, DATA, arrives=arrives).kind == "suspicious"


@pytest.mark.slow
def test_what_an_earlier_window_was_like_too_is_only_suspicious() -> None:
    batch = hours("2023-01-01", "2023-01-08").assign(visitors=lambda rows: rows["visitors"] / 100)
    slack = YEAR.assign(visitors=YEAR["visitors"].mask(YEAR["at"].dt.month == 8, YEAR["visitors"] / 100))

    assert verdict(batch, YEAR).kind == "broken"
    assert verdict(batch, slack).kind == "suspicious"


@pytest.mark.slow
def test_a_column_that_was_missing_or_stood_still_before_may_do_so_again() -> None:
    batch, august = hours("2023-01-01", "2023-01-08"), YEAR["at"].dt.month == 8
    still = YEAR.assign(visitors=YEAR["visitors"].mask(august, 0.0))
    missing = YEAR.assign(visitors=YEAR["visitors"].mask(august))

    assert verdict(batch.assign(visitors=0.0), YEAR).kind == "broken"
    assert verdict(batch.assign(visitors=0.0), still).kind != "broken"
    assert verdict(batch.assign(visitors=np.nan), YEAR).kind == "broken"
    assert verdict(batch.assign(visitors=np.nan), missing).kind != "broken"


def test_a_window_without_values_hides_no_unit() -> None:
    august = YEAR["at"].dt.month == 8
    past = YEAR.assign(visitors=YEAR["visitors"].mask(august))
    batch = hours("2023-01-01", "2023-01-08").assign(visitors=lambda rows: rows["visitors"] * 1000)

    assert verdict(batch, past).kind == "broken"


@pytest.mark.slow
def test_a_skipped_column_or_check_says_nothing() -> None:
    batch = hours("2023-01-01", "2023-01-08").assign(smoke=np.nan)

    assert verdict(batch, YEAR).concerns[0].setting == "batches.skip: [smoke]"
    assert verdict(batch, YEAR, skip=("smoke",)).kind == "ok"
    cut = hours("2023-01-01", "2023-01-15").iloc[:30]
    past = YEAR.iloc[: 26 * 336]
    assert verdict(cut, past, late="12D").concerns[0].setting == "batches.skip: [cut short]"
    assert verdict(cut, past, late="12D", skip=("cut short",)).kind == "ok"


ARRIVALS = {
    "booked": {"type": "time", "role": "time"},
    "arrival_month": {"type": "category", "role": "feature"},
    "arrival_week": {"type": "integer", "role": "feature"},
    "price": {"type": "number", "role": "feature"},
    "cancelled": {"type": "integer", "role": "target"},
}


def bookings(first: str, days: int, *, arrive_by: str = "2030-01-01") -> pd.DataFrame:
    """Sixty bookings a day for arrivals within half a year; of those that arrive by a day the table has rows."""
    draw = np.random.default_rng([*first.encode()])
    booked = pd.Timestamp(first, tz="UTC") + pd.to_timedelta(np.sort(draw.uniform(0, days, 60 * days)), unit="D")
    arrives = pd.Series(booked + pd.to_timedelta(draw.uniform(0, 180, len(booked)), unit="D"))
    rows = pd.DataFrame(
        {
            "booked": booked,
            "arrival_month": arrives.dt.month_name().astype("str"),
            "arrival_week": arrives.dt.isocalendar()["week"].astype("float64"),
            "price": draw.normal(100, 15, len(booked)),
            "cancelled": draw.integers(0, 2, len(booked)).astype("float64"),
        }
    )
    return rows[(arrives < pd.Timestamp(arrive_by, tz="UTC")).to_numpy()].reset_index(drop=True)


def verdict_on_bookings(batch: pd.DataFrame) -> BatchVerdict:
    past = bookings("2022-01-01", 500)
    data = DataParams.model_validate({**STATIONS.model_dump(), "columns": ARRIVALS, "key": []})
    days = past["booked"].dt.floor("14D")
    ends, counts = past.groupby(days)["booked"].max().tolist(), past.groupby(days).size().tolist()
    history = History(past, ends, [HOUR] * len(ends), counts)
    return look_at(batch, history, data, arrives=batch["booked"].max() + 30 * 24 * HOUR)


@pytest.mark.slow
def test_a_month_that_the_week_beside_it_says_is_not_stuck() -> None:
    """The table ends with the arrivals of June, so all that were booked in June arrive in June."""
    found = verdict_on_bookings(bookings("2023-06-01", 21, arrive_by="2023-07-01"))

    assert found.kind != "broken"
    assert "constant" not in {concern.check for concern in found.concerns if concern.verdict == "broken"}


def test_a_month_that_the_week_beside_it_contradicts_is_stuck() -> None:
    found = verdict_on_bookings(bookings("2023-06-01", 14).assign(arrival_month="June"))

    assert (found.kind, found.concerns[0].check, found.concerns[0].column) == ("broken", "constant", "arrival_month")


@pytest.mark.slow
def test_a_month_and_a_week_that_are_stuck_together_do_not_excuse_each_other() -> None:
    found = verdict_on_bookings(bookings("2023-06-01", 14).assign(arrival_month="June", arrival_week=24.0))

    assert found.kind == "broken"
    assert {concern.column for concern in found.concerns if concern.check == "constant"} == {
        "arrival_month",
        "arrival_week",
    }


def test_a_late_file_of_one_month_may_have_one_month() -> None:
    """A year of rows in which no month came twice: the days of the event time say which month it is."""
    named = YEAR.assign(weekday=YEAR["at"].dt.month_name().astype("str"))
    past, others = named.iloc[::4], named[named.index % 4 != 0]
    march, stuck = others[others["month"] == 3].iloc[:400], others.iloc[-400:].assign(weekday="March")

    assert "weekday" not in {concern.column for concern in verdict(march, past, late="300D").concerns}
    assert verdict(stuck, past).concerns[0].column == "weekday"
    assert verdict(stuck, past).kind == "broken"
