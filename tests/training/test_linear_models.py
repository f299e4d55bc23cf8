"""Linear models: coefficients worked by hand or by scikit-learn's own solvers, and what they make of odd cells."""

import json
from typing import Any

import numpy as np
import pytest

from retrim.errors import BadInputError
from retrim.features.view import FeatureView
from retrim.training.estimators import MODELS, FitTask
from retrim.training.linear import FILE, LEVELS, Linear

DRAW = np.random.default_rng(1)
X = DRAW.normal(size=(400, 3)) * [1.0, 5.0, 0.2] + [0.0, 3.0, -2.0]
NOISE = DRAW.normal(size=400)


def view(*, levels: tuple[str, ...] = (), task: str = "regression", classes: tuple[str, ...] = ()) -> FeatureView:
    kinds: dict[str, Any] = {"a": "number", "b": "number", "c": "category" if levels else "number"}
    return FeatureView(kinds, {"c": levels} if levels else {}, "y", task, classes)


def fit(kind: str, of: FeatureView, matrix: np.ndarray, actual: np.ndarray, *, loss: str, l2: float) -> Linear:
    model = (
        MODELS[kind]
        .fit(of, matrix, actual, FitTask(loss=loss, hyperparameters={"l2": l2}, rounds=9, seed=7, threads=1))
        .model
    )
    assert isinstance(model, Linear)
    return model


def test_least_squares_are_found_where_hardly_anything_is_penalised() -> None:
    actual = X @ [2.0, -0.3, 5.0] + 4 + NOISE
    found = fit("linear", view(), X, actual, loss="mse", l2=1e-9).predict(X)
    exact = np.column_stack([X, np.ones(400)]) @ np.linalg.lstsq(np.column_stack([X, np.ones(400)]), actual)[0]

    assert found == pytest.approx(exact, abs=1e-6)


@pytest.mark.parametrize(("loss", "level"), [("mae", 0.5), ("pinball@0.9", 0.9), ("pinball@0.1", 0.1)])
def test_a_quantile_loses_hardly_more_than_the_linear_program_of_scikit_learn(loss: str, level: float) -> None:
    from sklearn.linear_model import QuantileRegressor

    actual = X @ [2.0, -0.3, 5.0] + NOISE * (1 + np.abs(X[:, 0]))
    exact = QuantileRegressor(quantile=level, alpha=0.0).fit(X, actual).predict(X)
    found = fit("linear", view(), X, actual, loss=loss, l2=1e-9).predict(X)

    def pinball(said: np.ndarray) -> float:
        return float(np.mean(np.maximum(level * (actual - said), (level - 1) * (actual - said))))

    assert pinball(found) <= 1.003 * pinball(exact)


@pytest.mark.parametrize("level", [0.9, 0.25])
def test_a_quantile_has_its_share_of_training_rows_below_it(level: float) -> None:
    actual = X @ [2.0, -0.3, 5.0] + NOISE
    found = fit("linear", view(), X, actual, loss=f"pinball@{level}", l2=0.1).predict(X)

    assert np.mean(actual <= found + 1e-9) == pytest.approx(level, abs=1.5 / 400)


def test_log_odds_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    actual = (X @ [2.0, -0.3, 0.0] + NOISE > 0).astype(int)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    exact = LogisticRegression(C=1 / (400 * 0.01), tol=1e-10).fit(scaled, actual).predict_proba(scaled)[:, 1]
    found = fit("logistic", view(task="binary", classes=("n", "y")), X, actual, loss="log_loss", l2=0.01)

    assert found.predict(X) == pytest.approx(exact, abs=1e-5)


def test_the_mean_of_predicted_counts_is_that_of_the_counts() -> None:
    # The score equation of the intercept of a log link.
    counts = np.random.default_rng(3).poisson(np.exp(0.5 * X[:, 0]))
    model = fit("linear", view(), X, counts.astype(float), loss="poisson", l2=0.01)

    assert model.predict(X).mean() == pytest.approx(counts.mean(), rel=1e-4)
    assert np.polyfit(X[:, 0], model.contributions(X)[:, 0, 0], 1)[0] == pytest.approx(0.5, abs=0.1)


def test_targets_below_zero_are_no_counts() -> None:
    with pytest.raises(BadInputError, match=r"poisson .*\bsmallest is -"):
        fit("linear", view(), X, NOISE, loss="poisson", l2=0.01)


def test_the_base_is_the_score_of_the_average_training_row() -> None:
    model = fit("linear", view(), X, X @ [2.0, -0.3, 5.0] + NOISE, loss="mse", l2=0.1)

    assert model.contributions(X)[0, 0, -1] == pytest.approx(model.scores(X).mean())


def test_a_number_far_outside_of_training_is_held_one_span_beyond_it() -> None:
    model = fit("linear", view(), X, X @ [2.0, -0.3, 5.0] + NOISE, loss="mse", l2=1e-6)
    low, high = X[:, 0].min(), X[:, 0].max()
    far, held = (model.predict(np.array([[value, 3.0, -2.0]])) for value in (1e9, high + (high - low)))

    assert far == held


def test_a_missing_number_says_what_missing_ones_said_in_training() -> None:
    holes = X.copy()
    holes[::4, 0] = np.nan
    actual = X[:, 1] + np.where(np.isnan(holes[:, 0]), 10.0, 0.0)
    found = fit("linear", view(), holes, actual, loss="mse", l2=1e-9).predict(np.array([[np.nan, 3.0, -2.0]]))

    assert found == pytest.approx([13.0], abs=0.01)


def test_a_level_that_training_never_lacked_is_taken_for_the_average_row_where_it_is_missing() -> None:
    table = np.column_stack([X[:, :2], np.arange(400) % 2])
    model = fit("linear", view(levels=("l", "r")), table, table[:, 2] * 8.0, loss="mse", l2=1e-9)

    assert model.predict(np.array([[0.0, 3.0, np.nan]])) == pytest.approx([4.0], abs=0.01)


def test_levels_beyond_the_commonest_share_one_term() -> None:
    codes = np.concatenate([np.arange(LEVELS).repeat(3), LEVELS + np.arange(50)])
    table = np.column_stack([np.zeros((len(codes), 2)), codes])
    model = fit("linear", view(levels=tuple(map(str, range(200)))), table, (codes >= LEVELS) * 1.0, loss="mse", l2=1e-9)
    rare, new, common = model.predict(np.array([[0, 0, LEVELS + 3], [0, 0, 190], [0, 0, 3]], dtype=float))

    assert (rare, new, common) == (pytest.approx(1.0, abs=1e-3), rare, pytest.approx(0.0, abs=1e-3))


def test_all_that_was_learned_is_json_that_a_person_can_read() -> None:
    model = fit("linear", view(), X, X @ [2.0, -0.3, 5.0] + NOISE, loss="mse", l2=0.1)
    (name, content), *others = model.files().items()

    assert (name, others) == (FILE, [])
    assert set(json.loads(content)) == {"link", "columns", "intercepts", "coefficients", "spreads"}


@pytest.mark.parametrize("l2", [0.0, -1.0, float("inf")])
def test_a_penalty_that_is_none_is_refused(l2: float) -> None:
    with pytest.raises(BadInputError, match=r"\bl2 is "):
        fit("linear", view(), X, NOISE, loss="mse", l2=l2)


def test_a_space_without_the_penalty_is_refused() -> None:
    with pytest.raises(BadInputError, match="linear needs 'l2'"):
        MODELS["linear"].check_space([])
