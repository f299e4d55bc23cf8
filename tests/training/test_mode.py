"""The mode of the next version: a search where its expected gain covers its price, worked by hand."""

import pytest

from retrim.training.mode import Mode, PastMode, choose_mode

WORKS: dict[Mode, int] = {"refit": 100, "search": 300}


def runs(**gains: list[float]) -> list[PastMode]:
    return [PastMode(mode, gain) for mode, each in gains.items() for gain in each]  # type: ignore[arg-type]


def chosen(past: list[PastMode], *, retraining_cost: float = 1.0, checks: float = 10.0) -> str:
    return choose_mode(past, WORKS, retraining_cost=retraining_cost, checks=checks).mode


def test_without_a_history_it_is_a_refit() -> None:
    assert chosen([]) == "refit"


def test_a_search_is_taken_when_its_extra_gain_covers_its_extra_price() -> None:
    # It gains 0.3 more at each of ten checks, 3 in all, and costs two refits more.
    assert chosen(runs(refit=[1.0, 1.0], search=[1.3])) == "search"


def test_it_is_not_when_that_gain_is_smaller() -> None:
    assert chosen(runs(refit=[1.0, 1.0], search=[1.15])) == "refit"


def test_a_dearer_retraining_asks_for_more() -> None:
    assert chosen(runs(refit=[1.0], search=[1.3]), retraining_cost=2.0) == "refit"


def test_a_search_that_nobody_knows_is_tried_after_five_refits_running() -> None:
    assert [chosen(runs(refit=[1.0] * count)) for count in (4, 5)] == ["refit", "search"]


def test_one_that_failed_once_is_not_tried_for_ever() -> None:
    assert chosen(runs(search=[0.1], refit=[1.0] * 9)) == "refit"


@pytest.mark.parametrize("past", [[], runs(refit=[1.0], search=[1.3]), runs(refit=[1.0] * 5)])
def test_it_says_why(past: list[PastMode]) -> None:
    assert len(choose_mode(past, WORKS, retraining_cost=1.0, checks=10.0).reason) > 20
