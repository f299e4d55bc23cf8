"""scikit-learn's transformers as steps: what they make of a column, and that nothing but them is loaded."""

import base64
from dataclasses import replace

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import Ridge
from sklearn.preprocessing import FunctionTransformer

from retrim.errors import BadInputError, RefusedError
from retrim.features.step import STEPS
from tests.builders.one import learn, made, numbers, past, words

SEEN = words("dry", "dry", "rain", "storm", None)


def test_a_scaler_learns_from_training_and_a_constant_becomes_nought() -> None:
    assert made("MinMaxScaler", past({"km": numbers(2, 4, 10)}), {"km": numbers(2, 18, None)})["km"][:2] == [0, 2]
    assert made("StandardScaler", past({"km": numbers(7, 7)}))["km"] == [0, 0]


def test_an_imputer_fills_numbers_and_words_and_says_what_was_missing() -> None:
    rows = past({"km": numbers(2, None, 2, 8), "weather": words("rain", "dry", None, "dry")})

    assert made("SimpleImputer", rows, add_indicator=True) == {
        "km": [2, 4, 2, 8],
        "km:missing": [0, 1, 0, 0],
        "weather": ["rain", "dry", "dry", "dry"],
        "weather:missing": [0, 0, 1, 0],
    }


def test_a_level_has_a_column_and_one_that_training_lacked_has_none() -> None:
    found = made("OneHotEncoder", past({"w": SEEN}), {"w": words("dry", "hail", None)})

    assert found == {"w=dry": [1, 0, 0], "w=rain": [0, 0, 0], "w=storm": [0, 0, 0], "w=None": [0, 0, 1]}


def test_two_columns_that_would_be_called_alike_are_refused() -> None:
    rows = past({"a": words("b=c", "x"), "a=b": words("c", "y")})

    with pytest.raises(BadInputError, match="'a=b=c' from both 'a' and 'a=b'; rename one"):
        learn("OneHotEncoder", rows)


def test_a_level_out_of_the_declared_order_counts_as_missing() -> None:
    asked = {"w": words("storm", "dry", "hail", None)}
    found = made("OrdinalEncoder", past({"w": SEEN}), asked, categories=[["dry", "rain", "storm"]])

    assert np.array_equal(found["w"], [2, 0, np.nan, np.nan], equal_nan=True)


def test_a_column_of_which_nothing_is_known_stays_as_it_is() -> None:
    assert made("SimpleImputer", past({"w": words(None, None)}), {"w": words("a", None)})["w"] == ["a", None]


def test_a_transformer_that_cannot_be_fitted_is_refused_with_its_column() -> None:
    with pytest.raises(BadInputError, match=r"SimpleImputer cannot be fitted on 'w' .*; change its arguments"):
        learn("SimpleImputer", past({"w": SEEN}), strategy="mean")


@pytest.mark.parametrize("strange", [Ridge().fit([[0.0], [1.0]], [0.0, 1.0]), FunctionTransformer(np.load)])
def test_bytes_of_anything_else_are_not_loaded(strange: object) -> None:
    state = learn("StandardScaler", past({"km": numbers(1, 2)})).state
    altered = replace(state, fitted={"km": base64.b64encode(skops.io.dumps(strange)).decode()})

    with pytest.raises(RefusedError, match="'km' holds what is no step"):
        STEPS["StandardScaler"].apply({"km": numbers(1)}, altered)
