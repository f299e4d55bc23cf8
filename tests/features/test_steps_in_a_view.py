"""Steps in a view: columns and their sources, the record, rows that train, and settings that do not fit."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.features.fitted import PrepareParams, faults_of
from retrim.features.view import FeatureView
from retrim.stats.codec import from_record, to_json
from retrim.table.data import DataParams

DATA = DataParams.model_validate(
    {
        "model": "shop",
        "columns": {
            "at": {"type": "time", "role": "time"},
            "km": {"type": "number", "role": "feature"},
            "weather": {"type": "category", "role": "feature"},
            "items": {"type": "integer", "role": "feature"},
            "minutes": {"type": "number", "role": "target"},
        },
        "task": "regression",
        "label_horizon": "1h",
        "batch_every": "7D",
        "suite": "expectations/shop.json",
    }
)


def rows(km: list[float], *, start: str = "2024-01-01") -> pd.DataFrame:
    at = pd.date_range(start, periods=len(km), freq="1h", tz="UTC")
    return pd.DataFrame(
        {
            "at": at,
            "km": km,
            "weather": pd.Series((["dry", "rain", None] * len(km))[: len(km)], dtype="str"),
            "items": pd.Series(range(len(km)), dtype="Int64"),
            "minutes": np.arange(len(km), dtype="float64"),
            "_event": at,
            "_due": at + pd.Timedelta("1h"),
        }
    )


def prepare(*steps: dict[str, Any]) -> PrepareParams:
    return PrepareParams.model_validate({"steps": steps})


CLASHING = DATA.model_copy(update={"columns": {**DATA.columns, "km:missing": DATA.columns["km"]}})
MEDIAN = {"step": "SimpleImputer", "columns": ["km"], "strategy": "median", "add_indicator": True}
CODE = {"step": "target_code", "columns": ["weather"], "smoothing": 1.0}
TRAINED = rows([1.0, np.nan, 3.0, 8.0])


def test_steps_work_in_order_each_on_what_the_one_before_made() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(MEDIAN, {"step": "MinMaxScaler", "columns": ["km"]}).steps)

    # The median of 1, 3, 8 is 3; between 1 and 8 that is two sevenths of the way.
    assert view.matrix(TRAINED)[:, 0] == pytest.approx([0, 2 / 7, 2 / 7, 1])


def test_a_column_that_is_added_stands_last_and_names_its_source() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(CODE, MEDIAN).steps)

    assert list(view.columns) == ["km", "items", "weather:target", "km:missing"]
    assert view.sources["weather:target"] == "weather"
    assert view.categorical == []


def test_what_columns_add_is_summed_by_feature() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(CODE, MEDIAN).steps)

    # Columns: km, items, weather:target, km:missing; features: km, weather, items.
    assert view.by_feature(np.array([[1.0, 2.0, 4.0, 8.0]])).tolist() == [[9.0, 4.0, 2.0]]


def test_a_record_reads_back_to_the_same_view_and_matrix() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(CODE, MEDIAN, {"step": "StandardScaler", "columns": "all"}).steps)
    again = from_record(FeatureView, json.loads(to_json(view.as_record())))

    assert again == view
    assert np.array_equal(again.matrix(TRAINED), view.matrix(TRAINED), equal_nan=True)


def test_steps_learn_from_training_rows_alone() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(MEDIAN).steps)

    assert view.matrix(rows([np.nan, 100.0, 200.0]))[0, 0] == 3.0


def test_a_view_learned_again_knows_the_given_rows_alone() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(MEDIAN).steps)

    assert view.again(rows([5.0, 7.0])).matrix(rows([np.nan]))[0, 0] == 6.0


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"step": "MinMaxScalar", "columns": ["km"]}, "unknown step 'MinMaxScalar'.*Did you mean 'MinMaxScaler'"),
        ({"step": "MinMaxScaler", "columns": []}, "columns: the list is empty; list at least one column, or write all"),
        ({"step": "MinMaxScaler", "columns": ["km", "km"]}, "columns: km listed twice"),
        (
            {"step": "target_code", "columns": ["km"], "by": 3},
            "target_code has the arguments: by; set exactly these: smoothing",
        ),
        (
            {"step": "MinMaxScaler", "columns": ["km"], "feature_rang": [0, 2]},
            "MinMaxScaler has no argument 'feature_rang'; did you mean 'feature_range'",
        ),
        ({"step": "OneHotEncoder", "columns": ["weather"], "handle_unknown": "error"}, "has no argument"),
        ({"step": "MinMaxScaler", "columns": ["km"], "feature_range": "wide"}, "MinMaxScaler: .*'feature_range'"),
        ({"step": "MinMaxScaler"}, "columns"),
        ("MinMaxScaler", "write a step as"),
    ],
)
def test_a_step_that_is_not_one_is_refused(step: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PrepareParams.model_validate({"steps": [step]})


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [{"step": "MinMaxScaler", "columns": ["miles"]}],
            "'miles' is not a column that the step accepts; name one of: km, items",
        ),
        (
            [{"step": "MinMaxScaler", "columns": ["weather"]}],
            "'weather' is a category here, but the step accepts number",
        ),
        ([{"step": "MinMaxScaler", "columns": ["minutes"]}], "'minutes' is not a column that the step accepts"),
        ([{"step": "MinMaxScaler", "columns": ["at"]}], "'at' is a time here"),
    ],
)
def test_a_step_that_does_not_fit_the_table_is_refused_with_its_place(steps: list[dict[str, Any]], said: str) -> None:
    (found,) = faults_of(prepare(*steps), DATA)

    assert found.startswith("prepare.steps.0: ")
    assert said in found


def test_a_column_that_would_be_made_twice_is_refused() -> None:
    with pytest.raises(BadInputError, match="'km:missing'"):
        FeatureView.learn(TRAINED.assign(**{"km:missing": 1.0}), CLASHING, prepare(MEDIAN).steps)


def test_a_made_column_that_is_not_there_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInputError, match=r"prepare\.steps\.1: MinMaxScaler: 'km:mising' .*km:missing"):
        FeatureView.learn(TRAINED, DATA, prepare(MEDIAN, {"step": "MinMaxScaler", "columns": ["km:mising"]}).steps)


def test_a_made_column_that_an_earlier_past_lacks_is_passed_over_when_learned_again() -> None:
    hot = {"step": "OneHotEncoder", "columns": ["weather"]}
    view = FeatureView.learn(TRAINED, DATA, prepare(hot, {"step": "MinMaxScaler", "columns": ["weather=rain"]}).steps)

    assert list(view.again(TRAINED.iloc[:1]).columns) == ["km", "items", "weather=dry"]


def test_a_step_after_a_selection_passes_over_what_that_dropped() -> None:
    chosen = {"step": "select_uncorrelated", "columns": ["km", "items"], "at_most": 0.9}
    table = rows([float(number) for number in range(80)])
    view = FeatureView.learn(table, DATA, prepare(chosen, {"step": "StandardScaler", "columns": ["km", "items"]}).steps)

    assert list(view.columns) == ["km", "weather"]


def test_steps_that_leave_nothing_are_refused() -> None:
    hot = {"step": "OneHotEncoder", "columns": ["weather"], "drop": "first"}
    only = DATA.model_copy(update={"columns": {n: c for n, c in DATA.columns.items() if n not in ("km", "items")}})
    with pytest.raises(BadInputError, match="the steps leave no feature"):
        FeatureView.learn(TRAINED.assign(weather="dry"), only, prepare(hot).steps)


def test_no_training_row_is_coded_by_its_own_label() -> None:
    # Each row has a level of its own, so all that its code could be is its label; coded in order it is the mean before.
    table = rows([1.0] * 4).assign(weather=pd.Series(list("abcd"), dtype="str"))
    coded = {"step": "target_code", "columns": ["weather"], "smoothing": 0.0}
    view = FeatureView.learn(table, DATA, prepare(coded).steps)

    assert view.training(table)[:, -1] == pytest.approx([np.nan, 0.0, 0.5, 1.0], nan_ok=True)
    assert view.matrix(table)[:, -1].tolist() == [0.0, 1.0, 2.0, 3.0]


RARE = {"step": "rare", "columns": ["weather"], "under": 0.3, "into": "other", "unseen": "merge"}


@pytest.mark.parametrize("then", [[], [{"step": "OrdinalEncoder", "columns": ["weather"]}]])
def test_a_level_that_became_one_with_others_was_seen_in_training(then: list[dict[str, Any]]) -> None:
    told = rows([1.0] * 9).assign(weather=pd.Series(["dry"] * 5 + ["rain"] * 3 + ["hail"], dtype="str"))
    view = FeatureView.learn(told, DATA, prepare(RARE, *then).steps)

    assert view.known_levels("weather") == ("dry", "hail", "rain")
