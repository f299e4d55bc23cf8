"""What a bundle keeps of the rows its model was made from."""

import numpy as np
import pandas as pd
import pytest

from retrim.drift.alarms import AlarmParams
from retrim.drift.joint import JointParams
from retrim.drift.profile import ProfileParams, score_columns
from retrim.drift.reference import ExpectedWindows, Reference, load_reference, make_reference
from retrim.features.view import FeatureView

PARAMS = ProfileParams(
    cells=12, levels=20, buckets=8, block="1D", most_blocks=100, block_rows=10, sample_rows=50, seed=7
)
TIMES = pd.date_range("2026-01-01", periods=300, freq="h", tz="UTC")
ROWS = pd.DataFrame({"_event": TIMES, "x": np.arange(300.0), "y": np.arange(300.0) ** 2})
JUDGED = ROWS.tail(100)
NUMBER = FeatureView({"x": "number"}, {}, "y", "regression", ())
MANY = FeatureView({"x": "number"}, {}, "y", "multiclass", ("a", "b", "c"))


ALARMS = AlarmParams(at_most=1, draws=1000, seed=7)
USUAL = ExpectedWindows(24, ALARMS, JointParams(tests={"correlation": {}}, windows=8, seed=7), cores=1)


def reference(rows: pd.DataFrame = ROWS, judged: pd.DataFrame = JUDGED) -> Reference:
    return make_reference(rows, judged, judged["x"].to_numpy(), NUMBER, PARAMS, USUAL, calendar=(), zone="UTC")


def columns_of(rows: pd.DataFrame, view: FeatureView, *, calendar: tuple[str, ...] = ()) -> list[str]:
    """What drift tests look at in a model of these rows, beside its predictions."""
    predicted = np.zeros(len(rows))
    return list(make_reference(rows, rows, predicted, view, PARAMS, USUAL, calendar=calendar, zone="UTC").rows.columns)


def test_it_holds_features_and_target_of_all_rows() -> None:
    kept = reference().rows

    assert (list(kept.columns), kept.rows) == (["x", "target"], 300)


def test_it_holds_the_predictions_for_the_rows_that_judged() -> None:
    kept = reference().scores

    assert kept is not None
    assert (list(kept.columns), kept.rows) == (["predictions"], 100)


def test_a_feature_of_the_calendar_is_not_tested() -> None:
    view = FeatureView({"x": "number", "age": "number"}, {}, "y", "regression", ())

    assert columns_of(ROWS.assign(age=1.0), view, calendar=("age",)) == ["x", "target"]


def test_a_column_of_the_file_that_the_time_decides_is_not_tested() -> None:
    view = FeatureView({"x": "number", "hour": "integer", "day": "category"}, {}, "y", "regression", ())
    times = ROWS["_event"].dt
    rows = ROWS.assign(hour=times.hour.astype("float64"), day=times.day_name().astype("str"))

    assert columns_of(rows, view) == ["x", "target"]


def test_a_feature_called_target_stands_in_quotes_beside_the_target() -> None:
    view = FeatureView({"target": "number", "predictions": "number"}, {}, "y", "regression", ())
    rows = ROWS.rename(columns={"x": "target"}).assign(predictions=1.0)

    assert columns_of(rows, view) == ['"target"', '"predictions"', "target"]


def test_without_judging_rows_there_are_no_predictions() -> None:
    assert reference(judged=ROWS.head(0)).scores is None


def test_it_is_read_back_as_it_was() -> None:
    for kept in (reference(), reference(judged=ROWS.head(0))):
        files = kept.as_files()

        assert Reference.from_files(files).as_files() == files


def test_a_bundle_gives_the_reference_of_its_winner() -> None:
    own, other = reference(), reference(ROWS.tail(200))
    files = {f"models/{kind}/profile/{name}": content for kind, kept in (("all", own), ("sliding", other))
             for name, content in kept.as_files().items()}  # fmt: skip
    found = load_reference(files, "models/sliding")

    assert found is not None
    assert found.rows.rows == 200


def test_a_bundle_that_is_older_has_none() -> None:
    assert load_reference({"models/all/model.txt": b""}, "models/all") is None


def test_a_reference_that_lacks_a_file_is_not_taken_for_an_older_one() -> None:
    files = {f"models/all/profile/{name}": content for name, content in reference().as_files().items()}
    del files["models/all/profile/scores/blocks.parquet"]

    with pytest.raises(KeyError, match=r"scores/blocks\.parquet"):
        load_reference(files, "models/all")


def test_the_score_of_two_classes_is_a_probability_and_its_confidence() -> None:
    view = FeatureView({"x": "number"}, {}, "y", "binary", ("not yes", "yes"))
    found = score_columns(np.array([0.2, 0.9]), view)

    assert found.to_dict("list") == {"predictions": [0.2, 0.9], "confidence": [0.8, 0.9]}


def test_the_score_of_many_classes_is_the_likeliest_and_its_confidence() -> None:
    found = score_columns(np.array([[0.2, 0.7, 0.1], [0.5, 0.2, 0.3]]), MANY)

    assert found.to_dict("list") == {"predictions": ["b", "a"], "confidence": [0.7, 0.5]}


def test_no_rows_have_no_scores() -> None:
    assert score_columns(np.empty((0, 3)), MANY).shape == (0, 2)
