"""Timetables: spans and cron expressions, held against days of a calendar worked by hand."""

import itertools

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.stats.timetable import due_between, next_due


def at(text: str) -> pd.Timestamp:
    return pd.Timestamp(text, tz="UTC")


@pytest.mark.parametrize(
    ("timetable", "after", "due"),
    [
        ("90D", "2024-01-01 10:00", "2024-03-31 10:00"),
        ("90 days", "2024-01-01 10:00", "2024-03-31 10:00"),
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


@pytest.mark.parametrize("wrong", ["60 0 * * *", "0 0 0 * *", "a * * * *", "5-2 * * * *", "*/0 * * * *"])
def test_what_is_no_cron_expression_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="cron expression"):
        next_due(wrong, at("2024-01-01"))


def test_a_moment_that_never_comes_is_refused() -> None:
    with pytest.raises(ValueError, match="never occurs"):
        next_due("0 0 31 2 *", at("2024-01-01"))


@settings(max_examples=60, deadline=None)
@given(minute=st.integers(0, 59), hour=st.integers(0, 23), weekday=st.integers(0, 6), after=st.integers(0, 10**7))
def test_what_is_due_lies_ahead_and_fits_its_fields(minute: int, hour: int, weekday: int, after: int) -> None:
    moment = at("2020-01-01") + pd.Timedelta(minutes=after)
    due = next_due(f"{minute} {hour} * * {weekday}", moment)

    assert moment < due <= moment + pd.Timedelta("7D")
    assert (due.minute, due.hour, due.isoweekday() % 7) == (minute, hour, weekday)


@pytest.mark.parametrize(
    ("timetable", "after", "until", "due"),
    [
        ("20s", "2024-01-01 00:00:00", "2024-01-01 00:00:59", ["00:00:20", "00:00:40"]),
        ("20s", "2024-01-01 00:00:07", "2024-01-01 00:00:40", ["00:00:20", "00:00:40"]),
        ("20s", "2024-01-01 00:00:20", "2024-01-01 00:00:39", []),
        ("6 hours", "2024-01-01 01:00", "2024-01-01 13:00", ["06:00:00", "12:00:00"]),
        ("15 * * * *", "2024-01-01 00:15", "2024-01-01 03:00", ["01:15:00", "02:15:00"]),
        ("15 * * * *", "2024-01-01 00:14", "2024-01-01 00:15", ["00:15:00"]),
        ("* * * * *", "2024-01-01 00:00:30", "2024-01-01 00:03:10", ["00:01:00", "00:02:00", "00:03:00"]),
    ],
)
def test_what_is_due_between_two_moments_leaves_out_the_first_of_them(
    timetable: str, after: str, until: str, due: list[str]
) -> None:
    assert [f"{moment:%H:%M:%S}" for moment in due_between(timetable, at(after), at(until))] == due


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    timetable=st.sampled_from(["7s", "15min", "*/5 * * * *", "15 0,12 * * *", "0 3 * * 0"]),
    cuts=st.lists(st.integers(0, 10**6), min_size=2, max_size=6, unique=True),
)
def test_spans_that_follow_each_other_hold_each_due_time_once(timetable: str, cuts: list[int]) -> None:
    moments = [at("2024-01-01") + pd.Timedelta(cut, "s") / 20 for cut in sorted(cuts)]
    pieces = [list(due_between(timetable, one, other)) for one, other in itertools.pairwise(moments)]

    assert [moment for piece in pieces for moment in piece] == list(due_between(timetable, moments[0], moments[-1]))
