"""What a target asks for: counts told from ratings, sizes and amounts by how they vary."""

import numpy as np
import pytest

from retrim.profile.aim import look_like_counts

DRAW = np.random.default_rng(7)


@pytest.mark.parametrize(
    ("numbers", "counts"),
    [
        (DRAW.poisson(0.3, 2000), True),
        (DRAW.poisson(2.0, 2000), True),
        (DRAW.negative_binomial(2, 0.3, 2000), True),  # varies more than its mean, as counts of unlike rows do
        (np.where(DRAW.random(2000) < 0.8, 0, DRAW.poisson(3.0, 2000)), True),
        (DRAW.binomial(5, 0.6, 2000), False),  # ratings vary less than their mean
        (DRAW.poisson(2.0, 2000) + 1, False),  # none is 0
        (DRAW.poisson(200.0, 2000), False),  # that many that errors weigh alike
        (DRAW.poisson(2.0, 2000) / 2, False),  # not whole
        (-DRAW.poisson(2.0, 2000), False),
        (np.zeros(10), False),
    ],
)
def test_whole_numbers_that_vary_at_least_as_counts_do_are_counts(numbers: np.ndarray, *, counts: bool) -> None:
    assert look_like_counts(numbers.astype(float)) == counts


def test_the_dispersion_refuses_true_counts_as_often_as_it_says() -> None:
    # Cochran's test at 1%: of 1,000 samples of Poisson counts about 10 are taken for something else.
    refused = sum(not look_like_counts(DRAW.poisson(3.0, 300).astype(float)) for _ in range(1000))

    assert 1 <= refused <= 25
