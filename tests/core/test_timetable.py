"""Timetables: spans and cron expressions, held against days of a calendar worked by hand."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.core.timetable import cron_fields, next_due


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@pytest.mark.parametrize(
    ("timetable", "after", "due"),
    [
        ("90D", "2024-01-01 10:00", "2024-03-31 10:00"),
        ("15 0 * * *", "2024-01-01 00:15", "2024-01-02 00:15"),
        ("15 0 * * *", "2024-01-01 00:14:59", "2024-01-01 00:15"),
        ("0 6 1 * *", "2024-01-31 12:00", "2024-02-01 06:00"),
        ("0 0 * * 1", "2024-03-01 00:00", "2024-03-04 00:00"),  # the 1st was a Friday
        ("0 0 * * mon", "2024-03-01 00:00", "2024-03-04 00:00"),
        ("0 0 * * 7", "2024-03-01 00:00", "2024-03-03 00:00"),
        ("0 0 13 * fri", "2024-09-07 00:00", "2024-09-13 00:00"),
        ("0 0 10 * fri", "2024-09-01 00:00", "2024-09-06 00:00"),  # day or weekday, as cron has it
        ("*/20 8-10 * * *", "2024-01-01 08:41", "2024-01-01 09:00"),
        ("5/20 * * * *", "2024-01-01 08:30", "2024-01-01 08:45"),
        ("0 0 1 jan,jul *", "2024-02-01 00:00", "2024-07-01 00:00"),
        ("0 0 29 2 *", "2096-03-01 00:00", "2104-02-29 00:00"),  # 2100 is no leap year
    ],
)
def test_the_next_moment_is_that_of_the_calendar(timetable: str, after: str, due: str) -> None:
    assert next_due(timetable, at(after)) == at(due)


@pytest.mark.parametrize("wrong", ["60 0 * * *", "0 0 0 * *", "a * * * *", "0 0 * *", "5-2 * * * *", "*/0 * * * *"])
def test_what_is_no_cron_expression_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="cron expression"):
        cron_fields(wrong)


def test_a_moment_that_never_comes_is_refused() -> None:
    with pytest.raises(ValueError, match="never comes"):
        next_due("0 0 31 2 *", at("2024-01-01"))


@settings(max_examples=60, deadline=None)
@given(minute=st.integers(0, 59), hour=st.integers(0, 23), weekday=st.integers(0, 6), after=st.integers(0, 10**7))
def test_what_is_due_lies_ahead_and_fits_its_fields(minute: int, hour: int, weekday: int, after: int) -> None:
    moment = at("2020-01-01") + pd.Timedelta(minutes=after)
    due = next_due(f"{minute} {hour} * * {weekday}", moment)

    assert moment < due <= moment + pd.Timedelta("7D")
    assert (due.minute, due.hour, due.isoweekday() % 7) == (minute, hour, weekday)
