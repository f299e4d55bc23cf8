"""The mode of the next version: the cheapest whose expected gain covers its price, worked by hand."""

import pytest

from retrim.training.mode import Mode, PastMode, choose_mode

WORKS: dict[Mode, int] = {"refit": 100, "warm": 300, "search": 1000}


def runs(**gains: list[float]) -> list[PastMode]:
    return [PastMode(mode, gain) for mode, each in gains.items() for gain in each]  # type: ignore[arg-type]


def chosen(past: list[PastMode], *, retraining_cost: float = 1.0, checks: float = 10.0) -> str:
    return choose_mode(past, WORKS, retraining_cost=retraining_cost, checks=checks).mode


def test_without_a_history_it_is_a_refit() -> None:
    assert chosen([]) == "refit"


def test_a_dearer_mode_is_taken_when_its_extra_gain_covers_its_extra_price() -> None:
    # Warm gains 0.3 more at each of ten checks, 3 in all, and costs two refits more.
    assert chosen(runs(refit=[1.0, 1.0], warm=[1.3])) == "warm"


def test_it_is_not_when_that_gain_is_smaller() -> None:
    assert chosen(runs(refit=[1.0, 1.0], warm=[1.15])) == "refit"


def test_the_cheapest_that_covers_its_price_is_taken() -> None:
    # A search gains more, and covers its nine refits more too.
    assert chosen(runs(refit=[1.0], warm=[1.3], search=[2.5])) == "warm"


def test_a_dearer_retraining_asks_for_more() -> None:
    assert chosen(runs(refit=[1.0], warm=[1.3]), retraining_cost=2.0) == "refit"


def test_a_mode_that_nobody_knows_is_tried_after_five_refits_running() -> None:
    assert [chosen(runs(refit=[1.0] * count)) for count in (4, 5)] == ["refit", "warm"]


def test_one_that_failed_once_is_not_tried_for_ever() -> None:
    assert chosen(runs(warm=[0.2], search=[0.1], refit=[1.0] * 9)) == "refit"


@pytest.mark.parametrize("past", [[], runs(refit=[1.0], warm=[1.3]), runs(refit=[1.0] * 5)])
def test_it_says_why(past: list[PastMode]) -> None:
    assert len(choose_mode(past, WORKS, retraining_cost=1.0, checks=10.0).reason) > 20
