"""The block bootstrap against the theory of means of series, independent and autocorrelated."""

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from retrim.stats.bootstrap import block_means, mean_bound, mean_error, ratio_interval

RHO = 0.6
Series = Callable[[int, int], np.ndarray]


def independent(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=n)


def autocorrelated(n: int, seed: int) -> np.ndarray:
    """AR(1) of variance 1: each row is `RHO` of the one before plus noise."""
    from scipy.signal import lfilter

    noise = np.random.default_rng(seed).normal(size=n + 200) * (1 - RHO**2) ** 0.5
    return np.asarray(lfilter([1.0], [1.0, -RHO], noise))[200:]


def error_of(n: int, rho: float) -> float:
    """Standard error of the mean of n rows of an AR(1) of variance 1, from its autocovariances."""
    lags = np.arange(1, n)
    return float(((1 + 2 * np.sum((1 - lags / n) * rho**lags)) / n) ** 0.5)


# --- block_means


def test_a_worked_example_of_all_circular_blocks() -> None:
    # Blocks of 2 from 1, 2, 6 around the circle have the means 1.5, 4 and 3.5; two blocks are drawn.
    possible = {(a + b) / 2 for a in (1.5, 4.0, 3.5) for b in (1.5, 4.0, 3.5)}

    assert set(block_means(np.array([1.0, 2.0, 6.0]), block_rows=2, draws=500, seed=1)) == possible


@pytest.mark.slow
def test_means_of_independent_rows_spread_as_theory_says() -> None:
    # Blocks of one row: the variance of a mean of n draws is the series' own variance over n, exactly.
    values = independent(400, 3)

    means = block_means(values, block_rows=1, draws=20_000, seed=1)

    assert means.std() == pytest.approx(values.std() / 400**0.5, rel=0.02)


def test_means_of_autocorrelated_rows_spread_as_theory_says() -> None:
    spreads = [block_means(autocorrelated(2000, s), block_rows=40, draws=400, seed=s).std() for s in range(40)]

    assert np.mean(spreads) == pytest.approx(error_of(2000, RHO), rel=0.06)


def test_single_rows_as_blocks_miss_the_autocorrelation() -> None:
    spread = block_means(autocorrelated(2000, 1), block_rows=1, draws=400, seed=1).std()

    assert spread < 0.6 * error_of(2000, RHO)


def test_the_same_seed_draws_the_same_means() -> None:
    values = independent(50, 1)
    first, again, other = (block_means(values, block_rows=5, draws=9, seed=seed) for seed in (1, 1, 2))

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_every_row_is_drawn_as_often_as_another() -> None:
    # Circular blocks: the first and last rows are no rarer than those in the middle.
    values = np.zeros(10)
    ends = [block_means(np.eye(10)[place], block_rows=4, draws=20_000, seed=1).mean() for place in (0, 5, 9)]

    assert ends == pytest.approx([0.1, 0.1, 0.1], rel=0.05)
    assert block_means(values, block_rows=4, draws=3, seed=1).tolist() == [0, 0, 0]


def test_draws_over_many_rows_need_little_memory() -> None:
    values = independent(200_000, 1)
    tracemalloc.start()
    means = block_means(values, block_rows=10, draws=200, seed=1)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    parts = np.random.default_rng(1).integers(0, len(values), size=(200, 20_000))
    around = np.concatenate([[0.0], np.cumsum(np.concatenate([values, values[:10]]))])

    assert most < 60e6  # all at once they are 4 million blocks, of 8 bytes in several tables
    assert means.tolist() == [float((around[own + 10] - around[own]).sum() / 200_000) for own in parts]


# --- mean_error


@pytest.mark.parametrize(("series", "rho"), [(independent, 0.0), (autocorrelated, RHO)])
def test_the_error_of_a_mean_is_what_theory_says(series: Series, rho: float) -> None:
    errors = [mean_error(series(2000, seed), block_rows=50) for seed in range(60)]

    assert np.mean(errors) == pytest.approx(error_of(2000, rho), rel=0.05)


def test_a_worked_example_of_the_error() -> None:
    # Block means 1 and 3: their deviation is the root of 2, over the root of 2 blocks.
    assert mean_error(np.array([0.0, 2.0, 2.0, 4.0]), block_rows=2) == pytest.approx(1.0)


def test_fewer_rows_than_two_blocks_are_blocks_themselves() -> None:
    assert mean_error(np.array([0.0, 2.0]), block_rows=24) == pytest.approx(1.0)


def test_a_million_rows_alone_are_not_taken_one_by_one() -> None:
    values = independent(1_000_000, 1)
    tracemalloc.start()
    error = mean_error(values, block_rows=1)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert error == pytest.approx(0.001, rel=0.01)
    assert most < 5 * values.nbytes


def test_of_one_row_nothing_is_known() -> None:
    assert mean_error(np.array([5.0]), block_rows=1) == float("inf")


# --- mean_bound


@pytest.mark.parametrize(("series", "n"), [(independent, 160), (independent, 400), (autocorrelated, 400)])
def test_the_mean_lies_below_its_bound_in_about_one_of_twenty(series: Series, n: int) -> None:
    bounds = [mean_bound(series(n, s), confidence=0.95, block_rows=20, draws=300, seed=s) for s in range(400)]

    assert np.mean(np.array(bounds) > 0) == pytest.approx(0.05, abs=0.03)


def test_a_series_shorter_than_a_block_has_a_wide_bound() -> None:
    # One block around the circle always has the same mean: bare, the bootstrap would be certain.
    values = independent(20, 1)

    assert mean_bound(values, confidence=0.95, block_rows=24, draws=300, seed=1) < values.mean() - 0.1


def test_more_confidence_asks_for_more_distance() -> None:
    values = independent(200, 1)
    bounds = [mean_bound(values, confidence=c, block_rows=10, draws=2000, seed=1) for c in (0.9, 0.95, 0.99)]

    assert bounds == sorted(bounds, reverse=True)


def test_a_constant_series_is_its_own_bound() -> None:
    assert mean_bound(np.full(40, 2.5), confidence=0.95, block_rows=10, draws=50, seed=1) == 2.5


def test_a_ratio_over_five_stretches_is_rarely_below_its_interval() -> None:
    draw, true_ratio, above, below = np.random.default_rng(1), float(np.exp(0.125)), 0, 0
    for _ in range(1000):
        weights = draw.lognormal(0.0, 0.3, 5)
        low, high = ratio_interval(weights * draw.lognormal(0.0, 0.5, 5), weights)
        below += true_ratio < low
        above += true_ratio > high

    assert below <= 25
    assert above <= 70  # few stretches seldom hold the worst that comes
