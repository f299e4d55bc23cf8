"""The feature view: learned on training rows alone, the same numbers for the same rows, written and read back."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.features.view import UNSEEN, FeatureView, order_digest
from retrim.stats.codec import from_record, to_json
from retrim.table.data import DataParams


def data(task: str = "regression") -> DataParams:
    return DataParams.model_validate(
        {
            "model": "shop",
            "columns": {
                "at": {"type": "time", "role": "time"},
                "order": {"type": "integer", "role": "forbidden"},
                "weight": {"type": "number", "role": "feature"},
                "country": {"type": "category", "role": "feature"},
                "items": {"type": "integer", "role": "feature"},
                "result": {"type": "number" if task == "regression" else "category", "role": "target"},
            },
            "key": ["order"],
            "task": task,
            "positive": "kept" if task == "binary" else None,
            "label_horizon": "1d",
            "batch_every": "7d",
            "suite": "expectations/shop.json",
        }
    )


def rows(countries: list[str | None], results: list[Any], *, items: list[int | None] | None = None) -> pd.DataFrame:
    n = len(countries)
    return pd.DataFrame(
        {
            "weight": np.arange(n) / 2,
            "country": pd.Series(countries, dtype="str"),
            "items": pd.Series(items or [1] * n, dtype="Int64"),
            "result": pd.Series(results, dtype="str" if n and isinstance(results[0], str) else "float64"),
        }
    )


def test_levels_are_sorted_whatever_the_order_of_rows() -> None:
    views = [
        FeatureView.learn(rows(countries, [1.0] * 3), data()) for countries in (["pl", "de", "at"], ["at", "pl", "de"])
    ]

    assert views[0] == views[1]
    assert views[0].levels == {"country": ("at", "de", "pl")}


@pytest.mark.parametrize("level", ["fr", None])
def test_an_unseen_level_and_a_missing_one_are_both_missing(level: str | None) -> None:
    view = FeatureView.learn(rows(["de", "at"], [1.0, 2.0]), data())

    assert np.isnan(view.matrix(rows([level], [1.0]))[0, 1])


def test_the_codes_are_the_views_own_whatever_the_frame_calls_its_categories() -> None:
    view = FeatureView.learn(rows(["de", "at"], [1.0, 2.0]), data())
    other = rows(["at", "de"], [1.0, 2.0])
    other["country"] = pd.Categorical(other["country"], categories=["pl", "de", "at"])

    assert view.matrix(other)[:, 1].tolist() == [0.0, 1.0]


def test_no_rows_are_an_empty_matrix() -> None:
    view = FeatureView.learn(rows(["de"], [1.0]), data())

    assert view.matrix(rows([], [])).shape == (0, 3)


# --- targets


def test_the_positive_class_is_1() -> None:
    view = FeatureView.learn(rows(["de"] * 3, ["gone", "kept", "gone"]), data("binary"))

    assert view.actual(rows(["de"] * 3, ["gone", "kept", "lost"])).tolist() == [0, 1, 0]
    assert view.classes == ("not kept", "kept")


def test_classes_are_sorted_and_an_unseen_one_is_marked() -> None:
    view = FeatureView.learn(rows(["de"] * 3, ["c", "a", "c"]), data("multiclass"))

    assert view.actual(rows(["de"] * 3, ["a", "c", "b"])).tolist() == [0, 1, UNSEEN]


# --- stored


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
def test_a_view_is_read_back_as_it_was_written(task: str) -> None:
    view = FeatureView.learn(rows(["de", "at"], [1.0, 2.0] if task == "regression" else ["kept", "gone"]), data(task))

    assert from_record(FeatureView, json.loads(to_json(view.as_record()))) == view


def test_the_order_of_keys_is_part_of_their_digest() -> None:
    assert order_digest(pd.Series(["a", "b"])) != order_digest(pd.Series(["b", "a"]))
