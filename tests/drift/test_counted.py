"""Drift of a window against what a model was made from, from counts alone."""

import numpy as np
import pandas as pd

from retrim.decision.policy_compare import Counted, WindowAlarms, _usual_psi, count_windows
from retrim.drift.alarms import AlarmParams
from retrim.drift.cells import Counts
from retrim.drift.params import DriftParams
from retrim.drift.profile import ColumnProfile, ProfileParams

FIRST, ROWS, WINDOWS, CHUNKS = 1000, 200, 8, 5
EDGES = FIRST + ROWS * np.arange(WINDOWS + 1)
PARAMS = ProfileParams(
    cells=64, levels=20, buckets=16, block="1D", most_blocks=50, block_rows=20, sample_rows=100, seed=7
)


def counted(shift_from: int, *, parts: int = 1) -> Counted:
    """A number and a category; both change for good from a window on."""
    draw = np.random.default_rng(4)
    n = int(EDGES[-1])
    late = np.arange(n) >= EDGES[shift_from]
    times = pd.date_range("2024-01-01", periods=n, freq="h", tz="UTC")
    rows = pd.DataFrame(
        {
            "x": draw.normal(size=n) + 2.0 * late,
            "kind": pd.Series(np.where(late, draw.choice(["a", "c"], n), draw.choice(["a", "b"], n)), dtype="str"),
            "calm": draw.normal(size=n),
            "at": times,
            "_event": times,
        }
    )
    features = {"x": "number", "kind": "category", "calm": "number", "at": "time"}
    return count_windows(rows, features, EDGES, PARAMS, chunks=CHUNKS * parts, parts=parts)  # type: ignore[arg-type]


def test_a_window_that_changed_is_seen_against_all_the_past() -> None:
    history = counted(shift_from=3)

    assert history.drifted(_usual_psi, model=3, window=2, sliding_rows=None) == ()
    assert history.drifted(_usual_psi, model=3, window=3, sliding_rows=None) == ("x", "kind")


def test_a_model_made_after_the_change_on_a_sliding_window_sees_none() -> None:
    history = counted(shift_from=3)

    assert history.drifted(_usual_psi, model=7, window=7, sliding_rows=4 * ROWS) == ()
    assert history.drifted(_usual_psi, model=7, window=7, sliding_rows=None) == ("x", "kind")


def test_a_sliding_reference_holds_whole_chunks_of_at_least_its_rows() -> None:
    seen: list[int] = []

    def over(name: str, column: ColumnProfile, reference: Counts, current: Counts) -> bool:
        seen.append(int(reference.rows.sum()))
        return False

    history = counted(shift_from=3)
    for sliding in (1, ROWS, ROWS + 1, 10 * FIRST):
        history.drifted(over, model=2, window=2, sliding_rows=sliding)

    assert seen[::3] == [ROWS, ROWS, 2 * ROWS, FIRST + 2 * ROWS]


def test_every_row_is_counted_once() -> None:
    history = counted(shift_from=3)
    column = history.columns["x"]

    assert int(column.counts.sum()) == int(EDGES[-1])
    assert history.rows.tolist() == column.counts.sum(axis=1).tolist() == [200] * 5 + [ROWS] * WINDOWS


SETTINGS = DriftParams(
    tests={"ks": {"threshold": 0.05}, "chi2": {"threshold": 0.01}},
    alarms=AlarmParams(at_most=1, draws=1000, seed=7),
    min_rows=10,
)
EVERY = pd.Timedelta(hours=ROWS)


def test_parts_of_a_window_are_counted_and_add_up_to_it() -> None:
    whole, parted = counted(shift_from=3), counted(shift_from=3, parts=4)

    assert len(parted.rows) == 4 * len(whole.rows)
    for name, column in whole.columns.items():
        at = parted.of_window(2)
        assert parted.columns[name].window(*at).rows.tolist() == column.window(*whole.of_window(2)).rows.tolist()


def test_a_last_window_of_fewer_rows_than_parts_is_counted() -> None:
    times = pd.date_range("2024-01-01", periods=100, freq="h", tz="UTC")
    rows, edges = pd.DataFrame({"x": np.arange(100.0), "_event": times}), np.array([20, 60, 97, 100])
    history = count_windows(rows, {"x": "number"}, edges, PARAMS, chunks=8, parts=8)

    assert [int(history.rows[slice(*history.of_window(window))].sum()) for window in range(3)] == [40, 37, 3]
    assert history.blocks["last"].iloc[-1] == times[-1]


def test_calibrated_alarms_see_what_changed_and_nothing_else() -> None:
    looked = WindowAlarms(counted(shift_from=3, parts=4), SETTINGS, EVERY, task="regression")

    assert looked(3, 3, None) == ("x", "kind")
    assert [looked(2, window, None) for window in range(3)] == [()] * 3


def test_thresholds_that_noise_passes_raise_no_alarm() -> None:
    history = counted(shift_from=7, parts=4)
    by_alarms = WindowAlarms(history, SETTINGS, EVERY, task="regression")
    by_thresholds = WindowAlarms(history, SETTINGS.model_copy(update={"alarms": None}), EVERY, task="regression")

    assert [by_alarms(2, window, None) for window in range(2, 7)] == [()] * 5
    assert [by_thresholds(2, window, None) for window in range(2, 7)] != [()] * 5


def test_a_model_of_few_parts_is_held_to_the_thresholds() -> None:
    history = counted(shift_from=7)
    with_alarms, without = (
        WindowAlarms(history, SETTINGS.model_copy(update=changed), EVERY, task="regression")
        for changed in ({}, {"alarms": None})
    )

    assert [with_alarms(2, window, None) for window in range(2, 7)] == [
        without(2, window, None) for window in range(2, 7)
    ]
