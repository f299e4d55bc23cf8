"""Contributions: forests that average, models that have none, sums that miss, and what a feature weighs."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import RefusedError, RetrimError
from retrim.features.view import FeatureView
from retrim.training.estimators import MODELS, FitTask, Model, outputs
from retrim.training.predicted import check_sums, importance

VIEW = FeatureView({"x": "number", "n": "number"}, {}, "y", "binary", ("not yes", "yes"))
DRAW = np.random.default_rng(4)
ROWS = pd.DataFrame({"x": DRAW.normal(size=300), "n": DRAW.normal(size=300)})
ACTUAL = (2 * ROWS["x"] + DRAW.normal(size=300) > 0).to_numpy(dtype=int)


def fitted(**hyperparameters: Any) -> Model:
    made = MODELS["gbm"].fit(
        VIEW,
        VIEW.matrix(ROWS),
        ACTUAL,
        FitTask(loss="log_loss", hyperparameters={"num_leaves": 7, **hyperparameters}, rounds=10, seed=7, threads=1),
    )
    return made.model


def test_a_forest_is_explained_by_means_of_its_trees() -> None:
    forest = fitted(boosting="rf", bagging_fraction=0.6)
    matrix = VIEW.matrix(ROWS)
    scores = forest.scores(matrix)

    check_sums(forest.contributions(matrix), scores)
    assert outputs(scores, forest.link) == pytest.approx(forest.predict(matrix), abs=1e-9)


def test_a_model_of_linear_trees_has_none_and_says_so() -> None:
    linear = fitted(linear_tree=True)

    assert importance(linear, VIEW, ROWS, most=50) is None
    with pytest.raises(RefusedError, match="cannot compute exact contributions"):
        linear.contributions(VIEW.matrix(ROWS))


def test_a_sum_that_misses_its_score_is_refused() -> None:
    with pytest.raises(RetrimError, match="by 2e-06"):
        check_sums(np.array([[[0.05, 0.05 + 2e-6]]]), np.array([[0.1]]))


def test_a_sum_that_is_no_number_is_refused() -> None:
    with pytest.raises(RetrimError, match=r"\bnan\b"):
        check_sums(np.array([[[np.nan, 1.0]]]), np.array([[1.0]]))


def test_what_decides_weighs_most_on_rows_spread_evenly() -> None:
    found = importance(fitted(), VIEW, ROWS, most=40)

    assert found is not None
    assert (found.rows, found.of) == (40, 300)
    first, second, *_ = found.weights.values()
    assert first > 3 * second >= 0
