"""The rate of false alarms that is achieved on a history without drift, by columns and by joint tests."""

import numpy as np
import pandas as pd
import pytest

from retrim.drift.joint import JointParams
from retrim.drift.profile import ProfileParams, make_profile
from tests.builders.alarm_rates import verify, verify_together
from tests.builders.drift_worlds import world

ROWS = 400
KEPT = ProfileParams(cells=40, most_blocks=200, sample_rows=4000)
JOINT = JointParams(
    tests={"correlation": {}, "domain": {"rounds": 5, "leaves": 4, "folds": 2, "rows": 500}}, windows=20, seed=7
)


def verified(*, rate: float, turned: slice = slice(0, 0)) -> dict[str, float]:
    """Rates of joint tests on three columns, the first two of them correlated, which turns round in some rows."""
    values = np.random.default_rng(1).normal(size=(4000, 3))
    values[:, 1] = 0.8 * values[:, 0] + 0.6 * values[:, 1]
    values[turned, 1] *= -1
    frame = pd.DataFrame(values, columns=["x", "y", "z"])
    frame["_event"] = pd.date_range("2026-01-01", periods=4000, freq="h", tz="UTC")
    profile = make_profile(frame, {"x": "number", "y": "number", "z": "number"}, KEPT, time="_event")
    return verify_together(profile, ("x", "y", "z"), JOINT, rows=100, rate=rate)


@pytest.mark.slow
def test_a_history_without_drift_achieves_what_is_asked() -> None:
    found = [
        verify(
            world(rho=0.9, rows=ROWS, windows=40, later=1, numeric=4, categorical=2, seed=seed)[0],
            rows=ROWS, rate=0.05, draws=1000, splits=5, checks=50, seed=1,
        )
        for seed in range(10)
    ]  # fmt: skip

    # 10 histories of 40 windows: the standard error of the mean is about 1%
    assert np.mean([each.achieved for each in found]) == pytest.approx(0.05, abs=0.03)


def test_a_history_that_swings_covers_less() -> None:
    profile, _ = world(rho=0.0, rows=ROWS, windows=40, later=1, numeric=2, categorical=0, seed=1)
    counts = profile.columns["x0"].counts
    late = np.arange(len(counts)) % 80 >= 40  # five windows as they were, five with more of the highest values
    moved = counts[late, 1:10] // 2
    counts[late, 1:10] -= moved
    counts[late, 20] += moved.sum(axis=1)
    found = verify(profile, rows=ROWS, rate=0.02, draws=1000, splits=4, checks=50, seed=1)
    still = verify(
        world(rho=0.0, rows=ROWS, windows=40, later=1, numeric=2, categorical=0, seed=1)[0],
        rows=ROWS, rate=0.02, draws=1000, splits=4, checks=50, seed=1,
    )  # fmt: skip

    assert found.reach < still.reach / 2


def test_an_alarm_is_that_of_at_least_one_column() -> None:
    profile, _ = world(rho=0.5, rows=ROWS, windows=40, later=1, numeric=3, categorical=1, seed=2)
    found = verify(profile, rows=ROWS, rate=0.05, draws=1000, splits=4, checks=50, seed=1)
    shares = found.columns.values()

    assert 0 < max(shares) <= found.achieved <= sum(shares) + 1e-12


def test_a_history_without_drift_keeps_the_rate_of_each_joint_test() -> None:
    # a tenth for each; 40 windows: two standard errors
    assert verified(rate=0.2) == pytest.approx({"correlation": 0.1, "domain": 0.1}, abs=0.09)


def test_a_history_with_one_turned_window_shows_it() -> None:
    found = verified(rate=0.002, turned=slice(2000, 2100))

    assert found == pytest.approx({"correlation": 1 / 40, "domain": 1 / 40}, abs=0.01)
