"""What a target asks for: counts told from ratings, sizes and amounts by how they vary."""

import numpy as np
import pytest

from retrim.profile.aim import look_like_counts

DRAW = np.random.default_rng(7)


@pytest.mark.parametrize(
    "counts",
    [
        DRAW.poisson(0.3, 2000),
        DRAW.poisson(2.0, 2000),
        DRAW.negative_binomial(2, 0.3, 2000),  # varies more than its mean, as counts of unlike rows do
        np.where(DRAW.random(2000) < 0.8, 0, DRAW.poisson(3.0, 2000)),
    ],
    ids=["rare", "few", "overdispersed", "many zeros"],
)
def test_whole_numbers_that_vary_at_least_as_counts_do_are_counts(counts: np.ndarray) -> None:
    assert look_like_counts(counts.astype(float))


@pytest.mark.parametrize(
    "others",
    [
        DRAW.binomial(5, 0.6, 2000),  # they vary less than their mean
        DRAW.poisson(2.0, 2000) + 1,  # none is 0
        DRAW.poisson(200.0, 2000),  # that many that errors weigh alike
        DRAW.poisson(2.0, 2000) / 2,  # not whole
        -DRAW.poisson(2.0, 2000),
        np.zeros(10),
    ],
    ids=["ratings", "from 1", "many", "halves", "below 0", "nothing"],
)
def test_other_numbers_are_not(others: np.ndarray) -> None:
    assert not look_like_counts(others.astype(float))


def test_the_dispersion_refuses_true_counts_as_often_as_it_says() -> None:
    # Cochran's test at 1%: of 1,000 samples of Poisson counts about 10 are taken for something else.
    refused = sum(not look_like_counts(DRAW.poisson(3.0, 300).astype(float)) for _ in range(1000))

    assert 1 <= refused <= 25
