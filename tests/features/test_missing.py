"""Missing cells: figures by hand."""

import pytest

from tests.builders.one import made, numbers, past, words


@pytest.mark.parametrize(("name", "value"), [("fill_mean", 4.0), ("fill_median", 2.0), ("fill_mode", 2.0)])
def test_a_missing_number_is_filled_with_what_training_has_in_the_middle(name: str, value: float) -> None:
    assert made(name, past({"km": numbers(2, None, 2, 8)}))["km"] == [2, value, 2, 8]


def test_of_levels_as_frequent_as_one_another_the_first_in_order_fills() -> None:
    assert made("fill_mode", past({"weather": words("rain", "dry", None)}))["weather"] == ["rain", "dry", "dry"]


def test_the_indicator_says_which_cells_are_missing_and_leaves_them() -> None:
    assert made("missing_indicator", past({"km": numbers(1, None)})) == {"km:missing": [0.0, 1.0]}
