"""The best schedule in hindsight: no other schedule is cheaper, and later knowledge never helps."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrim.decision.policy_backtest import PolicyDelays
from retrim.decision.policy_compare import best_in_hindsight

WINDOWS = 6


def random_totals(seed: int, kinds: int) -> np.ndarray:
    """Losses of any shape: a newer model may be worse, and a loss is 0 now and then."""
    draw = np.random.default_rng(seed)
    totals = np.round(draw.gamma(0.7, 2.0, size=(kinds, WINDOWS, WINDOWS)), 2)
    totals[:, np.arange(WINDOWS)[:, None] > np.arange(WINDOWS)] = np.nan
    return totals


def cost_of(totals: np.ndarray, checks: tuple[int, ...], delays: PolicyDelays, retraining_cost: float) -> float:
    """Loss of a schedule, window by window, the best training window for each of its models, and its price."""
    spans = [(0, 0), *((max(check - delays.age, 0), check) for check in checks)]
    ends = [*(since for _, since in spans[1:]), WINDOWS]
    losses = [totals[:, model, since:end].sum(axis=1).min() for (model, since), end in zip(spans, ends, strict=True)]
    return float(sum(losses) + retraining_cost * len(checks))


def schedules() -> list[tuple[int, ...]]:
    """Every schedule."""
    return [checks for count in range(WINDOWS) for checks in combinations(range(1, WINDOWS), count)]


case = given(
    seed=st.integers(0, 10_000),
    kinds=st.integers(1, 2),
    labels=st.integers(0, 2),
    held_back=st.integers(0, 1),
    retraining_cost=st.sampled_from([0.0, 0.3, 1.0, 5.0]),
)


@case
@settings(max_examples=150, deadline=None)
def test_no_schedule_costs_less(seed: int, kinds: int, labels: int, held_back: int, retraining_cost: float) -> None:
    totals, delays = random_totals(seed, kinds), PolicyDelays(labels, held_back)
    costs = [cost_of(totals, checks, delays, retraining_cost) for checks in schedules()]

    assert best_in_hindsight(totals, delays, retraining_cost=retraining_cost).cost(retraining_cost) == pytest.approx(
        min(costs)
    )


@case
@settings(max_examples=100, deadline=None)
def test_its_cost_is_that_of_its_own_checks(
    seed: int, kinds: int, labels: int, held_back: int, retraining_cost: float
) -> None:
    totals, delays = random_totals(seed, kinds), PolicyDelays(labels, held_back)
    found = best_in_hindsight(totals, delays, retraining_cost=retraining_cost)

    assert found.cost(retraining_cost) == pytest.approx(cost_of(totals, found.checks, delays, retraining_cost))


@given(seed=st.integers(0, 10_000), labels=st.integers(0, 2), retraining_cost=st.floats(0, 5))
@settings(max_examples=100, deadline=None)
def test_a_longer_delay_never_lowers_its_cost_where_a_newer_model_is_never_worse(
    seed: int, labels: int, retraining_cost: float
) -> None:
    aging = np.random.default_rng(seed).gamma(0.7, 2.0, size=(1, WINDOWS, WINDOWS))
    totals = np.cumsum(aging[:, ::-1], axis=1)[:, ::-1]  # the older a model, the more it loses on each window
    totals[:, np.arange(WINDOWS)[:, None] > np.arange(WINDOWS)] = np.nan
    now = best_in_hindsight(totals, PolicyDelays(labels, 0), retraining_cost=retraining_cost).cost(retraining_cost)

    assert (
        best_in_hindsight(totals, PolicyDelays(labels + 1, 0), retraining_cost=retraining_cost).cost(retraining_cost)
        >= now - 1e-9
    )


@given(seed=st.integers(0, 10_000), kinds=st.integers(1, 2))
@settings(max_examples=50, deadline=None)
def test_free_retrainings_leave_nothing_to_gain_by_always_retraining(seed: int, kinds: int) -> None:
    totals, delays = random_totals(seed, kinds), PolicyDelays(0, 0)
    always = cost_of(totals, tuple(range(1, WINDOWS)), delays, 0.0)

    assert best_in_hindsight(totals, delays, retraining_cost=0.0).cost(0.0) <= always + 1e-9


def test_a_price_above_every_gain_retrains_never() -> None:
    assert best_in_hindsight(random_totals(3, 2), PolicyDelays(0, 0), retraining_cost=1e6).checks == ()


def test_the_one_retraining_that_pays_is_found() -> None:
    # By hand: with the first models a window costs 1 until window 3, then 5; with one made at 4 or later 1 again.
    totals = np.ones((1, WINDOWS, WINDOWS))
    totals[0, :4, 3:] = 5.0

    assert best_in_hindsight(totals, PolicyDelays(0, 0), retraining_cost=1.0).checks == (4,)
