"""The account: a worked example, never below zero, quiet on noise, awake to a real gain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from retrim.decision.accumulated_gain import AccumulatedGain, GainParams, LifeTotals
from retrim.decision.retraining_cost import ModelWorth
from retrim.errors import RetrimError
from retrim.stats.anytime import RunningSums
from retrim.stats.codec import from_record, to_record

numbers = st.floats(-100, 100)
positive = st.floats(0, 100)


def params(**changed: object) -> GainParams:
    return GainParams.model_validate(
        {
            "cost": 0.5,
            "cost_unit": "loss",
            "rows_per_check": 100,
            "errors": 2.0,
            "money": None,
            **changed,
        }
    )


def test_a_worked_example() -> None:
    # Gains 3 and 1 on usual checks, then 2 on half of one: 3 + 1 + 1; errors 0.6, 0.8 and 1 * 0.5.
    accumulated_gain = (
        AccumulatedGain.empty()
        .deposit(3.0, error=0.6, share=1.0)
        .deposit(1.0, error=0.8, share=1.0)
        .deposit(2.0, error=1.0, share=0.5)
    )

    assert accumulated_gain.balance == pytest.approx(5.0)
    assert accumulated_gain.error == pytest.approx((0.36 + 0.64 + 0.25) ** 0.5)


def test_a_loss_empties_the_account_and_its_noise_with_it() -> None:
    assert AccumulatedGain(2.0, 9.0).deposit(-2.5, error=1.0, share=1.0) == AccumulatedGain.empty()


def test_a_loss_smaller_than_the_balance_is_taken_off() -> None:
    assert AccumulatedGain(2.0, 9.0).deposit(-0.5, error=1.0, share=1.0) == AccumulatedGain(1.5, 10.0, (-0.5,))


@settings(max_examples=100, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["deposit", "debit"]), numbers, positive), max_size=30))
def test_it_never_falls_below_zero(steps: list[tuple[str, float, float]]) -> None:
    accumulated_gain, balances = AccumulatedGain.empty(), [0.0]
    for step, amount, size in steps:
        accumulated_gain = (
            accumulated_gain.debit(abs(amount))
            if step == "debit"
            else accumulated_gain.deposit(amount, error=size, share=size)
        )
        balances.append(accumulated_gain.balance)

    assert min(balances) >= 0


def test_a_refusal_takes_the_price_off() -> None:
    assert AccumulatedGain(5.0, 1.0).debit(2.0) == AccumulatedGain(3.0, 1.0)


def test_a_refusal_dearer_than_the_balance_empties_it() -> None:
    assert AccumulatedGain(5.0, 1.0).debit(6.0) == AccumulatedGain.empty()


def test_its_record_makes_it_anew() -> None:
    accumulated_gain = AccumulatedGain.empty().deposit(0.1, error=0.2, share=1 / 3)

    assert from_record(AccumulatedGain, to_record(accumulated_gain)) == accumulated_gain


# --- when it pays


def test_it_pays_above_the_price_and_above_its_noise() -> None:
    assert AccumulatedGain(5.0, 4.0).pays(4.9, errors=2.0, ahead=0.0)


def test_it_does_not_pay_at_the_price() -> None:
    assert not AccumulatedGain(5.0, 0.0).pays(5.0, errors=2.0, ahead=0.0)


def test_it_does_not_pay_within_its_noise() -> None:
    # Two standard errors are 6.
    assert not AccumulatedGain(5.0, 9.0).pays(1.0, errors=2.0, ahead=0.0)


def retrainings(*, gain: float, retraining_cost: float, errors: float, checks: int, seed: int) -> int:
    """How often a stream of noisy gains of standard error 1 pays; the account is emptied by each retraining."""
    accumulated_gain, count = AccumulatedGain.empty(), 0
    for noise in np.random.default_rng(seed).normal(size=checks):
        accumulated_gain = accumulated_gain.deposit(gain + noise, error=1.0, share=1.0)
        if accumulated_gain.pays(retraining_cost, errors=errors, ahead=0.0):
            accumulated_gain, count = AccumulatedGain.empty(), count + 1
    return count


def test_pure_noise_rarely_pays_even_at_a_tiny_price() -> None:
    # One look of two standard errors is passed by 2.3% of noise; a sum that starts anew looks again and again.
    counts = [retrainings(gain=0.0, retraining_cost=1e-6, errors=2.0, checks=50, seed=seed) for seed in range(200)]

    assert np.mean(counts) < 3


def test_without_its_noise_rule_it_would_pay_at_every_other_check() -> None:
    counts = [retrainings(gain=0.0, retraining_cost=1e-6, errors=0.0, checks=50, seed=seed) for seed in range(50)]

    assert np.mean(counts) > 20


def test_a_real_gain_pays_within_a_few_checks() -> None:
    first = [
        next(n for n in range(1, 51) if retrainings(gain=3.0, retraining_cost=5.0, errors=2.0, checks=n, seed=seed))
        for seed in range(50)
    ]

    assert max(first) <= 4


# --- the price


MODEL = ModelWorth(loss=30.0, naive_loss=50.0)


@pytest.mark.parametrize(("unit", "cost"), [("worth", 10.0), ("loss", 0.5)])
def test_a_price_of_a_half_in_each_unit(unit: str, cost: float) -> None:
    assert params(cost_unit=unit).cost_in_loss(MODEL) == cost


@pytest.mark.parametrize("naive_loss", [20.0, 30.0, 32.9])
def test_a_model_that_is_worth_nothing_is_priced_at_a_quarter_of_its_loss(naive_loss: float) -> None:
    assert ModelWorth(30.0, naive_loss).worth == 7.5


@pytest.mark.parametrize("wrong", [{"cost": 0}, {"errors": -1}, {"rows_per_check": 0}, {"cost_unit": "euro"}])
def test_a_setting_out_of_bounds_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        params(**wrong)


def test_it_is_held_to_the_price_with_what_the_next_checks_will_add() -> None:
    # Deposits 9, 1, 2, 3: the newest three say 2 a check, so two checks more make 15 + 4.
    accumulated_gain = AccumulatedGain.empty()
    for gain in (9.0, 1.0, 2.0, 3.0):
        accumulated_gain = accumulated_gain.deposit(gain, error=0.1, share=1.0)

    assert accumulated_gain.expected(2.0) == pytest.approx(19.0)
    assert accumulated_gain.pays(18.9, errors=2.0, ahead=2.0)
    assert not accumulated_gain.pays(19.1, errors=2.0, ahead=2.0)


def test_losses_to_come_are_not_expected() -> None:
    accumulated_gain = AccumulatedGain.empty().deposit(9.0, error=0.1, share=1.0).deposit(-4.0, error=0.1, share=1.0)
    accumulated_gain = accumulated_gain.deposit(-4.0, error=0.1, share=1.0).deposit(-0.5, error=0.1, share=1.0)

    assert accumulated_gain.expected(2.0) == accumulated_gain.balance


def test_what_is_expected_does_not_excuse_noise() -> None:
    assert not AccumulatedGain(5.0, 9.0, (5.0,)).pays(1.0, errors=2.0, ahead=2.0)


@pytest.mark.parametrize("sums", [AccumulatedGain.empty(), LifeTotals.empty(), RunningSums.empty()])
def test_stored_sums_that_lack_one_are_damaged_and_not_read_as_nothing(sums: object) -> None:
    record = to_record(sums)
    for name in ("balance", "loss", "total"):
        record.pop(name, None)

    with pytest.raises(RetrimError, match="damaged"):
        from_record(type(sums), record)
