"""A recipe and its rows: windows, and work in parallel that no number of cores changes."""

import threading

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from retrim.training.recipe import TrainParams, WindowLengths, in_parallel

PAST = np.array([0, 1, 3, 4, 7])


@pytest.mark.parametrize(
    ("windows", "rows", "found"),
    [
        (("all", "sliding"), 11, ["all", "sliding"]),
        (("all", "sliding"), 10, ["all"]),
        (("sliding",), 5, ["sliding"]),
        (("all",), 50, ["all"]),
    ],
)
def test_windows_that_hold_the_same_rows_make_one_challenger(windows: tuple, rows: int, found: list[str]) -> None:
    assert WindowLengths(10).competing(windows, rows) == found


def test_rows_since_a_change_are_a_window_of_their_own() -> None:
    events = pd.Series(pd.date_range("2024-01-01", periods=100, freq="1h", tz="UTC"))
    lengths = WindowLengths(80).since(events[40], events, least=48)

    assert lengths.competing(("all", "sliding"), 100) == ["all", "sliding", "recent"]
    assert lengths.rows(np.arange(100), "recent").tolist() == list(range(40, 100))


def test_too_few_rows_since_a_change_are_no_window() -> None:
    events = pd.Series(pd.date_range("2024-01-01", periods=100, freq="1h", tz="UTC"))

    assert WindowLengths(80).since(events[60], events, least=48).recent is None


def test_a_recent_window_as_long_as_the_sliding_one_competes_as_that() -> None:
    assert WindowLengths(80, recent=80).competing(("all", "sliding"), 100) == ["all", "sliding"]


def test_an_unknown_kind_of_model_is_refused_where_it_is_set() -> None:
    with pytest.raises(ValidationError, match=r"unknown model 'gmb'; known: .*gbm"):
        TrainParams.model_validate(
            {"model": "gmb", "windows": ["all"], "recipes": ["found"], "balance": None, "seed": 1}
        )


@pytest.mark.parametrize("cores", [1, 2, 3, 8])
def test_results_come_in_the_order_of_their_items(cores: int) -> None:
    assert in_parallel(lambda item, threads: item * 2, range(7), cores=cores) == [0, 2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize(("items", "cores"), [(1, 4), (2, 4), (3, 4), (4, 4), (9, 4), (2, 1)])
def test_work_times_threads_never_exceeds_the_cores(items: int, cores: int) -> None:
    running, most, lock = 0, 0, threading.Lock()

    def work(item: int, threads: int) -> int:
        nonlocal running, most
        with lock:
            running += threads
            most = max(most, running)
        with lock:
            running -= threads
        return threads

    given = in_parallel(work, range(items), cores=cores)

    assert most <= cores
    assert all(threads >= 1 for threads in given)
    assert given[0] * min(items, cores) <= cores
