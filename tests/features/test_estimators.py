"""Estimators as JSON: read back they transform alike, and only listed classes are read."""

import json
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, PowerTransformer, StandardScaler

from retrim.features.step import StoredEstimator, store_estimator
from retrim.stats.codec import from_record, to_json, to_record

NUMBERS = np.random.default_rng(1).gamma(2.0, 3.0, (60, 1))
LEVELS = np.array([["dry"], ["rain"], ["hail"], ["dry"]], dtype=object)
TEXTS = ["ring the bell", "leave at the gate", "beware the dog"]
COUNTS = CountVectorizer().fit_transform(TEXTS)
ESTIMATORS: list[tuple[Any, Any]] = [
    (MinMaxScaler(), NUMBERS),
    (StandardScaler(), NUMBERS),
    (PowerTransformer(standardize=False), NUMBERS),
    (SimpleImputer(strategy="constant", fill_value=2.5), np.array([[np.nan], [1.0]])),
    (
        SimpleImputer(strategy="constant", fill_value="dry", missing_values=None),
        np.array([[None], ["x"]], dtype=object),
    ),
    (OneHotEncoder(categories=[["dry", "rain"]], handle_unknown="ignore", sparse_output=False), LEVELS),
    (OrdinalEncoder(categories=[["rain", "dry"]], handle_unknown="use_encoded_value", unknown_value=-1), LEVELS),
    (CountVectorizer(), TEXTS),
    (HashingVectorizer(n_features=8), TEXTS),
    (TfidfTransformer(), COUNTS),
    (TruncatedSVD(2, random_state=1), COUNTS),
]


def dense(values: Any) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.toarray()


@pytest.mark.parametrize(("estimator", "rows"), ESTIMATORS, ids=lambda value: type(value).__name__)
def test_an_estimator_read_back_transforms_alike(estimator: Any, rows: Any) -> None:
    estimator.fit(rows)
    written = to_json(to_record(store_estimator(estimator)))
    again = from_record(StoredEstimator, json.loads(written)).built

    assert np.array_equal(dense(again.transform(rows)), dense(estimator.transform(rows)))
    assert to_json(to_record(store_estimator(again))) == written


def test_no_private_attribute_is_stored() -> None:
    for estimator, rows in ESTIMATORS:
        assert not [name for name in store_estimator(estimator.fit(rows)).fitted if name.startswith("_")]


@pytest.mark.parametrize("name", ["FunctionTransformer", "os.system", "ColumnTransformer"])
def test_a_class_that_is_not_listed_is_not_read(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' .*: CountVectorizer, "):
        _ = StoredEstimator(name, {}, {}).built


def test_a_class_that_is_not_listed_is_not_stored() -> None:
    with pytest.raises(ValueError, match=r"^ColumnTransformer "):
        store_estimator(ColumnTransformer([]))
