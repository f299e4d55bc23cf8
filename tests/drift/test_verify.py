"""Verification: what it achieves on a history without drift, and what it refuses."""

import numpy as np
import pytest

from retrim.errors import RefusedError
from tests.builders.alarm_rates import verify
from tests.builders.drift_worlds import world

ROWS = 400


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
    assert np.mean([each.interval[0] <= 0.05 <= each.interval[1] for each in found]) >= 0.9


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


def test_the_same_seed_gives_the_same_answer() -> None:
    profile, _ = world(rho=0.5, rows=ROWS, windows=20, later=1, numeric=2, categorical=0, seed=1)
    first, second = (verify(profile, rows=ROWS, rate=0.02, draws=1000, splits=2, checks=20, seed=3) for _ in range(2))

    assert first == second


def test_a_history_too_short_to_be_parted_is_refused() -> None:
    profile, _ = world(rho=0.0, rows=ROWS, windows=3, later=1, numeric=1, categorical=0, seed=1)

    with pytest.raises(RefusedError, match=r"\b24 blocks .*\b40\b"):
        verify(profile, rows=ROWS, rate=0.02, draws=1000, splits=2, checks=20, seed=3)


def test_an_alarm_is_that_of_at_least_one_column() -> None:
    profile, _ = world(rho=0.5, rows=ROWS, windows=40, later=1, numeric=3, categorical=1, seed=2)
    found = verify(profile, rows=ROWS, rate=0.05, draws=1000, splits=4, checks=50, seed=1)
    shares = list(found.columns.values())

    assert shares == sorted(shares, reverse=True)
    assert 0 < max(shares) <= found.achieved <= sum(shares) + 1e-12
