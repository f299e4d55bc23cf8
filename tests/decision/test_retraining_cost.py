"""The price in money: worked by hand, said aloud, and read back from the lines it prints."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from retrim.decision.accumulated_gain import GainParams, MoneyParams, RetrainingCost
from retrim.files import load_yaml

MONEY = MoneyParams(cost=40, per_unit=0.02, currency="EUR")
amounts = st.floats(1e-6, 1e9)


def accumulated_gain(**changed: object) -> GainParams:
    plain = {"cost": 2000, "cost_unit": "loss", "rows_per_check": 100, "errors": 2.0, "ahead": 0.0, "money": MONEY}
    return GainParams.model_validate({**plain, **changed})


def test_a_retraining_of_40_at_2_cents_a_unit_is_worth_2000_units() -> None:
    assert MONEY.retraining_cost == 2000


def test_the_account_is_worth_its_loss_times_the_unit() -> None:
    assert MONEY.worth(500) == 10


def test_the_sentence_names_both_units() -> None:
    assert re.search(r" 40 EUR .* mae .* 2000 .* 200 ", RetrainingCost(MONEY, "mae", None).sentence)


def test_with_a_version_the_price_is_also_a_multiple_of_its_loss() -> None:
    retraining_cost = RetrainingCost(MONEY, "mae", 80.0)

    assert retraining_cost.first_losses == 25
    assert retraining_cost.sentence.endswith("that is 25 times the loss of version 1 on its holdout rows, 80.")


@given(cost=amounts, per_unit=amounts)
@example(cost=0.001, per_unit=2338786.0)
@example(cost=1e-6, per_unit=1.0)
@example(cost=1e9, per_unit=1e-6)
def test_the_lines_it_prints_are_settings_that_are_taken(cost: float, per_unit: float) -> None:
    retraining_cost = RetrainingCost(MoneyParams(cost=cost, per_unit=per_unit, currency="EUR"), "mae", None)
    taken = accumulated_gain(**load_yaml("\n".join(retraining_cost.lines)))

    assert taken.cost == pytest.approx(cost / per_unit, rel=1e-3)


@pytest.mark.parametrize("wrong", [{"cost": 2100}, {"cost_unit": "first_loss"}])
def test_a_price_that_is_not_what_the_money_says_is_refused_with_the_right_one(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="set `cost: 2000` and `cost_unit: loss`, or `money: null`"):
        accumulated_gain(**wrong)


@pytest.mark.parametrize("wrong", [{"cost": 0}, {"per_unit": -1}, {"currency": ""}])
def test_amounts_are_above_zero(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MoneyParams.model_validate({**MONEY.model_dump(), **wrong})
