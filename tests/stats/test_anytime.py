"""Evidence by an e-process: worked by hand where a closed form is known, and simulated where the promise is."""

import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import example, given, settings

from retrim.stats.anytime import PRIOR, RunningSums, log_evidence, lower_bound

numbers = st.floats(-100, 100).map(lambda value: round(value, 3))
series = st.lists(numbers, min_size=1, max_size=30)


def sums_of(values: "np.ndarray | list[float]") -> RunningSums:
    sums = RunningSums.empty()
    for value in values:
        sums = sums.plus(float(value))
    return sums


def ar(rng: np.random.Generator, count: int, *, alike: float) -> np.ndarray:
    """Numbers each of which resembles the one before."""
    noise, found = rng.normal(size=count), np.zeros(count)
    for place in range(count):
        found[place] = noise[place] + (alike * found[place - 1] if place else 0.0)
    return found


@settings(deadline=None)
@given(series)
def test_both_sides_together_are_the_known_two_sided_bet(values: list[float]) -> None:
    # Averaged over delta of either sign the half-normal bets are the normal one of Rouder et al. (2009).
    sums = sums_of(values)
    n = sums.count * (1 - sums.alike) / (1 + sums.alike)
    squares = n * sums.mean**2 + sums.spread * n / sums.count
    share = (n * sums.mean) ** 2 / squares * PRIOR / (1 + n * PRIOR) if squares > 0 else 0.0
    if n < 2:
        assert log_evidence(sums, above=0.0) == 0.0
        return
    by_hand = -math.log1p(n * PRIOR) / 2 - n / 2 * math.log1p(-share)
    turned = sums_of([-value for value in values])
    both = np.logaddexp(log_evidence(sums, above=0.0), log_evidence(turned, above=0.0)) - math.log(2)

    assert both == pytest.approx(by_hand, abs=1e-4)


@settings(deadline=None)
@given(series, st.floats(0.01, 100))
@example([25.703] * 5, 0.01171875)
@example([0.1, 0.1, 0.1, 0.1, 0.1, 0.1], 0.3)
def test_the_unit_of_the_numbers_changes_nothing(values: list[float], unit: float) -> None:
    one, other = sums_of(values), sums_of([unit * value for value in values])

    assert log_evidence(other, above=0.0) == pytest.approx(log_evidence(one, above=0.0), abs=1e-4)


@pytest.mark.slow
@settings(deadline=None)
@given(series, st.floats(0.01, 100))
@example([25.703] * 80, 0.01171875)
def test_the_bound_is_in_the_unit_of_the_numbers(values: list[float], unit: float) -> None:
    one, other = (lower_bound(sums_of([by * value for value in values]), alpha=0.2) for by in (1.0, unit))

    assert other == pytest.approx(unit * one, rel=1e-4, abs=1e-7)


def test_numbers_that_never_change_count_for_fewest() -> None:
    # A rare event that has not come yet: its losses are alike, and say little of those when it comes.
    assert log_evidence(sums_of([0.02] * 30), above=0.0) == 0.0
    assert log_evidence(sums_of([0.02] * 200), above=0.0) > math.log(20)


@pytest.mark.parametrize("count", [5, 12, 100])
def test_what_only_rounding_sets_apart_is_the_same_number(count: int) -> None:
    apart = [0.3 if place % 2 else 0.1 + 0.2 for place in range(count)]

    assert log_evidence(sums_of(apart), above=0.0) == log_evidence(sums_of([0.3] * count), above=0.0)


def test_a_large_mean_hides_no_spread() -> None:
    near, far = sums_of([1.0, 4.0, 2.0, 5.0]), sums_of([1e8 + 1.0, 1e8 + 4.0, 1e8 + 2.0, 1e8 + 5.0])

    assert (far.spread, far.alike) == pytest.approx((near.spread, near.alike))


@settings(deadline=None)
@given(series, st.floats(0, 50))
def test_a_lower_bar_is_passed_with_more_evidence(values: list[float], lower: float) -> None:
    sums = sums_of(values)

    assert log_evidence(sums, above=-lower) >= log_evidence(sums, above=0.0) - 1e-4


def test_the_sums_say_what_the_numbers_say() -> None:
    values = [1.0, 4.0, 2.0, 5.0]
    sums = sums_of(values)

    assert (sums.mean, sums.spread) == (3.0, 10.0)
    assert sums.alike == pytest.approx(1 / 4)  # neighbours are opposed: only what is added for few numbers is left


def test_numbers_that_resemble_their_neighbours_are_known_to() -> None:
    found = [sums_of(ar(np.random.default_rng(seed), 400, alike=0.6)).alike for seed in range(20)]

    assert np.mean(found) == pytest.approx(0.6, abs=0.03)


def test_without_a_difference_the_evidence_is_worth_one_at_most() -> None:
    rng = np.random.default_rng(5)
    worth = np.mean([math.exp(log_evidence(sums_of(rng.normal(size=12)), above=0.0)) for _ in range(1500)])

    assert worth < 1.1


@pytest.mark.slow
@pytest.mark.parametrize("alike", [0.0, 0.1])
def test_without_a_difference_one_in_twenty_is_found_at_most_however_often_one_looks(alike: float) -> None:
    rng, found, tries = np.random.default_rng(11), 0, 150
    for _ in range(tries):
        sums = RunningSums.empty()
        for place, value in enumerate(ar(rng, 52, alike=alike)):
            sums = sums.plus(float(value))
            if place % 2 and log_evidence(sums, above=0.0) >= math.log(20):
                found += 1
                break

    assert found / tries <= 0.05


def test_a_difference_of_one_standard_deviation_is_found_within_thirty_numbers() -> None:
    rng = np.random.default_rng(3)
    found = [log_evidence(sums_of(rng.normal(1.0, 1.0, size=30)), above=0.0) >= math.log(20) for _ in range(100)]

    assert np.mean(found) > 0.92


def test_the_bound_is_where_the_evidence_is_just_enough() -> None:
    sums = sums_of(np.random.default_rng(3).normal(1.0, 1.0, size=40))
    bound = lower_bound(sums, alpha=0.05)

    assert 0.3 < bound < sums.mean
    assert log_evidence(sums, above=bound) == pytest.approx(math.log(20), abs=1e-6)


def test_one_number_bounds_nothing() -> None:
    assert lower_bound(sums_of([3.0]), alpha=0.05) == -math.inf
    assert lower_bound(RunningSums.empty(), alpha=0.05) == -math.inf
