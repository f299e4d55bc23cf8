"""Which law a column follows: found on draws of a known law, and honestly none."""

import numpy as np
import pytest
from scipy import stats

from retrim.profile.columns import BOUND, LEAST, fit_distribution

ROWS = 5000
DRAWN = {
    "normal": (lambda draw: draw.normal(10, 3, ROWS), False),
    "log-normal": (lambda draw: draw.lognormal(1, 0.8, ROWS), False),
    "exponential": (lambda draw: draw.exponential(4, ROWS), False),
    "gamma": (lambda draw: draw.gamma(3, 2, ROWS), False),
    "uniform": (lambda draw: draw.uniform(-2, 5, ROWS), False),
    "Poisson": (lambda draw: draw.poisson(4, ROWS), True),
    "zero-inflated Poisson": (lambda draw: draw.poisson(5, ROWS) * (draw.uniform(size=ROWS) > 0.4), True),
    "zero-inflated gamma": (lambda draw: draw.gamma(3, 2, ROWS) * (draw.uniform(size=ROWS) > 0.4), False),
}


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_law_is_found_on_draws_of_it(name: str, seed: int) -> None:
    draw, whole = DRAWN[name]
    law = fit_distribution(np.asarray(draw(np.random.default_rng(seed)), dtype="float64"), whole=whole)

    assert law is not None
    assert (law.name, law.fits) == (name, True)


def test_the_parameters_are_those_that_were_drawn_with() -> None:
    # Standard errors of 5,000 draws: 3 / sqrt(5000) = 0.042 of the mean, 3 / sqrt(10000) = 0.03 of the deviation.
    law = fit_distribution(np.random.default_rng(1).normal(10, 3, ROWS), whole=False)

    assert law is not None
    assert law.parameters == pytest.approx({"mean": 10, "sd": 3}, abs=0.13)


def test_the_shape_of_a_gamma_is_the_likeliest() -> None:
    drawn = np.random.default_rng(5).gamma(3, 2, ROWS)
    law = fit_distribution(drawn, whole=False)
    shape, _, scale = stats.gamma.fit(drawn, floc=0)

    assert law is not None
    assert law.parameters == pytest.approx({"shape": shape, "scale": scale}, rel=1e-4)


def test_extra_zeros_are_told_from_those_of_the_law() -> None:
    # 40 % extra zeros; a Poisson of mean 1 has 37 % of its own in the rest.
    draw = np.random.default_rng(2)
    law = fit_distribution((draw.poisson(1, ROWS) * (draw.uniform(size=ROWS) > 0.4)).astype("float64"), whole=True)

    assert law is not None
    assert law.parameters == pytest.approx({"extra zeros": 0.4, "mean": 1}, abs=0.08)


def test_one_far_value_does_not_make_whole_numbers_uniform() -> None:
    values = np.round(np.random.default_rng(1).normal(1000, 100, ROWS))
    law = fit_distribution(np.append(values[1:], 100_000.0), whole=True)

    assert law is not None
    assert law.name != "uniform"


@pytest.mark.parametrize(("least", "most"), [(1, 6), (0, 9), (-3, 20)], ids=["die", "digit", "below zero"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whole_numbers_that_come_alike_often_are_uniform(least: int, most: int, seed: int) -> None:
    law = fit_distribution(np.random.default_rng(seed).integers(least, most + 1, ROWS).astype("float64"), whole=True)

    assert law is not None
    assert (law.name, law.fits) == ("uniform", True)
    assert dict(law.parameters) == {"from": least, "to": most}


def test_two_heaps_fit_no_law() -> None:
    draw = np.random.default_rng(1)
    law = fit_distribution(
        draw.permutation(np.concatenate([draw.normal(-5, 1, 2500), draw.normal(5, 1, 2500)])), whole=False
    )

    assert law is not None
    assert not law.fits
    assert law.text.startswith("none fits")


def test_the_distance_of_a_uniform_from_the_likeliest_normal_is_that_of_theory() -> None:
    # Of mean 0 and deviation sqrt(1/3) both; one value at 3 keeps the likeliest law from being the uniform one.
    grid = np.linspace(-1, 1, 200_001)
    theory = float(np.abs((grid + 1) / 2 - stats.norm(0, np.sqrt(1 / 3)).cdf(grid)).max())
    law = fit_distribution(np.append(np.linspace(-1, 1, ROWS - 1), 3.0), whole=False)

    assert law is not None
    assert law.name == "normal"
    assert law.distance == pytest.approx(theory, abs=0.003)
    assert theory > BOUND


@pytest.mark.parametrize(
    "values",
    [
        np.zeros(0),
        np.arange(LEAST - 1.0),
        np.full(500, 3.0),
        np.repeat([1.0, 2.0], 300),
        np.linspace(1e200, 1e300, 500),
    ],
    ids=["none", "few", "constant", "two values", "beyond squares"],
)
def test_nothing_is_said_where_nothing_can_be(values: np.ndarray) -> None:
    assert fit_distribution(values, whole=False) is None
