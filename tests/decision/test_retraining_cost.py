"""The price in money: worked by hand, said aloud, and read back from the lines it prints."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from retrim.decision.accumulated_gain import GainParams
from retrim.decision.retraining_cost import ModelWorth, MoneyParams, RetrainingCost
from retrim.yaml_files import load_yaml

MONEY = MoneyParams(cost=40, per_unit=0.02, currency="EUR")
amounts = st.floats(1e-6, 1e9)


def accumulated_gain(**changed: object) -> GainParams:
    plain = {"cost": 2000, "cost_unit": "loss", "rows_per_check": 100, "errors": 2.0, "money": MONEY}
    return GainParams.model_validate({**plain, **changed})


def test_a_retraining_of_40_at_2_cents_a_unit_is_worth_2000_units() -> None:
    assert MONEY.retraining_cost == 2000


def test_the_account_is_worth_its_loss_times_the_unit() -> None:
    assert MONEY.worth(500) == 10


def priced(model: ModelWorth | None = None, *, worst_loss: float | None = None) -> RetrainingCost:
    return RetrainingCost(MONEY, "mae", 100, 52.0, model, worst_loss)


def test_before_a_version_the_sentence_names_both_units() -> None:
    assert re.search(r" 40 EUR .* mae .* 2000 .* 200 ", priced().sentence)


def test_the_value_of_a_row_is_that_of_a_check_shared_by_its_rows() -> None:
    assert priced().per_row == pytest.approx(0.0002)


def test_with_a_version_the_sentence_says_when_it_pays_for_itself() -> None:
    said = priced(ModelWorth(800.0, 1300.0)).sentence

    assert "after about 25 batches of a 10% lower loss, or 4 batches of a model as bad as" in said


def test_a_check_that_lost_more_than_the_baseline_says_what_a_change_can_cost() -> None:
    said = priced(ModelWorth(800.0, 1300.0), worst_loss=1800.0).sentence

    assert "or 2 batches as bad as the worst check (mae 1800)" in said


def test_a_cost_that_nothing_in_the_history_could_pay_for_is_called_that() -> None:
    assert "no change that the history has shown could pay" in priced(ModelWorth(80.0, 90.0)).sentence


@given(cost=amounts, per_unit=amounts)
@example(cost=0.001, per_unit=2338786.0)
@example(cost=1e-6, per_unit=1.0)
@example(cost=1e9, per_unit=1e-6)
def test_the_lines_it_prints_are_settings_that_are_taken(cost: float, per_unit: float) -> None:
    retraining_cost = RetrainingCost(
        MoneyParams(cost=cost, per_unit=per_unit, currency="EUR"), "mae", 100, 52.0, None, None
    )
    taken = accumulated_gain(**load_yaml("\n".join(retraining_cost.lines)))

    assert taken.cost == pytest.approx(cost / per_unit, rel=1e-3)


def test_a_price_that_is_not_what_the_money_says_is_refused_with_the_right_one() -> None:
    with pytest.raises(ValidationError, match="set `cost: 2000`, or `money: null`"):
        accumulated_gain(cost=2100)


@pytest.mark.parametrize("wrong", [{"cost": 0}, {"per_unit": -1}, {"currency": ""}])
def test_amounts_are_above_zero(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MoneyParams.model_validate({**MONEY.model_dump(), **wrong})
