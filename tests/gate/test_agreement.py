"""A final fit agrees with the judged fit, or the judged fit predicts."""

import numpy as np
import pytest

from retrim.gate.agreement import AgreementParams, agree, aligned
from retrim.gate.verdict import ScoredModel

BOUNDS = AgreementParams(difference=0.1, loss=0.05)
SAID = np.linspace(0.0, 100.0, 201)  # from its 5th to its 95th percentile: 90


def regression(predicted: np.ndarray, *, loss: float = 1.0) -> ScoredModel:
    return ScoredModel(predicted, predicted, (), np.full(len(predicted), loss), None)


def classes(probabilities: list[list[float]], names: str, *, loss: float = 1.0) -> ScoredModel:
    predicted = np.array(probabilities)
    return ScoredModel(
        predicted, np.zeros(len(predicted), dtype=int), tuple(names), np.full(len(predicted), loss), None
    )


@pytest.mark.parametrize(("moved", "agrees"), [(0.0, True), (8.9, True), (9.1, False)])
def test_predictions_may_move_by_a_share_of_their_spread(moved: float, agrees: bool) -> None:  # noqa: FBT001
    assert agree("all", regression(SAID), regression(SAID + moved), BOUNDS).promote is agrees


def test_one_row_in_a_hundred_may_move_further() -> None:
    one, three = SAID.copy(), SAID.copy()
    one[0], three[:4] = 900.0, 900.0

    assert agree("all", regression(SAID), regression(one), BOUNDS).promote
    assert not agree("all", regression(SAID), regression(three), BOUNDS).promote


@pytest.mark.parametrize(("loss", "agrees"), [(0.5, True), (1.04, True), (1.06, False)])
def test_its_loss_may_be_less_but_hardly_more(loss: float, agrees: bool) -> None:  # noqa: FBT001
    found = agree("all", regression(SAID), regression(SAID, loss=loss), BOUNDS)

    assert found.promote is agrees
    assert found.losses == pytest.approx({"all": loss, "champion": 1.0})


def test_probabilities_are_compared_by_class_and_not_by_place() -> None:
    before = classes([[0.7, 0.3]] * 50, "bc")
    after = classes([[0.0, 0.7, 0.3]] * 50, "abc")

    assert agree("all", before, after, BOUNDS).checks[1].figure == 0
    assert aligned(before.predicted, "bc", "abc")[0].tolist() == [0.0, 0.7, 0.3]


def test_what_a_new_class_is_given_counts_as_a_change() -> None:
    before = classes([[0.7, 0.3]] * 50, "bc")
    after = classes([[0.2, 0.5, 0.3]] * 50, "abc")

    assert agree("all", before, after, BOUNDS).checks[1].figure == pytest.approx(0.2)


def test_a_constant_model_agrees_only_with_itself() -> None:
    constant = np.full(50, 3.0)

    assert agree("all", regression(constant), regression(constant), BOUNDS).promote
    assert not agree("all", regression(constant), regression(constant + 1e-6), BOUNDS).promote


def test_without_a_row_that_judged_nothing_agrees() -> None:
    none = regression(np.empty(0))

    assert not agree("all", none, none, BOUNDS).promote
