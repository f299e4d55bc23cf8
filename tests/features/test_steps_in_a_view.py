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
        "key": [],
        "task": "regression",
        "positive": None,
        "labels": "with_rows",
        "label_horizon": "1h",
        "batch_every": "7D",
        "batch_grace": "1D",
        "times_ahead": "1h",
        "suite": "expectations/shop.json",
        "rows": {"where": []},
        "history": {"entity": [], "ahead": None, "known_ahead": [], "features": []},
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


MEDIAN = {"step": "fill_median", "columns": ["km"]}
SAID = {"step": "missing_indicator", "columns": ["km", "weather"]}
TRAINED = rows([1.0, np.nan, 3.0, 8.0])


def test_steps_work_in_order_each_on_what_the_one_before_made() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(MEDIAN, {"step": "minmax", "columns": ["km"]}).steps)

    # The median of 1, 3, 8 is 3; between 1 and 8 that is two sevenths of the way.
    assert view.matrix(TRAINED)[:, 0] == pytest.approx([0, 2 / 7, 2 / 7, 1])


def test_a_column_that_is_added_stands_last_and_names_its_source() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(SAID, MEDIAN).steps)

    assert list(view.columns) == ["km", "weather", "items", "km:missing", "weather:missing"]
    assert view.sources["weather:missing"] == "weather"
    assert view.categorical == [1]


def test_what_columns_add_is_summed_by_feature() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare({**SAID, "columns": ["weather", "km"]}).steps)

    # Columns: km, weather, items, weather:missing, km:missing.
    assert view.by_feature(np.array([[1.0, 2.0, 4.0, 8.0, 16.0]])).tolist() == [[17.0, 10.0, 4.0]]


def test_a_view_without_steps_says_nothing_of_them() -> None:
    record = FeatureView.learn(TRAINED, DATA).as_record()

    assert set(record) == {"features", "levels", "target", "task", "classes"}


def test_a_record_reads_back_to_the_same_view_and_matrix() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(SAID, MEDIAN, {"step": "zscore", "columns": "all"}).steps)
    again = from_record(FeatureView, json.loads(to_json(view.as_record())))

    assert again == view
    assert np.array_equal(again.matrix(TRAINED), view.matrix(TRAINED), equal_nan=True)


def test_steps_learn_from_training_rows_alone() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(MEDIAN).steps)

    assert view.matrix(rows([np.nan, 100.0, 200.0]))[0, 0] == 3.0


def test_a_view_learned_again_knows_the_given_rows_alone() -> None:
    view = FeatureView.learn(TRAINED, DATA, prepare(MEDIAN).steps)

    assert view.again(rows([5.0, 7.0])).matrix(rows([np.nan]))[0, 0] == 6.0


def test_a_view_without_steps_is_not_learned_again() -> None:
    view = FeatureView.learn(TRAINED, DATA)

    assert view.again(TRAINED.iloc[:1]) is view


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ({"step": "fill_medain", "columns": ["km"]}, "unknown step 'fill_medain'.*Did you mean 'fill_median'"),
        ({"step": "fill_median", "columns": []}, "columns: the list is empty; list at least one column, or write all"),
        ({"step": "fill_median", "columns": ["km", "km"]}, "columns: km listed twice"),
        (
            {"step": "fill_median", "columns": ["km"], "by": 3},
            "fill_median has the arguments: by; set exactly these: none",
        ),
        ({"step": "fill_median"}, "columns"),
        ("fill_median", "write a step as"),
    ],
)
def test_a_step_that_is_not_one_is_refused(step: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        PrepareParams.model_validate({"steps": [step]})


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (
            [{"step": "fill_median", "columns": ["miles"]}],
            "'miles' is not a column that the step accepts; name one of: km, items",
        ),
        (
            [{"step": "fill_median", "columns": ["weather"]}],
            "'weather' is a category here, but the step accepts number",
        ),
        ([{"step": "fill_median", "columns": ["minutes"]}], "'minutes' is not a column that the step accepts"),
        ([{"step": "minmax", "columns": ["at"]}], "'at' is a time here"),
    ],
)
def test_a_step_that_does_not_fit_the_table_is_refused_with_its_place(steps: list[dict[str, Any]], said: str) -> None:
    (found,) = faults_of(prepare(*steps), DATA)

    assert found.startswith("prepare.steps.0: ")
    assert said in found


def test_steps_that_fit_have_no_fault() -> None:
    assert faults_of(prepare(SAID, MEDIAN, {"step": "minmax", "columns": ["km", "km:missing"]}), DATA) == []


