"""Long-run variance against the theory of series with a known memory."""

import numpy as np
import pytest
from scipy.signal import lfilter

from retrim.drift.long_run import drawn_together, long_run

ALONE = np.arange(1000)  # families of one


def autocorrelated(rho: float, *, n: int, wide: int, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(n + 200, wide)) * (1 - rho**2) ** 0.5
    series = np.asarray(lfilter([1.0], [1.0, -rho], noise, axis=0))[200:]
    return series - series.mean(axis=0)


def variance_of(rho: float, length: int) -> float:
    """Variance of the sum of an AR(1) of variance 1 over its length, from its autocovariances."""
    lags = np.arange(1, length)
    return float(1 + 2 * np.sum((1 - lags / length) * rho**lags))


@pytest.mark.parametrize("rho", [0.0, 0.3, 0.8])
def test_the_variance_of_long_stretches_is_that_of_theory(rho: float) -> None:
    series = autocorrelated(rho, n=500, wide=400, seed=1)
    found = long_run(series, ALONE[: series.shape[1]]).variance(50)

    # by the mean over 400 series: one series of 500 is worth 20 to 160 degrees of freedom
    assert found.mean() == pytest.approx(variance_of(rho, 50), rel=0.04)


@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_the_degrees_of_freedom_are_those_that_its_spread_shows(rho: float) -> None:
    series = autocorrelated(rho, n=500, wide=1000, seed=2)
    found = long_run(series, ALONE[: series.shape[1]])
    variance = found.variance(1e9)
    shown = 2 * variance.mean() ** 2 / variance.var()

    assert shown == pytest.approx(found.freedom[0], rel=0.15)


def test_a_series_that_knows_itself_for_longer_says_less_of_itself() -> None:
    short, long = (
        np.median(long_run(autocorrelated(rho, n=500, wide=50, seed=3), ALONE[:50]).freedom) for rho in (0.3, 0.9)
    )

    assert short > 5 * long


def test_a_single_value_strays_by_its_own_variance() -> None:
    series = autocorrelated(0.8, n=500, wide=400, seed=4)

    assert long_run(series, ALONE[: series.shape[1]]).variance(1).mean() == pytest.approx(1, rel=0.04)


def test_a_constant_series_strays_by_nothing() -> None:
    assert long_run(np.zeros((50, 1)), ALONE[:1]).variance(10) == 0


def test_a_series_that_swings_around_its_mean_is_given_some_noise() -> None:
    swing = np.tile([[1.0], [-1.0]], (50, 1))

    assert long_run(swing, ALONE[:1]).variance(20) > 0


def test_a_family_that_carries_over_alike_is_worth_more_than_each_alone() -> None:
    series = autocorrelated(0.1, n=500, wide=200, seed=5)
    alone, together = (long_run(series, families).variance(1e9) for families in (ALONE[:200], np.zeros(200)))

    assert together.std() < 0.8 * alone.std()
    assert together.mean() == pytest.approx(alone.mean(), rel=0.01)


def test_the_odd_one_out_of_a_family_moves_by_no_more_than_its_error() -> None:
    drawn, _ = drawn_together(np.append(np.zeros(29), 0.3), error=0.05)

    assert drawn[-1] == pytest.approx(0.25)


def test_a_family_that_differs_is_left_alone() -> None:
    values = np.linspace(-1, 1, 30)

    assert drawn_together(values, error=0.05)[0] == pytest.approx(values, abs=0.01)
