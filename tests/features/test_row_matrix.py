"""A matrix that is made a piece at a time gives what a whole one gives."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.features import view
from retrim.features.view import FeatureView, Matrix, RowMatrix, matrix_of
from retrim.training.estimators import MODELS, FitTask

VIEW = FeatureView({"x": "number", "k": "category", "n": "integer"}, {"k": ("a", "b", "c")}, "y", "regression", ())


def frame(rows: int) -> pd.DataFrame:
    draw = np.random.default_rng(3)
    x = np.where(draw.random(rows) < 0.1, np.nan, draw.normal(size=rows))
    kinds = pd.Series(draw.choice(["a", "b", "c", "d", None], rows), dtype="str")
    numbers = draw.integers(0, 3, rows).astype("float64")
    return pd.DataFrame({"x": x, "k": kinds, "n": numbers, "y": np.nan_to_num(x) + numbers + draw.normal(size=rows)})


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view, "WHOLE_CELLS", 0)
    monkeypatch.setattr(view, "PIECE_CELLS", 3 * 700)


@pytest.mark.usefixtures("in_pieces")
def test_its_slices_and_rows_are_those_of_the_whole() -> None:
    rows = frame(1600)
    whole, pieced = VIEW.matrix(rows), matrix_of(rows, 3, VIEW.matrix)

    assert isinstance(pieced, RowMatrix)
    assert (pieced.shape, len(pieced), pieced.piece) == ((1600, 3), 1600, 700)
    np.testing.assert_array_equal(pieced[690:710], whole[690:710])
    np.testing.assert_array_equal([pieced[place] for place in (0, 699, 700, 1599, 3)], whole[[0, 699, 700, 1599, 3]])
    np.testing.assert_array_equal(pieced[np.array([5, 2])], whole[[5, 2]])
    np.testing.assert_array_equal(np.asarray(pieced), whole)


def model(matrix: Matrix, stop: Matrix, actual: np.ndarray, weights: np.ndarray | None) -> bytes:
    given: dict[str, Any] = {"loss": "mse", "rounds": 12, "patience": 4, "seed": 5, "threads": 1}
    fitted = MODELS["gbm"].fit(
        VIEW,
        matrix,
        actual[:-2000],
        FitTask(
            hyperparameters={"num_leaves": 7, "bagging_fraction": 0.7, "bin_construct_sample_cnt": 3000},
            weights=weights,
            stop=(stop, actual[-2000:]),
            **given,
        ),
    )
    return fitted.model.files()["model.txt"]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.usefixtures("in_pieces")
def test_the_model_is_the_same_byte_for_byte(*, weighted: bool) -> None:
    rows = frame(9000)
    actual, fit, stop = VIEW.actual(rows), rows.iloc[:-2000], rows.iloc[-2000:]
    weights = np.linspace(1, 2, len(fit)) if weighted else None
    pieced = model(matrix_of(fit, 3, VIEW.matrix), matrix_of(stop, 3, VIEW.matrix), actual, weights)

    assert pieced == model(VIEW.matrix(fit), VIEW.matrix(stop), actual, weights)
