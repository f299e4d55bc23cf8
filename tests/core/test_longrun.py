"""Long-run variance against the theory of series with a known memory."""

import numpy as np
import pytest
from scipy.signal import lfilter

from retrim.core.drift.longrun import long_run


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
    found = long_run(series).variance(50)

    # by the mean over 400 series: one series of 500 is worth 20 to 160 degrees of freedom
    assert found.mean() == pytest.approx(variance_of(rho, 50), rel=0.04)


@pytest.mark.parametrize("rho", [0.0, 0.3])
def test_the_degrees_of_freedom_are_those_that_its_spread_shows(rho: float) -> None:
    series = autocorrelated(rho, n=500, wide=1000, seed=2)
    found = long_run(series)
    variance = found.variance(1e9)
    shown = 2 * variance.mean() ** 2 / variance.var()

    assert shown == pytest.approx(found.freedom[0], rel=0.15)


def test_a_series_that_knows_itself_for_longer_says_less_of_itself() -> None:
    short, long = (np.median(long_run(autocorrelated(rho, n=500, wide=50, seed=3)).freedom) for rho in (0.3, 0.9))

    assert short > 5 * long


def test_a_single_value_strays_by_its_own_variance() -> None:
    series = autocorrelated(0.8, n=500, wide=400, seed=4)

    assert long_run(series).variance(1).mean() == pytest.approx(1, rel=0.04)


def test_a_constant_series_strays_by_nothing() -> None:
    assert long_run(np.zeros((50, 1))).variance(10) == 0


def test_a_series_that_swings_around_its_mean_is_given_some_noise() -> None:
    swing = np.tile([[1.0], [-1.0]], (50, 1))

    assert long_run(swing).variance(20) > 0
