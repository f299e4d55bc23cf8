"""Balanced fits and decisions: weights by hand, chances that come back right, thresholds by what errors cost."""

from typing import Any

import numpy as np
import pytest

from retrim.errors import BadInputError
from retrim.features.view import FeatureView
from retrim.stats.metrics import row_losses
from retrim.training.classes import (
    Balance,
    DecideParams,
    cheapest,
    class_weights,
    cost_of,
    fit_balanced,
    load_balanced,
    sampled,
    threshold_of,
)
from retrim.training.estimators import MODELS, FitTask, outputs
from retrim.training.linear import Linear
from retrim.training.predicted import check_sums

DRAW = np.random.default_rng(5)
ROWS = 6000
X = DRAW.normal(size=(ROWS, 2))
CHANCE = 1 / (1 + np.exp(-(X[:, 0] * 1.5 - 3.5)))  # 6.8% positive
Y = (DRAW.random(ROWS) < CHANCE).astype(int)
SPACES: dict[str, dict[str, Any]] = {
    "logistic": {"l2": 1e-6},
    "gbm": {"num_leaves": 4, "learning_rate": 0.1, "min_child_samples": 20},
}


def view(classes: tuple[str, ...] = ("n", "y"), task: str = "binary") -> FeatureView:
    return FeatureView({"a": "number", "b": "number"}, {}, "y", task, classes)


def fit(kind: str, balance: Balance | None, actual: np.ndarray = Y, of: FeatureView | None = None) -> Any:
    return fit_balanced(
        kind,
        balance,
        of or view(),
        X,
        actual,
        FitTask(loss="log_loss", hyperparameters=SPACES[kind], rounds=40, seed=7, threads=1),
    ).model


def test_every_class_weighs_alike_and_all_together_as_many_as_the_rows() -> None:
    # Of 4 and 1 rows: 5 / (2 * 4) and 5 / (2 * 1).
    assert class_weights(np.array([0, 0, 0, 0, 1])).tolist() == [0.625] * 4 + [2.5]


def test_a_sample_has_all_of_the_rarest_and_as_many_of_the_others_in_order() -> None:
    places = sampled(Y, seed=7)

    assert np.bincount(Y[places]).tolist() == [Y.sum()] * 2
    assert (np.diff(places) > 0).all()
    assert set(np.flatnonzero(Y == 1)) <= set(places)


@pytest.mark.parametrize("kind", list(SPACES))
@pytest.mark.parametrize("balance", ["weights", "sample"])
class TestEveryBalancedKind:
    def test_says_chances_as_frequent_as_they_are(self, kind: str, balance: Balance) -> None:
        assert fit(kind, balance).predict(X).mean() == pytest.approx(Y.mean(), abs=0.015)

    def test_loses_hardly_more_than_one_that_was_not_balanced(self, kind: str, balance: Balance) -> None:
        own, plain = (row_losses("log_loss", Y, fit(kind, each).predict(X)).mean() for each in (balance, None))

        assert own < 1.1 * plain

    def test_is_stored_with_its_correction(self, kind: str, balance: Balance) -> None:
        model = fit(kind, balance)
        stored = load_balanced(kind, view(), model.files())

        assert np.array_equal(stored.predict(X), model.predict(X))
        assert stored.files() == model.files()

    def test_has_scores_that_its_link_turns_into_predictions(self, kind: str, balance: Balance) -> None:
        model = fit(kind, balance)

        assert outputs(model.scores(X), model.link) == pytest.approx(model.predict(X), abs=1e-12)

    def test_has_exact_contributions(self, kind: str, balance: Balance) -> None:
        model = fit(kind, balance)
        check_sums(model.contributions(X), model.scores(X))


def test_the_correction_is_the_ratio_of_odds() -> None:
    # Elkan (2001), theorem 2: from shares of a half to 6.8%, odds are multiplied by 0.068 / 0.932.
    model = fit("logistic", "weights")
    assert isinstance(model.model, Linear)
    before, after = model.model.predict(X), model.predict(X)
    ratio = (after / (1 - after)) / (before / (1 - before))

    assert ratio == pytest.approx(np.full(ROWS, Y.mean() / (1 - Y.mean())), rel=1e-9)


@pytest.mark.parametrize("balance", ["weights", "sample"])
def test_chances_of_several_classes_are_corrected_too(balance: Balance) -> None:
    actual = np.where(Y == 1, 2, (X[:, 1] > 1).astype(int))
    found = fit("logistic", balance, actual, view(("a", "b", "c"), "multiclass")).predict(X)

    assert found.sum(axis=1) == pytest.approx(np.ones(ROWS))
    assert found.mean(axis=0) == pytest.approx(np.bincount(actual) / ROWS, abs=0.03)


def test_a_fit_that_is_not_balanced_is_the_plain_one() -> None:
    assert isinstance(fit("logistic", None), Linear)


@pytest.mark.parametrize("name", ["scale_pos_weight", "is_unbalance", "unbalance"])
def test_what_would_move_chances_without_a_word_is_not_searched(name: str) -> None:
    with pytest.raises(BadInputError, match=r"train\.balance"):
        MODELS["gbm"].check_space([name])


# --- thresholds


def test_exact_chances_are_cut_where_costs_are_even() -> None:
    # Missing a positive costs nine times as much: select from 0.1.
    chances = np.linspace(0.005, 0.995, 100).repeat(1000)
    came = np.tile(np.arange(1000) < 1000 * np.linspace(0.005, 0.995, 100)[:, None], 1).ravel().astype(int)
    chosen = cheapest(chances, came, false_positive=1.0, false_negative=9.0)

    assert chosen.expected == pytest.approx(0.1)
    assert chosen.threshold == pytest.approx(0.1, abs=0.011)


def test_chances_that_are_half_of_what_they_should_be_are_cut_at_half_of_it() -> None:
    came = (DRAW.random(20_000) < np.linspace(0, 1, 20_000)).astype(int)
    chosen = cheapest(np.linspace(0, 1, 20_000) / 2, came, false_positive=1.0, false_negative=1.0)

    assert chosen.threshold == pytest.approx(0.25, abs=0.03)
    assert chosen.cost < chosen.expected_cost


def test_its_cost_is_that_of_the_decisions_it_makes() -> None:
    scores = np.array([0.1, 0.4, 0.6, 0.9])
    came = np.array([0, 1, 0, 1])
    chosen = cheapest(scores, came, false_positive=1.0, false_negative=2.0)

    # Selecting from between 0.1 and 0.4 on takes one negative of four rows.
    assert 0.1 < chosen.threshold <= 0.4
    assert chosen.cost == 0.25
    assert cost_of(scores, came, chosen.threshold, false_positive=1.0, false_negative=2.0) == 0.25


def test_a_threshold_that_a_person_names_is_the_threshold() -> None:
    params = DecideParams(threshold=0.3)

    assert threshold_of(np.array([0.2, 0.4]), np.array([0, 1]), params).threshold == 0.3


@pytest.mark.parametrize(
    "threshold", [0.0, 1.0, "cheap", -1, {"false_positive": 1.0}, {"false_positive": 0.0, "false_negative": 1.0}]
)
def test_a_threshold_that_is_none_is_refused(threshold: Any) -> None:
    with pytest.raises(ValueError, match="threshold"):
        DecideParams(threshold=threshold)
