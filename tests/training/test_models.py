"""LightGBM as we use it: what depends on the order of rows, its names, its quantiles, its refusals."""

from typing import Any

import numpy as np
import pytest

from retrim.errors import BadInputError, RefusedError, UnknownNameError
from retrim.features.view import FeatureView
from retrim.training.estimators import MODELS, FitTask
from retrim.training.trees import Gbm

X = np.random.default_rng(1).normal(size=(300, 2))
Y = X[:, 0] + 0.1 * np.random.default_rng(2).normal(size=300)


def view(
    names: tuple[str, ...] = ("a", "b"), *, classes: tuple[str, ...] = (), task: str = "regression"
) -> FeatureView:
    return FeatureView(dict.fromkeys(names, "number"), {}, "y", task, classes)


def fit(of: FeatureView, matrix: np.ndarray, actual: np.ndarray, *, loss: str = "mse", **hyperparameters: Any) -> Gbm:
    model = (
        MODELS["gbm"]
        .fit(
            of,
            matrix,
            actual,
            FitTask(
                loss=loss,
                hyperparameters={"num_leaves": 7, "min_child_samples": 5, **hyperparameters},
                rounds=20,
                seed=7,
                threads=1,
            ),
        )
        .model
    )
    assert isinstance(model, Gbm)
    return model


def test_the_order_of_rows_moves_predictions_where_bagging_is_on() -> None:
    # So the order is fixed by the table and hashed with it.
    order = np.random.default_rng(3).permutation(300)
    straight, shuffled = (fit(view(), X[o], Y[o], bagging_fraction=0.5).predict(X) for o in (np.arange(300), order))

    assert np.abs(straight - shuffled).max() > 0.01


def test_hyperparameters_change_neither_seed_nor_determinism() -> None:
    text = fit(view(), X, Y, seed=99, deterministic=False, num_threads=3).text

    assert b"[seed: 7]" in text
    assert b"[deterministic: 1]" in text


@pytest.mark.parametrize("names", [("Größe (cm)", 'a"b'), ("a:b", "a,b"), ("a[b]", "a{b}")])
def test_a_feature_may_have_any_name(names: tuple[str, str]) -> None:
    assert fit(view(names), X, Y).gains()[0] > 0


@pytest.mark.parametrize("count", [0.0, 1e-300])
def test_counts_that_are_all_zero_are_fitted_with_a_mean_of_hardly_anything(count: float) -> None:
    model = fit(view(), X, np.full(300, count), loss="poisson")

    assert model.link == "log"
    assert model.predict(X) == pytest.approx(np.full(300, 1e-15))


@pytest.mark.parametrize(("quantile", "below"), [("0.9", 0.9), ("0.2", 0.2)])
def test_a_pinball_loss_trains_its_quantile(quantile: str, below: float) -> None:
    noise = np.random.default_rng(4).normal(size=300)
    predicted = fit(view(), np.zeros((300, 2)), noise, loss=f"pinball@{quantile}").predict(np.zeros((1, 2)))

    assert np.mean(noise <= predicted[0]) == pytest.approx(below, abs=0.03)


def test_one_class_alone_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"\bmulticlass\b.*\b2\b.*\bonly 1\b"):
        fit(view(task="multiclass", classes=("a",)), X, np.zeros(300, dtype=int), loss="log_loss")


def test_a_target_beyond_single_precision_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"1e\+39, but gbm .*3\.4e38"):
        fit(view(), X, np.full(len(X), 1e39))


def test_a_hyperparameter_out_of_range_is_the_persons_mistake() -> None:
    with pytest.raises(BadInputError, match=r"LightGBM .*num_leaves.*tune\.space"):
        fit(view(), X, Y, num_leaves=-3)


def test_an_unknown_kind_of_model_is_refused_with_those_there_are() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown model 'gmb'; known: .*gbm"):
        MODELS["gmb"]


# --- the search space


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["num_leavs"], r"'num_leavs' is not a parameter of LightGBM, .*; did you mean 'num_leaves'\?"),
        (["learning_rate", "zzzzzz"], "'zzzzzz' is not a parameter of LightGBM, which would ignore it; leave it out$"),
        (["num_boost_round"], "'num_boost_round' cannot be searched, because tune.max_rounds"),
        (["learning_rate", "eta"], "'learning_rate' and 'eta' both mean learning_rate; keep only one of them"),
    ],
)
def test_a_space_that_lightgbm_would_pass_over_in_part_is_refused(names: list[str], said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        MODELS["gbm"].check_space(names)
