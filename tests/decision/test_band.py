"""The reference band: its width is that of theory, and an unchanged window stays within it."""

import numpy as np
import pytest

from retrim.decision.band import Band, BandParams, reference_band

DRAW = np.random.default_rng(7)


def band(losses: np.ndarray, *, rows: int, block_rows: int = 10) -> Band | None:
    return reference_band(losses, rows=rows, block_rows=block_rows, draws=4000, seed=1)


def test_its_width_is_the_noise_of_both_means() -> None:
    # Means of 500 and 2,000 rows of standard deviation 2: variance 4 / 500 + 4 / 2000.
    found = band(DRAW.normal(5, 2, 2000), rows=500)

    assert found is not None
    assert found.sd == pytest.approx((4 / 500 + 4 / 2000) ** 0.5, rel=0.15)
    assert found.iqr == pytest.approx(1.349 * found.sd, rel=0.08)


def test_a_longer_window_has_a_narrower_band() -> None:
    losses = DRAW.normal(5, 2, 2000)
    short, long = band(losses, rows=50), band(losses, rows=800)

    assert short is not None
    assert long is not None
    assert long.sd < 0.6 * short.sd


@pytest.mark.parametrize("rows", [30, 50, 60, 97])
def test_its_width_is_that_of_a_window_that_is_no_whole_number_of_blocks(rows: int) -> None:
    found = band(np.random.default_rng(3).normal(5, 2, 2000), rows=rows, block_rows=48)

    assert found is not None
    assert found.sd == pytest.approx((4 / rows + 4 / 2000) ** 0.5, rel=0.1)


@pytest.mark.slow
def test_errors_that_stay_alike_for_days_widen_it() -> None:
    alike = np.repeat(DRAW.normal(5, 2, 200), 10)
    by_rows, by_days = band(alike, rows=200, block_rows=1), band(alike, rows=200, block_rows=20)

    assert by_rows is not None
    assert by_days is not None
    assert by_days.sd > 2 * by_rows.sd


def test_a_reference_of_few_blocks_has_no_band() -> None:
    assert band(DRAW.normal(5, 2, 39), rows=20) is None


def test_an_unchanged_window_is_rarely_above_three_interquartile_ranges() -> None:
    params = BandParams(unit="iqr", reach=3.0)
    above = 0
    for _ in range(100):
        losses = DRAW.gamma(2, 2, 600)
        found = band(losses[:400], rows=200)
        assert found is not None
        above += losses[400:].mean() > found.top(params)

    assert above <= 1


def test_its_top_is_so_many_units_above_its_middle() -> None:
    found = Band(centre=10.0, iqr=2.0, sd=1.0)

    assert found.top(BandParams(unit="iqr", reach=3.0)) == 16.0
    assert found.top(BandParams(unit="sd", reach=3.0)) == 13.0
