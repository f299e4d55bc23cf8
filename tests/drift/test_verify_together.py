"""The joint tests' rate of false alarms, verified on the sample of a reference."""

import numpy as np
import pandas as pd
import pytest

from retrim.drift.joint import JointParams
from retrim.drift.profile import Profile, ProfileParams, make_profile
from tests.builders.alarm_rates import VerifiedTest, interval_of, verify_together

KEPT = ProfileParams(
    cells=40, levels=9, buckets=8, block="1D", most_blocks=200, block_rows=20, sample_rows=4000, seed=7
)
JOINT = JointParams(
    tests={"correlation": {}, "domain": {"rounds": 5, "leaves": 4, "folds": 2, "rows": 500}}, windows=20, seed=7
)


def reference(rows: int, *, turned: slice = slice(0, 0)) -> Profile:
    """Three columns, the first two of them correlated, which turns round in some rows."""
    values = np.random.default_rng(1).normal(size=(rows, 3))
    values[:, 1] = 0.8 * values[:, 0] + 0.6 * values[:, 1]
    values[turned, 1] *= -1
    frame = pd.DataFrame(values, columns=["x", "y", "z"])
    frame["_event"] = pd.date_range("2026-01-01", periods=rows, freq="h", tz="UTC")
    return make_profile(frame, {"x": "number", "y": "number", "z": "number"}, KEPT, time="_event")


def verified(profile: Profile, *, rate: float) -> list[VerifiedTest]:
    return verify_together(profile, ("x", "y", "z"), JOINT, rows=100, rate=rate, cores=1)


def test_a_history_without_drift_keeps_the_rate_of_each_joint_test() -> None:
    found = verified(reference(4000), rate=0.2)

    assert [(test.test, test.windows) for test in found] == [("correlation", 40), ("domain", 40)]
    for test in found:
        assert test.asked == 0.1
        assert test.achieved == pytest.approx(0.1, abs=0.09)  # 40 windows: two standard errors


def test_a_history_with_one_turned_window_shows_it() -> None:
    found = verified(reference(4000, turned=slice(2000, 2100)), rate=0.002)

    assert [test.achieved for test in found] == pytest.approx([1 / 40, 1 / 40], abs=0.01)


def test_a_history_of_few_windows_verifies_nothing() -> None:
    assert verified(reference(850), rate=0.2) == []


def test_no_alarm_in_many_checks_still_leaves_an_interval() -> None:
    low, high = interval_of(0.0, 50)

    assert low == 0
    assert high == pytest.approx(0.049, abs=0.002)  # Jeffreys, Brown, Cai and DasGupta (2001)


def test_an_alarm_in_every_check_leaves_an_interval_that_ends_at_all() -> None:
    low, high = interval_of(1.0, 50)

    assert high == 1
    assert low == pytest.approx(0.951, abs=0.002)
