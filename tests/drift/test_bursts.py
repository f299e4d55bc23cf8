"""Shares of rows that come in bursts: how rare a count is, against chains that were run."""

import numpy as np
import pytest

from retrim.drift.watched import _of_counts, _skew_of_bursts

ROWS, SHARE, STAYS = 2000, 0.01, 0.8
THINNING = (1 + STAYS) / (1 - STAYS)  # of a geometric burst that goes on with this probability


def counts(windows: int) -> np.ndarray:
    """Rows in bursts, in windows without any change: Poisson many bursts, geometric each."""
    random = np.random.default_rng(1)
    bursts = random.poisson(ROWS * SHARE * (1 - STAYS), size=windows)
    return bursts + np.array([random.negative_binomial(many, 1 - STAYS) if many else 0 for many in bursts])


def said(count: float, *, skew: float) -> float:
    """Standard errors that a count is said to lie above the usual one."""
    new = SHARE + skew * (count / ROWS - SHARE)
    found = _of_counts(np.array([SHARE]), np.array([new]), np.array([ROWS / THINNING / skew**2]))
    return float(found[0])


def test_a_count_of_bursts_is_as_rare_as_is_said() -> None:
    skew = float(_skew_of_bursts(np.array(THINNING), np.array(SHARE)))
    rare = np.quantile(counts(200_000), [0.99865, 0.9999])

    assert [said(count, skew=skew) for count in rare] == pytest.approx([3.0, 3.72], rel=0.06)
    assert said(rare[1], skew=1.0) > 4.0  # thinned to the same variance alone: 30 in a million for 100


@pytest.mark.parametrize(
    ("thinning", "share", "skew"), [(1.0, 0.01, 1.0), (1e6, 0.0, 1.5), (1e6, 0.5, 1.0), (0.5, 0.1, 1.0)]
)
def test_the_skew_lies_between_that_of_lone_rows_and_that_of_endless_bursts(
    thinning: float, share: float, skew: float
) -> None:
    assert float(_skew_of_bursts(np.array(thinning), np.array(share))) == pytest.approx(skew, abs=1e-4)


def test_the_skew_is_that_of_geometric_bursts() -> None:
    sizes = np.random.default_rng(1).geometric(1 - STAYS, size=2_000_000).astype(float)
    first, second, third = (float(np.mean(sizes**power)) for power in (1, 2, 3))

    # cumulants of a sum of Poisson many: rate times the moments of one; of thinned rows: thinning squared for the third
    wanted = (third / first) / (second / first) ** 2
    assert float(_skew_of_bursts(np.array(THINNING), np.array(0.0))) == pytest.approx(wanted, rel=0.01)
