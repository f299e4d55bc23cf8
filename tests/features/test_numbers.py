"""Outliers: fences worked by hand, and a long tail that is left alone."""

import pytest

from tests.builders.one import learn, made, numbers, past

FAR = numbers(*range(1, 20), 500)  # quartiles 5.75 and 15.25: fences at -8.5 and 29.5


@pytest.mark.parametrize(("by", "ends"), [("iqr", [-2.0, 14.0]), ("zscore", [6 - 1.5 * 8**0.5, 6 + 1.5 * 8**0.5])])
def test_fences_are_those_worked_by_hand(by: str, ends: list[float]) -> None:
    # 2, 4, 6, 8, 10: quartiles 4 and 8, so 1.5 times 4 beyond; mean 6, deviation the root of 8.
    found = learn("clip", past({"km": numbers(2, 4, 6, 8, 10)}), by=by, reach=1.5, at_most=1.0).state.fences["km"]

    assert found == pytest.approx(ends)


def test_a_number_beyond_a_fence_is_held_there() -> None:
    assert made("clip", past({"km": FAR}), by="iqr", reach=1.5, at_most=0.1)["km"] == [*range(1, 20), 29.5]


def test_more_beyond_the_fences_than_the_share_are_valid_though_rare() -> None:
    learned = learn("clip", past({"km": FAR}), by="iqr", reach=1.5, at_most=0.04)

    assert learned.state.fences == {"km": None}
    assert learned.said["km"]["kept as a tail"]
