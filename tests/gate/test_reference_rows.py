"""Reference rows: extremes and gaps are among them, and answers are compared number by number."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrim.features.view import FeatureView
from retrim.gate.reference_rows import TOLERANCE, answers_of, farthest, with_answers
from retrim.stats.codec import from_parquet, to_parquet

VIEW = FeatureView({"width": "number", "kind": "category"}, {"kind": ("a", "b", "rare")}, "price", "regression", ())


def rows(count: int) -> pd.DataFrame:
    draw = np.random.default_rng(7)
    kinds = pd.Series(draw.choice(["a", "b"], count), dtype="str")
    frame = pd.DataFrame({"_key": [f"k{n}" for n in range(count)], "width": draw.normal(size=count), "kind": kinds})
    frame.loc[count // 2, "width"] = np.nan
    frame.loc[count // 3, "kind"] = None
    frame.loc[count // 4, "kind"] = "rare"
    return frame


def chosen(count: int, most: int) -> pd.DataFrame:
    frame = rows(count)
    return with_answers(frame, VIEW, np.arange(count, dtype="float64"), most=most)


def test_extremes_and_missing_values_and_the_rarest_category_are_among_them() -> None:
    found, every = chosen(200, 12), rows(200)

    assert found["width"].isna().sum() == 1
    assert found["kind"].isna().sum() == 1
    assert "rare" in set(found["kind"])
    assert (found["width"].min(), found["width"].max()) == (every["width"].min(), every["width"].max())
    assert {0.0, 199.0} <= set(answers_of(found)[:, 0])


@pytest.mark.slow
@given(count=st.integers(12, 80), most=st.integers(1, 100))
def test_there_are_as_many_as_wanted_or_all_of_them_each_once(count: int, most: int) -> None:
    found = chosen(count, most)

    assert len(found) == min(count, most)
    assert found["_key"].is_unique


def test_each_row_keeps_its_own_answer() -> None:
    found = chosen(200, 20)

    assert [f"k{number:.0f}" for number in answers_of(found)[:, 0]] == list(found["_key"])


def test_a_class_each_has_its_own_number() -> None:
    predicted = np.random.default_rng(7).dirichlet(np.ones(11), size=50)
    found = from_parquet(to_parquet(with_answers(rows(50), VIEW, predicted, most=50)))

    assert farthest(predicted, answers_of(found)) == 0


def test_no_rows_have_no_answers() -> None:
    assert len(with_answers(rows(20).iloc[:0], VIEW, np.empty((0, 3)), most=5)) == 0


@pytest.mark.parametrize(("stored", "by", "within"), [(1e6, 0.5e-3, True), (1e6, 2e-3, False), (0.0, 2e-9, False)])
def test_distance_is_a_share_of_large_answers_and_absolute_for_small_ones(
    stored: float, by: float, within: object
) -> None:
    assert (farthest(np.array([stored + by]), np.array([[stored]])) <= TOLERANCE) is within


@pytest.mark.parametrize("answers", [np.array([np.nan]), np.array([np.inf]), np.ones(2), np.ones((1, 2))])
def test_no_number_and_another_shape_are_infinitely_far(answers: np.ndarray) -> None:
    assert farthest(answers, np.array([[1.0]])) == np.inf
