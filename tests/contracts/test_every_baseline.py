"""Laws that hold for every naive baseline, on every task it fits, and worked examples of each."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from retrim.features.view import FeatureView
from retrim.stats.metrics import row_losses
from retrim.training.baseline import BASELINES, Baseline, last_value, mean, seasonal_mean

SEASON = pd.Timedelta("7D")
LOSSES = {"regression": "mae", "binary": "log_loss", "multiclass": "log_loss"}
CLASSES = {"regression": (), "binary": ("not b", "b"), "multiclass": ("a", "b", "c")}
CASES = [
    pytest.param(entry.value, task, id=f"{entry.name}-{task}") for entry in BASELINES for task in entry.facts["tasks"]
]


def rows_of(task: str, targets: list, *, first: int = 0, every: str = "1D") -> pd.DataFrame:
    event = pd.Series(pd.date_range("2024-01-01", periods=first + len(targets), freq=every, tz="UTC")[first:])
    kind = "float64" if task == "regression" else "str"
    return pd.DataFrame({"_event": event.dt.as_unit("us"), "y": pd.Series(targets, dtype=kind)})


def view_of(task: str) -> FeatureView:
    return FeatureView({"x": "number"}, {}, "y", task, CLASSES[task])


def train_of(task: str) -> pd.DataFrame:
    return rows_of(task, [float(n % 7) for n in range(21)] if task == "regression" else list("aabbcab") * 3)


@pytest.mark.parametrize(("baseline", "task"), CASES)
class TestEveryBaseline:
    def test_predicts_every_row_in_the_shape_of_its_task(self, baseline: Baseline, task: str):
        judged = rows_of(task, ["a"] * 5 if task != "regression" else [0.0] * 5, first=21)
        predicted = baseline(view_of(task), train_of(task), judged, season=SEASON, cells=7, entity=[])

        assert predicted.shape == ((5, 3) if task == "multiclass" else (5,))
        assert np.isfinite(row_losses(LOSSES[task], view_of(task).actual(judged), predicted)).all()

    def test_sees_no_target_that_it_is_judged_on(self, baseline: Baseline, task: str):
        judged = rows_of(task, [0.0, 0.0, 0.0] if task == "regression" else ["a", "a", "a"], first=21)
        other = judged.assign(y=[9.0, 9.0, 9.0] if task == "regression" else ["b", "b", "b"])
        first, second = (
            baseline(view_of(task), train_of(task), rows, season=SEASON, cells=7, entity=[]) for rows in (judged, other)
        )

        assert np.array_equal(first, second)

    def test_predicts_no_rows(self, baseline: Baseline, task: str):
        none = train_of(task).iloc[:0]

        assert len(baseline(view_of(task), train_of(task), none, season=SEASON, cells=7, entity=[])) == 0

    def test_predicts_a_season_without_training_rows(self, baseline: Baseline, task: str):
        train = train_of(task).iloc[:1]
        judged = rows_of(task, ["a"] if task != "regression" else [0.0], first=3)

        assert np.isfinite(baseline(view_of(task), train, judged, season=SEASON, cells=7, entity=[])).all()


# --- worked examples


def test_the_last_value_is_the_newest_training_target() -> None:
    train, judged = rows_of("regression", [1.0, 5.0, 3.0]), rows_of("regression", [0.0, 0.0], first=3)

    assert last_value(view_of("regression"), train, judged, season=SEASON, cells=7, entity=[]).tolist() == [3.0, 3.0]


def test_the_last_value_of_several_series_is_each_ones_own() -> None:
    train = rows_of("regression", [1.0, 5.0, 3.0, 7.0]).assign(station=["a", "b", "a", "b"])
    judged = rows_of("regression", [0.0, 0.0, 0.0], first=4).assign(station=["b", "a", "new"])
    said = last_value(view_of("regression"), train, judged, season=SEASON, cells=7, entity=["station"])

    assert said.tolist() == [7.0, 3.0, 7.0]


def test_the_last_value_is_the_newest_known_where_a_model_sees_that() -> None:
    lag = "y lag 1 by station known 1D ahead"
    view = replace(view_of("regression"), features={"station": "category", lag: "number"})
    train = rows_of("regression", [1.0, 5.0]).assign(station=["a", "b"], **{lag: [np.nan, np.nan]})
    judged = rows_of("regression", [0.0, 0.0, 0.0], first=4).assign(
        station=["b", "a", "b"], **{lag: [6.0, np.nan, 8.0]}
    )
    said = last_value(view, train, judged, season=SEASON, cells=7, entity=["station"])

    assert said.tolist() == [6.0, 1.0, 8.0]


def test_the_mean_of_classes_is_their_shares() -> None:
    train, judged = rows_of("multiclass", list("aabc")), rows_of("multiclass", ["a"], first=4)

    assert mean(view_of("multiclass"), train, judged, season=SEASON, cells=7, entity=[]).tolist() == [[0.5, 0.25, 0.25]]


def test_the_seasonal_mean_is_that_of_the_same_day_of_the_week() -> None:
    train = rows_of("regression", [float(n) for n in range(14)])
    judged = rows_of("regression", [0.0] * 3, first=14)

    # Days 0 and 7, 1 and 8, 2 and 9.
    assert seasonal_mean(view_of("regression"), train, judged, season=SEASON, cells=7, entity=[]).tolist() == [
        3.5,
        4.5,
        5.5,
    ]


def test_a_part_of_the_season_without_rows_has_the_mean_of_all() -> None:
    train, judged = rows_of("regression", [1.0, 2.0, 6.0]), rows_of("regression", [0.0], first=5)

    assert seasonal_mean(view_of("regression"), train, judged, season=SEASON, cells=7, entity=[]).tolist() == [3.0]


def test_the_seasonal_mean_of_a_class_is_its_share() -> None:
    train = rows_of("binary", ["b", "a", "a", "a", "a", "a", "a", "b"])
    judged = rows_of("binary", ["a", "a"], first=14)

    assert seasonal_mean(view_of("binary"), train, judged, season=SEASON, cells=7, entity=[]).tolist() == [1.0, 0.0]


def test_a_year_of_days_is_a_season_too() -> None:
    train = rows_of("regression", [float(n) for n in range(365)])
    judged = rows_of("regression", [0.0] * 365, first=365)
    found = seasonal_mean(view_of("regression"), train, judged, season=pd.Timedelta("365D"), cells=365, entity=[])

    assert found.tolist() == [float(n) for n in range(365)]


def test_cells_that_do_not_divide_the_season_evenly_are_each_used() -> None:
    train = rows_of("regression", [float(n) for n in range(700)], every="15min")
    found = seasonal_mean(view_of("regression"), train, train, season=pd.Timedelta("175h"), cells=11, entity=[])

    assert len(set(found.tolist())) == 11


def test_a_season_of_events_before_1677_is_that_of_any_other_year() -> None:
    near = rows_of("regression", [float(n % 7) for n in range(21)])
    far = near.assign(_event=near["_event"] - pd.Timedelta("7D") * 26_089)  # 500 years
    found = [
        seasonal_mean(view_of("regression"), rows, rows, season=SEASON, cells=7, entity=[]).tolist()
        for rows in (near, far)
    ]

    assert found[0] == found[1] == near["y"].tolist()