def test_settings_are_dumped_as_they_are_written() -> None:
    declared = prepare(SAID, MEDIAN)

    assert PrepareParams.model_validate(declared.model_dump(mode="json")) == declared
    assert declared.model_dump(mode="json") == {"steps": [SAID, MEDIAN]}


def test_a_column_that_would_be_made_twice_is_refused() -> None:
    with pytest.raises(BadInputError, match="'km:missing'"):
        FeatureView.learn(TRAINED, DATA, prepare(SAID, SAID).steps)


def test_a_made_column_that_is_not_there_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInputError, match=r"prepare\.steps\.1: minmax: 'km:mising' .*km:missing"):
        FeatureView.learn(TRAINED, DATA, prepare(SAID, {"step": "minmax", "columns": ["km:mising"]}).steps)


def test_a_made_column_that_an_earlier_past_lacks_is_passed_over_when_learned_again() -> None:
    hot = {"step": "one_hot", "columns": ["weather"], "most_levels": 9}
    view = FeatureView.learn(TRAINED, DATA, prepare(hot, {"step": "minmax", "columns": ["weather=rain"]}).steps)

    assert list(view.again(TRAINED.iloc[:1]).columns) == ["km", "items", "weather=dry"]


def test_a_step_after_a_selection_passes_over_what_that_dropped() -> None:
    chosen = {"step": "select_mutual", "columns": ["km", "items"], "keep": 1}
    view = FeatureView.learn(
        rows([3.0, 1.0] * 40), DATA, prepare(chosen, {"step": "zscore", "columns": ["km", "items"]}).steps
    )

    assert list(view.columns) == ["weather", "items"]


def test_steps_that_leave_nothing_are_refused() -> None:
    hot = {"step": "one_hot", "columns": ["weather"], "most_levels": 9}
    only = DATA.model_copy(update={"columns": {n: c for n, c in DATA.columns.items() if n not in ("km", "items")}})
    with pytest.raises(BadInputError, match="the steps leave no feature"):
        FeatureView.learn(TRAINED.assign(weather=None).astype({"weather": "str"}), only, prepare(hot).steps)


def test_no_training_row_is_coded_by_its_own_label() -> None:
    # Each row has a level of its own, so all that its code could be is its label; coded in order it is the mean before.
    table = rows([1.0] * 4).assign(weather=pd.Series(list("abcd"), dtype="str"))
    coded = {"step": "target_code", "columns": ["weather"], "smoothing": 0.0}
    view = FeatureView.learn(table, DATA, prepare(coded).steps)

    assert view.training(table).matrix[:, -1] == pytest.approx([np.nan, 0.0, 0.5, 1.0], nan_ok=True)
    assert view.matrix(table)[:, -1].tolist() == [0.0, 1.0, 2.0, 3.0]


RARE = {"step": "rare", "columns": ["weather"], "under": 0.3, "into": "other", "unseen": "merge"}


@pytest.mark.parametrize("then", [[], [{"step": "frequency", "columns": ["weather"]}]])
def test_a_level_that_became_one_with_others_was_seen_in_training(then: list[dict[str, Any]]) -> None:
    told = rows([1.0] * 9).assign(weather=pd.Series(["dry"] * 5 + ["rain"] * 3 + ["hail"], dtype="str"))
    view = FeatureView.learn(told, DATA, prepare(RARE, *then).steps)

    assert view.known_levels("weather") == ("dry", "hail", "rain")


DROP = {"step": "outlier_drop", "columns": ["km"], "by": "iqr", "reach": 1.5, "at_most": 0.5}
FAR = rows([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 900.0, 900.0])


@pytest.mark.parametrize(("take", "kept"), [([6, 7, 8, 9], 8), ([7, 8, 9], 10), ([8, 9], 10), ([8], 10), (None, 8)])
def test_no_row_is_dropped_from_a_window_that_would_be_left_with_one(take: list[int] | None, kept: int) -> None:
    view = FeatureView.learn(FAR, DATA, prepare(DROP).steps)

    assert len(view.training(FAR, None if take is None else np.array(take)).places) == kept


def test_no_row_is_dropped_where_a_class_would_be_lost() -> None:
    columns = DATA.model_dump(mode="json")["columns"] | {"minutes": {"type": "category", "role": "target"}}
    binary = DataParams.model_validate(
        {**DATA.model_dump(mode="json"), "columns": columns, "task": "binary", "positive": "late"}
    )
    told = FAR.assign(minutes=pd.Series(["soon"] * 8 + ["late"] * 2, dtype="str"))
    view = FeatureView.learn(told, binary, prepare(DROP).steps)

    assert len(view.training(told).places) == 10
