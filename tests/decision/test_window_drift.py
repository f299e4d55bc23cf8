"""Drift of a window of a backtest against the rows that a model was made from, by the tests of a check."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.decision.policy_backtest import LossMatrix, PolicyDelays
from retrim.decision.policy_gate import LiveModel, Setting
from retrim.decision.policy_play import Drifted
from retrim.decision.policy_rules import drift_of_windows
from retrim.drift.alarms import AlarmParams
from retrim.drift.params import DriftParams
from tests.builders.turning import BLOCKS, matrix

FIRST, ROWS, WINDOWS = 1000, 200, 8
EDGES = FIRST + ROWS * np.arange(WINDOWS + 1)
SETTINGS = DriftParams(
    tests={"ks": {"threshold": 0.05}, "chi2": {"threshold": 0.01}},
    alarms=AlarmParams(at_most=1, draws=1000, seed=7),
    min_rows=10,
)
EVERY = pd.Timedelta(hours=ROWS)
ALL, SLIDING = 0, 1


def looking(shift_from: int, **changes: Any) -> Drifted:
    """A number and a category that both change for good from a window on, and one that does not."""
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
    whole: LossMatrix = matrix()
    return drift_of_windows(
        rows,
        EDGES,
        Setting(whole, (ALL, SLIDING), PolicyDelays(0, 0), BLOCKS, [], None),
        {"x": "number", "kind": "category", "calm": "number", "at": "time"},
        SETTINGS.model_copy(update=changes),
        every=EVERY,
        task="regression",
        sliding_rows=4 * ROWS,
        seed=7,
    )


def test_calibrated_alarms_see_what_changed_and_nothing_else() -> None:
    drifted = looking(shift_from=3)

    assert drifted(LiveModel(3, ALL, 3), 3) == ("kind", "x")
    assert drifted(LiveModel(2, ALL, 2), 2) == ()


@pytest.mark.parametrize(("kind", "columns"), [(ALL, ("kind", "x")), (SLIDING, ())])
def test_a_model_made_after_a_change_on_a_sliding_window_is_held_to_its_own_rows(
    kind: int, columns: tuple[str, ...]
) -> None:
    wide = {"ks": {"threshold": 0.2}, "chi2": {"threshold": 0.3}}

    assert looking(shift_from=3, alarms=None, tests=wide)(LiveModel(7, kind, 7), 7) == columns


def test_thresholds_that_noise_passes_raise_no_alarm() -> None:
    by_alarms, by_thresholds = looking(shift_from=7), looking(shift_from=7, alarms=None)

    assert [by_alarms(LiveModel(2, ALL, 2), window) for window in range(2, 7)] == [()] * 5
    assert [by_thresholds(LiveModel(2, ALL, 2), window) for window in range(2, 7)] != [()] * 5


def test_a_window_of_few_rows_is_not_looked_at() -> None:
    assert looking(shift_from=3, min_rows=ROWS + 1)(LiveModel(3, ALL, 3), 3) is None
