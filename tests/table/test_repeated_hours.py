"""Which of two equal local times a row is of: a stream in order is told apart, whatever its times are."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.table.repeated_hours import later_hours

# Berlin: 02:00 to 03:00 of 2024-10-27 came twice, first from 00:00 UTC, then from 01:00 UTC.
BEGIN = pd.Timestamp("2024-10-26T22:00", tz="UTC")
ZONE = "Europe/Berlin"


def both(instants: pd.DatetimeIndex) -> tuple[pd.Series, pd.Series]:
    """What a file's local times may be: the earlier, and the later of two."""
    walls = instants.tz_convert(ZONE).tz_localize(None)
    earlier, later = (
        walls.tz_localize(ZONE, ambiguous=np.full(len(walls), fill_value=summer)).tz_convert("UTC")
        for summer in (True, False)
    )
    return pd.Series(earlier).dt.as_unit("us"), pd.Series(later).dt.as_unit("us")


def ticks(times: pd.Series | pd.DatetimeIndex) -> np.ndarray:
    return pd.Series(times).dt.as_unit("us").astype("int64").to_numpy()


def reads_as_newest_first(instants: pd.DatetimeIndex) -> bool:
    """Whether more local times go down than up: 02:01, 02:00 alone may as well be rows of one hour, newest first."""
    steps = np.diff(ticks(both(instants)[0]))
    return bool((steps < 0).sum() > (steps > 0).sum())


def settled(instants: pd.DatetimeIndex, group: np.ndarray | None = None, *, names_rows: bool = True) -> pd.Series:
    earlier, later = both(instants)
    group = np.zeros(len(instants), dtype="int64") if group is None else group
    is_later, _ = later_hours(earlier, later, group, names_rows=names_rows)
    return earlier.mask(is_later, later)


@pytest.mark.slow
@given(
    step=st.sampled_from([5, 7, 10, 15, 20, 30, 60]),
    start=st.integers(0, 59),
    series=st.integers(1, 4),
    by_time=st.booleans(),
    newest_first=st.booleans(),
)
def test_a_stream_in_order_is_told_apart(
    *, step: int, start: int, series: int, by_time: bool, newest_first: bool
) -> None:
    one = pd.date_range(BEGIN + pd.Timedelta(start, "min"), periods=5 * 60 // step + 2, freq=f"{step}min")
    rows = pd.DataFrame({"at": np.tile(one, series), "of": np.repeat(np.arange(series), len(one))})
    rows = rows.sort_values(["at", "of"] if by_time else ["of", "at"], ascending=not newest_first, ignore_index=True)
    at = pd.DatetimeIndex(rows["at"])

    assert (ticks(settled(at, rows["of"].to_numpy())) == ticks(at)).all()


@pytest.mark.slow
@given(minutes=st.lists(st.integers(0, 240), min_size=1, max_size=40, unique=True), names_rows=st.booleans())
def test_irregular_times_in_order_never_go_back(*, minutes: list[int], names_rows: bool) -> None:
    at = pd.DatetimeIndex([BEGIN + pd.Timedelta(minute, "min") for minute in sorted(minutes)])
    found = settled(at, names_rows=names_rows)

    assert found.is_monotonic_increasing or not names_rows or reads_as_newest_first(at)
    assert set(ticks(found) - ticks(at)) <= {0, -3_600_000_000, 3_600_000_000}


@pytest.mark.slow
@given(order=st.permutations(range(8)))
def test_rows_that_their_time_names_stay_as_many_in_any_order(order: list[int]) -> None:
    at = pd.date_range("2024-10-27T00:00", periods=8, freq="15min", tz="UTC")[list(order)]

    assert settled(at).nunique() == 8


def test_two_rows_that_only_go_down_are_one_hour_with_the_newest_first() -> None:
    at = pd.DatetimeIndex([BEGIN + pd.Timedelta(minute, "min") for minute in (121, 180)])

    assert settled(at).diff().iloc[1] == -pd.Timedelta("1min")


def test_times_that_come_once_are_left_alone() -> None:
    at = pd.date_range("2024-05-01", periods=9, freq="1h", tz="UTC")
    earlier, later = both(at)
    is_later, either = later_hours(earlier, later, np.zeros(9, dtype="int64"), names_rows=True)

    assert not is_later.any()
    assert not either.any()
