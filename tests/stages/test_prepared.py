"""A whole retraining on prepared features: what is told by feature stays so, and the bundle alone answers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.features.view import FeatureView
from retrim.stages.tune import _laid
from retrim.stats.codec import from_record
from retrim.stats.windows import part_of
from retrim.training.bundle import load_predictor
from retrim.training.predicted import explain_row
from tests.builders.run_directory import Room, make_run_directory, stream

ROWS = 480
STEPS = [
    {"step": "calendar", "columns": ["at"], "parts": ["hour"], "circle": True, "zone": "UTC"},
    {"step": "clip", "columns": ["level"], "by": "zscore", "reach": 2.5, "at_most": 0.05},
    {"step": "target_code", "columns": ["group"], "smoothing": 5.0},
    {"step": "StandardScaler", "columns": ["level", "slope", "noise"]},
    {"step": "select_uncorrelated", "columns": "all", "at_most": 0.95},
]


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return make_run_directory(tmp_path_factory.mktemp("prepared"), stream(ROWS), prepare={"steps": STEPS}).run()


def test_gains_are_told_by_column_of_the_table(run_directory: Room) -> None:
    gains = run_directory.record("models/all/fit.json")["gains"]

    assert list(gains) == ["at", "group", "level", "noise", "slope"]
    assert gains["group"] > 0


def test_the_bundle_alone_answers_as_the_run_did(run_directory: Room) -> None:
    judged = run_directory.view[run_directory.view["_part"] == "judge"]
    predictor = load_predictor(run_directory.bundle)
    scored = pd.read_parquet(run_directory.paths.candidate / "verdict" / "judged.parquet")

    assert set(predictor.columns) == {"at", "level", "slope", "noise", "group"}
    winner = run_directory.record("verdict/verdict.json")["winner"]
    assert predictor.predict(judged) == pytest.approx(scored[winner].to_numpy(), rel=1e-12)


def test_an_explanation_sums_to_the_score_and_names_columns_of_the_table(run_directory: Room) -> None:
    row = run_directory.view[run_directory.view["_part"] == "judge"].iloc[[5]]
    said = explain_row(load_predictor(run_directory.bundle), row, asked=None)

    assert {each.feature for each in said.added} == {"at", "level", "slope", "noise", "group"}
    assert said.base + sum(each.contribution for each in said.added) == pytest.approx(said.score)


def test_another_number_of_cores_makes_the_same_bundle(run_directory: Room, tmp_path: Path) -> None:
    again = make_run_directory(tmp_path, stream(ROWS), prepare={"steps": STEPS}).run(cores=2)

    assert again.bundle == run_directory.bundle


def test_steps_are_learned_anew_in_each_fold_of_the_search(run_directory: Room) -> None:
    rows = part_of(run_directory.view, "train")
    view = from_record(FeatureView, run_directory.record("features/view.json"))
    cuts = [(np.arange(end), np.arange(end, end + 20), np.arange(end + 20, end + 60)) for end in (200, 300)]
    laid = [_laid(view, rows, None, cuts)(fold) for fold in range(len(cuts))]

    assert [fold.view for fold in laid] == [view.again(rows.iloc[:200]), view.again(rows.iloc[:300])]
    assert len({str(fold.view.steps[1].state) for fold in laid} | {str(view.steps[1].state)}) == 3
