"""Verdicts on columns that are mostly 0 or mostly missing: rain an hour, the name of a holiday."""

import numpy as np
import pandas as pd
import pytest

from retrim.batches.numbers import NumericColumn
from retrim.batches.verdict import BatchVerdict, History, look_at
from retrim.table.data import DataParams

START, HOUR = pd.Timestamp("2024-01-01", tz="UTC"), pd.Timedelta("1h")
DATA = DataParams.model_validate(
    {
        "model": "roads",
        "columns": {
            "at": {"type": "time", "role": "time"},
            "rain": {"type": "number", "role": "feature"},
            "holiday": {"type": "category", "role": "feature"},
            "cars": {"type": "number", "role": "target"},
        },
        "task": "regression",
        "label_horizon": "1h",
        "batch_every": "7D",
        "suite": "none.json",
    }
)
WEEK, WEEKS = 168, 12


def hours(week: int, *, wet: float, heavy: float) -> pd.DataFrame:
    """A week: it rains in a share `wet` of its hours, `heavy` mm on average; its third day has a name of its own."""
    draw = np.random.default_rng(week)
    t = np.arange(week * WEEK, (week + 1) * WEEK)
    holiday = pd.Series(pd.NA, index=range(WEEK), dtype="str")
    holiday.iloc[48] = f"day {week}"
    return pd.DataFrame(
        {
            "at": START + pd.to_timedelta(t, unit="h"),
            "rain": np.where(draw.random(WEEK) < wet, draw.gamma(0.7, heavy / 0.7, WEEK).round(3) + 0.001, 0.0),
            "holiday": holiday,
            "cars": draw.normal(300, 40, WEEK),
        }
    )


PAST = [hours(week, wet=(0.12, 0.25)[week % 2], heavy=(0.1, 0.4)[week % 2]) for week in range(WEEKS)]
NOW = hours(WEEKS, wet=0.2, heavy=0.2)


def verdict(batch: pd.DataFrame, past: list[pd.DataFrame] = PAST) -> BatchVerdict:
    ends = [week["at"].max() for week in past]
    history = History(pd.concat(past), ends, [HOUR] * WEEKS, [WEEK] * WEEKS)
    return look_at(batch, history, DATA, arrives=ends[-1] + (WEEK + 1) * HOUR)


@pytest.mark.parametrize("heavy", [0.02, 0.2, 1.0])
@pytest.mark.parametrize("wet", [0.05, 0.2, 0.4])
def test_a_dry_or_a_wet_week_is_no_change_of_unit(wet: float, heavy: float) -> None:
    assert verdict(hours(WEEKS, wet=wet, heavy=heavy)).kind != "broken"


@pytest.mark.parametrize(("factor", "unit"), [(1000, "times 1000"), (3600, "as seconds for hours")])
def test_rain_in_another_unit_breaks_the_batch_and_is_named(factor: float, unit: str) -> None:
    made = verdict(NOW.assign(rain=NOW["rain"].clip(0.01).where(NOW["rain"] > 0, 0.0) * factor))

    assert made.kind == "broken"
    assert unit in made.concerns[0].text


def test_a_handful_of_values_is_enough_to_know_another_unit() -> None:
    few = np.where(np.arange(WEEK) % 40 == 3, 0.3, 0.0)

    assert verdict(NOW.assign(rain=few)).kind != "broken"
    assert verdict(NOW.assign(rain=few / 1000)).kind == "broken"


def test_zeros_that_have_become_another_value_are_suspicious() -> None:
    made = verdict(NOW.assign(rain=NOW["rain"] * 0.1 + 0.2))

    assert made.kind == "suspicious"
    assert "at least" in made.concerns[0].text


def test_wet_hours_alone_are_let_in() -> None:
    often = [week.assign(rain=week["rain"].where(week["rain"] == 0, 0.5)) for week in PAST]

    assert verdict(NOW.assign(rain=0.5), often).kind != "broken"


def test_rain_with_the_other_sign_breaks_the_batch() -> None:
    few = np.where(np.arange(WEEK) % 20 == 3, -0.3, 0.0)

    assert verdict(NOW.assign(rain=few)).kind == "broken"


def test_a_new_holiday_in_a_column_that_is_mostly_missing_is_ok() -> None:
    assert verdict(NOW).kind == "ok"


def test_codes_where_a_name_was_missing_break_the_batch() -> None:
    codes = NOW["holiday"].notna().map({True: "c0", False: "c-1"}).astype("str")

    assert verdict(NOW.assign(holiday=codes)).kind == "broken"


def test_a_new_name_in_a_fifth_of_the_rows_is_drift_where_names_are_mostly_missing() -> None:
    named = NOW["holiday"].mask(np.arange(WEEK) % 5 == 0, "festival")

    assert verdict(NOW.assign(holiday=named)).kind == "drifted"


@pytest.mark.parametrize("factor", [10.0, 1000.0])
def test_as_many_values_as_may_come_are_judged(factor: float) -> None:
    draw = np.random.default_rng(3)
    past = [np.where(draw.random(720) < 0.3, draw.gamma(2, 1, 720) + 0.5, 0.0) for _ in range(10)]
    batch = np.where(draw.random(7200) < 0.3, np.max(past) * factor, 0.0)

    assert NumericColumn("rain", batch, past).nonzeros_in_another_unit() is not None
