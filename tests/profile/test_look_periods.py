"""The history in parts: months where they are enough, else what suits the span."""

import numpy as np
import pandas as pd
import pytest

from retrim.profile.columns import MOST, cut_periods, together
from tests.builders.look_tables import times


@pytest.mark.parametrize(
    ("rows", "every", "part"),
    [
        (300, "1D", "month"),
        (900, "4h", "week"),
        (24, "1h", "hour"),
        (96, "1h", "6 hours"),
        (30, "1D", "day"),
        (1000, "3D", "quarter"),
        (30, "365D", "year"),
        (720, "1h", "week"),  # 30 days of 24 rows: too few a day to say anything of it
    ],
)
def test_parts_suit_the_span(rows: int, every: str, part: str) -> None:
    found = cut_periods(times(rows, every=every), timed=True)

    assert (found.every, len(found.labels) <= MOST) == (part, True)


def test_a_month_holds_its_own_rows_and_a_gap_none() -> None:
    at = [f"2024-0{month}-15" for month in (1, 1, 2, 4, 5, 6, 7)]
    found = cut_periods(pd.Series(pd.to_datetime(at, utc=True)), timed=True)

    assert found.labels[0] == "2024-01"
    assert found.rows.tolist() == [2, 1, 0, 1, 1, 1, 1]


def test_a_week_begins_on_a_monday() -> None:
    found = cut_periods(times(700, start="2024-01-03", every="4h"), timed=True)  # a Wednesday

    assert found.labels[0] == "2024-01-01"


def test_rows_without_a_time_are_cut_into_equal_blocks() -> None:
    found = cut_periods(times(1000), timed=False)

    assert found.rows.tolist() == [50] * 20
    assert found.labels[-1] == "rows 951 to 1000"


def test_the_mean_of_a_part_without_rows_is_not_known() -> None:
    at = [f"2024-0{month}-15" for month in (1, 2, 4, 5, 6, 7)]
    found = cut_periods(pd.Series(pd.to_datetime(at, utc=True)), timed=True)

    assert np.isnan(found.mean(np.ones(6))).tolist() == [False, False, True, False, False, False, False]


@pytest.mark.parametrize("rows", [0, 1])
def test_hardly_any_rows_are_parts_too(rows: int) -> None:
    assert len(cut_periods(times(rows), timed=True).labels) == rows


def test_neighbours_are_taken_together_until_they_fit() -> None:
    assert together(np.arange(7), 3).tolist() == [0, 0, 0, 1, 1, 1, 2]
