from itertools import accumulate

import numpy as np
import pandas as pd
import pytest

from retrim.profile.aim import Aim
from retrim.profile.rhythm import Choices, Rhythm, alike_rows, horizon_of, rhythm_of, sizes

AIM = Aim("regression", "number", "mae", ("mae",), "")
HOURLY = Rhythm(
    pd.Timestamp("2024-01-01", tz="UTC"), pd.Timestamp("2025-01-01", tz="UTC"), pd.Timedelta("1h"), True, "7D", 168
)


def chosen(n: int, *, judge_rows: int) -> Choices:
    return sizes(n, HOURLY, AIM, judge_rows=judge_rows, block_rows=24, season=None, features=5)


@pytest.mark.parametrize("n", [50_000, 1_000_000])
def test_a_search_is_scored_on_about_a_third_of_the_first_history_of_a_long_table(n: int) -> None:
    scored = 3 * chosen(n, judge_rows=200)[("tune", "fold_rows")].value

    assert 0.25 < scored / (0.6 * n) < 0.35


def test_a_search_is_scored_on_no_fewer_rows_than_judge() -> None:
    assert chosen(2000, judge_rows=200)[("tune", "fold_rows")].value == 200


@pytest.mark.parametrize(
    ("freq", "rows", "every"), [("D", 131, "1D"), ("D", 30, "7D"), ("MS", 300, "30D"), ("YS", 9, "365D")]
)
def test_batches_do_not_come_more_often_than_the_times_of_rows(freq: str, rows: int, every: str) -> None:
    times = pd.Series(pd.date_range("2024-01-01", periods=60, freq=freq, tz="UTC").repeat(rows))

    rhythm = rhythm_of(times)[0]

    assert rhythm.batch_every == every
    assert rhythm.batch_rows < len(times) / 8


@pytest.mark.parametrize(("freq", "horizon"), [("h", "1h"), ("D", "1D"), ("W", "7D"), ("MS", "31D"), ("QS", "92D")])
def test_an_answer_is_taken_to_be_known_a_step_of_the_table_later(freq: str, horizon: str) -> None:
    times = pd.Series(pd.date_range("2015-01-01", periods=60, freq=freq, tz="UTC").repeat(3))

    assert horizon_of(rhythm_of(times)[0])[0] == horizon


def test_a_month_that_is_not_there_is_a_gap_and_a_long_one_is_none() -> None:
    months = pd.Series(pd.date_range("2015-01-01", periods=60, freq="MS", tz="UTC"))

    assert not rhythm_of(months)[1]
    assert [note.about for note in rhythm_of(months.drop(range(20, 24)))[1]] == ["gaps"]


def test_a_long_gap_is_told_in_whole_hours() -> None:
    times = pd.Series(pd.date_range("2015-01-01", periods=600, freq="5min", tz="UTC"))
    (note,) = rhythm_of(times.where(times.index < 300, times + pd.Timedelta("1675min")))[1]

    assert "the longest lasts 28h from 2015-01-02" in note.seen


def alike(share: float, rows: int, *, seed: int) -> np.ndarray:
    """Errors of which each keeps so much of the one before."""
    draw = np.random.default_rng(seed).normal(size=rows)
    return np.array(list(accumulate(draw, lambda before, fresh: share * before + fresh)))


def test_errors_of_series_that_take_turns_stay_alike_as_long_as_in_one_series() -> None:
    north, south = alike(0.9, 5000, seed=1), alike(0.9, 5000, seed=2)
    both = np.ravel(np.column_stack([north, south]))

    assert 10 <= alike_rows(north, most=200) <= 25
    assert 1.5 * alike_rows(north, most=200) <= alike_rows(both, most=400) <= 3 * alike_rows(north, most=200)


@pytest.mark.parametrize("seed", range(10))
def test_errors_that_do_not_know_one_another_are_not_alike(seed: int) -> None:
    assert alike_rows(alike(0.0, 400, seed=seed), most=100) == 1


def test_errors_that_are_alike_throughout_are_so_for_as_many_rows_as_may_be() -> None:
    assert alike_rows(np.linspace(0, 1, 400), most=50) == 50
