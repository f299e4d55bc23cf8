"""A blend: where each of its kinds is the right one, and what cannot be blended."""

from typing import Any

import numpy as np
import pytest

from retrim.errors import BadInputError
from retrim.features.view import FeatureView
from retrim.training.estimators import MODELS
from retrim.training.stack import BASES, Stack, StackEstimator, link_of

X = np.random.default_rng(1).normal(size=(600, 2))
STACK = StackEstimator()
NOISE = 0.3 * np.random.default_rng(2).normal(size=600)
SPACE = {"gbm.num_leaves": 15, "gbm.min_child_samples": 5, "linear.l2": 0.001, "held_share": 0.3}


def fit(actual: np.ndarray, *, task: str = "regression", loss: str = "mse", **changed: Any) -> Stack:
    classes = ("n", "y") if task == "binary" else ()
    made = MODELS["stack"].fit(
        FeatureView({"a": "number", "b": "number"}, {}, "y", task, classes),
        X,
        actual,
        loss=loss,
        hyperparameters={**SPACE, **changed},
        rounds=40,
        weights=None,
        stop=None,
        patience=1,
        seed=7,
        threads=1,
    )
    assert isinstance(made.model, Stack)
    return made.model


def test_a_line_is_left_to_the_linear_kind() -> None:
    model = fit(2 * X[:, 0] + NOISE)

    assert dict(zip(model.bases, model.shares, strict=True))["linear"] > 0.75


def test_a_step_is_left_to_the_trees() -> None:
    model = fit(3.0 * (X[:, 0] * X[:, 1] > 0) + NOISE)

    assert dict(zip(model.bases, model.shares, strict=True))["gbm"] > 0.75


def test_shares_sum_to_one_and_scores_are_their_blend() -> None:
    model = fit(2 * X[:, 0] + (X[:, 1] > 0) + NOISE)
    gbm, linear = (base.scores(X) for base in model.bases.values())

    assert sum(model.shares) == pytest.approx(1.0)
    assert model.scores(X) == pytest.approx(model.shares[0] * gbm + model.shares[1] * linear)


def test_the_files_of_each_kind_lie_side_by_side() -> None:
    assert set(fit(X[:, 0]).files()) == {"stack.json", "gbm.model.txt", "linear.linear.json"}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["gbm.num_leaves", "linear.l2"], "stack needs 'held_share'"),
        (["held_share", "gbm.num_leaves"], "two or more estimators, but parameters are listed only for gbm"),
        (
            ["held_share", "num_leaves"],
            "'num_leaves' is not a parameter of a stack; write held_share, or ESTIMATOR.PARAMETER",
        ),
        (["held_share", "stack.held_share"], "'stack.held_share' is not a parameter of a stack"),
        (
            ["held_share", "gbm.num_leavs", "linear.l2"],
            r"in a stack, for gbm: .*'num_leavs' is not a parameter of LightGBM",
        ),
        (
            ["held_share", "gbm.num_leaves", "linear.l3"],
            r"in a stack, for linear: .*'l3' is not a parameter of linear",
        ),
    ],
)
def test_a_space_that_is_none_is_refused(names: list[str], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        MODELS["stack"].check_space(names)


def test_scores_that_mean_other_things_are_not_blended() -> None:
    with pytest.raises(BadInputError, match=r"\(forest: identity, gbm: log, linear: log\)"):
        fit(np.abs(np.floor(X[:, 0])), loss="poisson", **{"forest.num_leaves": 7})


def test_a_base_of_another_task_says_so() -> None:
    with pytest.raises(BadInputError, match=r"linear .*'log_loss' .*\bbinary target\b"):
        fit((X[:, 0] > 0).astype(int), task="binary", loss="log_loss")


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with pytest.raises(BadInputError, match="held_share is "):
        fit(X[:, 0], held_share=share)


@pytest.mark.parametrize(
    ("kinds", "task", "loss", "said"),
    [
        (("forest", "gbm"), "binary", "log_loss", r"its estimators use several \(forest: chance, gbm: log odds\)"),
        (("forest", "gbm"), "regression", "poisson", r"its estimators use several \(forest: identity, gbm: log\)"),
        (("gbm", "linear"), "binary", "log_loss", r"in a stack, for linear: .*linear cannot train for .*binary"),
        (
            ("gbm", "logistic"),
            "regression",
            "mse",
            r"in a stack, for logistic: .*logistic cannot train for .*regression",
        ),
    ],
)
def test_kinds_that_no_fit_could_blend_are_refused_before_it(
    kinds: tuple[str, ...], task: str, loss: str, said: str
) -> None:
    with pytest.raises(BadInputError, match=said):
        STACK.check_bases([*(f"{kind}.any" for kind in kinds), "held_share"], task, loss)


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize(
    ("task", "loss"),
    [("regression", "mse"), ("regression", "poisson"), ("binary", "log_loss"), ("multiclass", "brier")],
)
def test_what_scores_will_be_is_known_before_a_fit(kind: str, task: str, loss: str) -> None:
    try:
        MODELS[kind].check_aim(task, loss)
    except BadInputError:
        return
    classes = {"regression": (), "binary": ("n", "y"), "multiclass": ("a", "b", "c")}[task]
    made = MODELS[kind].fit(
        FeatureView({"a": "number", "b": "number"}, {}, "y", task, classes),
        X,
        np.arange(600) % max(len(classes), 2),
        loss=loss,
        hyperparameters={"l2": 0.001} if kind in ("linear", "logistic") else {"num_leaves": 3},
        rounds=2,
        weights=None,
        stop=None,
        patience=1,
        seed=7,
        threads=1,
    )

    assert made.model.link == link_of(kind, task, loss)
