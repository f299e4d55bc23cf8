"""Fitted scikit-learn estimators as JSON: class, parameters, fitted attributes. Nothing is pickled.

Only public attributes are stored. A class whose public attributes are not enough has everything it learned in its
parameters instead, and is fitted again on one example row.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np


def estimator_to_record(estimator: Any) -> dict[str, Any]:
    """The estimator in JSON types: parameters that differ from their defaults, and public fitted attributes.

    Raises:
        ValueError: The class is not one that `estimator_from_record` builds.
    """
    name = type(estimator).__name__
    build = _classes().get(name)
    if build is not type(estimator):
        raise ValueError(f"{name} is not among the stored estimators: {', '.join(sorted(_classes()))}")
    defaults = build().get_params()
    parameters = {
        key: value
        for key, value in estimator.get_params().items()
        if value is not defaults[key] and value != defaults[key]  # NaN equals nothing, itself neither
    }
    fitted = {
        key: value
        for key, value in vars(estimator).items()
        if name not in _REFITTED and key.endswith("_") and not key.startswith("_")
    }
    return {"class": name, "parameters": _plain(parameters), "fitted": _plain(fitted)}


def estimator_from_record(record: Mapping[str, Any]) -> Any:
    """The estimator that `estimator_to_record` described.

    Raises:
        ValueError: The record names a class that is not in the list.
    """
    name, parameters = record["class"], record["parameters"]
    build = _classes().get(name)
    if build is None:
        raise ValueError(f"{name!r} is not among the stored estimators: {', '.join(sorted(_classes()))}")
    estimator = build(**parameters)
    if name in _REFITTED:
        first = parameters[_REFITTED[name]]
        while isinstance(first, list):
            first = first[0]
        return estimator.fit(np.array([[first]], dtype=object if isinstance(first, str) else "float64"))
    for key, value in record["fitted"].items():
        setattr(estimator, key, np.array(value) if isinstance(value, list) else value)
    return estimator


_REFITTED = {"OneHotEncoder": "categories", "OrdinalEncoder": "categories", "SimpleImputer": "fill_value"}
"""Classes that keep fitted values in private attributes, and the parameter that holds all they learned."""


def _classes() -> dict[str, Any]:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, PowerTransformer, StandardScaler

    classes = (
        CountVectorizer, HashingVectorizer, MinMaxScaler, OneHotEncoder, OrdinalEncoder, PowerTransformer,
        SimpleImputer, StandardScaler, TfidfTransformer, TruncatedSVD,
    )  # fmt: skip
    return {each.__name__: each for each in classes}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _plain(below) for key, below in value.items()}
    return value
