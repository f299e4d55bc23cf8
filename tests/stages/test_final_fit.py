"""The final fit: the winner of a promotion on all mature rows, those that judged too, held against the judged fit."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.adapters.exhibits import Exhibits
from retrim.drift.reference import load_reference
from retrim.files import write_folder
from retrim.gate.agreement import AgreementParams
from retrim.training.bundle import Predictor, judged_in, load_predictor, predicting
from retrim.training.recipe import fit_recipe
from tests.builders.run_directory import Room, make_run_directory, stream

ROWS = 480
FINAL = {"refit_after": True}
WIDE, TIGHT = AgreementParams(difference=1.0, loss=0.5), AgreementParams(difference=1e-6, loss=0.05)
CLASSES = {"judge": {"loss": "log_loss", "metrics": ["accuracy"]}, "gate": {"baselines": ["mean"]}, "retrain": FINAL}


def bounded(monkeypatch: pytest.MonkeyPatch, params: AgreementParams) -> None:
    monkeypatch.setattr("retrim.stages.compare.AgreementParams", lambda: params)


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 1, judged on the newest 80 rows, without a final fit."""
    return make_run_directory(tmp_path_factory.mktemp("judged"), stream(ROWS)).run()


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """The same version with a final fit that agrees."""
    with pytest.MonkeyPatch.context() as patch:
        bounded(patch, WIDE)
        return make_run_directory(tmp_path_factory.mktemp("both"), stream(ROWS), retrain=FINAL).run()


def predictor(run_directory: Room) -> Predictor:
    return load_predictor(run_directory.bundle)


def test_what_predicts_is_the_recipe_on_all_rows_of_its_window(judged: Room, both: Room) -> None:
    final, table = predictor(both), stream(ROWS)
    rows = table if final.window == "all" else table.iloc[-200:]

    assert final.recipe == predictor(judged).recipe
    assert fit_recipe(final.recipe, final.view, rows, threads=1).files() == final.model.files()
    assert final.used_until == final.judged_until == table["_event"].iloc[-1]
    assert predictor(judged).used_until < final.used_until


def test_its_profile_is_the_reference_of_checks(both: Room) -> None:
    record = judged_in(both.bundle)
    own, judged = (load_reference(both.bundle, folder) for folder in (record.folder, f"models/{record.winner}"))

    assert record.predicts_final
    assert own is not None
    assert own.scores is not None
    assert judged is not None
    assert own.as_files() != judged.as_files()


def test_it_loads_from_the_files_that_predicting_takes(both: Room) -> None:
    files = predicting(both.bundle)

    assert not [name for name in files if name.startswith("models/")]
    assert load_predictor(files).predict(stream(50)).tolist() == predictor(both).predict(stream(50)).tolist()


def test_the_judged_fit_gives_every_figure(judged: Room, both: Room) -> None:
    alone, beside = (each.record("verdict/verdict.json") for each in (judged, both))
    final = beside.pop("final")

    assert alone.pop("final") is None
    assert beside == alone
    for name in judged.bundle:
        if name not in ("verdict/verdict.json", "verdict/judged.parquet", "verdict/reference.parquet"):
            assert both.bundle[name] == judged.bundle[name], name
    assert predictor(both).judged_loss == predictor(judged).judged_loss == alone["losses"][alone["winner"]]
    assert [check["name"] for check in final["checks"]] == [
        "agreement: rows",
        "agreement: predictions",
        "agreement: loss",
    ]
    assert final["reason"].startswith("the final fit, on all mature rows, agrees with the judged fit: ")


def test_the_judged_rows_hold_what_the_judged_fit_predicted(judged: Room, both: Room) -> None:
    alone, beside = (pd.read_parquet(each.paths.verdict / "judged.parquet") for each in (judged, both))
    losses = beside.pop("_judged_loss")

    pd.testing.assert_frame_equal(alone, beside)
    assert losses.mean() == pytest.approx(predictor(both).judged_loss)


def test_the_reference_rows_hold_what_the_final_fit_predicts(both: Room) -> None:
    rows = pd.read_parquet(both.paths.verdict / "reference.parquet")

    assert predictor(both).predict(rows) == pytest.approx(rows["_answer_0"].to_numpy(), abs=1e-12)


def test_its_error_on_rows_it_has_seen_is_called_training_error(judged: Room, both: Room, tmp_path: Path) -> None:
    verdict, final = both.record("verdict/verdict.json"), predictor(both)
    rows = pd.read_parquet(both.paths.verdict / "judged.parquet")["_key"]
    seen = stream(ROWS).set_index("_key").loc[rows].reset_index()
    error = float(np.abs(final.predict(seen) - final.view.actual(seen)).mean())
    points = []
    for room in (judged, both):
        write_folder(tmp_path / room.paths.root.name, room.bundle)
        points.append({one.metric: one.value for one in Exhibits(tmp_path / room.paths.root.name).points()})

    assert verdict["final"]["training"]["mae"] == pytest.approx(error)
    assert points[1]["train/mae"] == pytest.approx(error)
    assert error < points[1]["judged/mae"] == points[0]["judged/mae"]
    assert not [name for name in points[0] if name.startswith("train/")]


def test_one_that_does_not_agree_leaves_the_judged_fit_and_says_why(
    judged: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bounded(monkeypatch, TIGHT)
    apart = make_run_directory(tmp_path, stream(ROWS), retrain=FINAL).run()
    verdict = apart.record("verdict/verdict.json")

    assert verdict["promote"]
    assert "does not agree with the judged fit, which predicts" in verdict["reason"]
    assert predictor(apart).model.files() == predictor(judged).model.files()
    assert predictor(apart).used_until == predictor(judged).used_until
    assert apart.bundle["verdict/reference.parquet"] == judged.bundle["verdict/reference.parquet"]


def test_a_refused_winner_is_not_fitted_again(tmp_path: Path) -> None:
    refused = make_run_directory(tmp_path, stream(ROWS), retrain=FINAL, gate={"min_rows": 400}).run()
    verdict = refused.record("verdict/verdict.json")

    assert not verdict["promote"]
    assert verdict["final"] is None
    assert not (refused.paths.verdict / "final").exists()


def test_a_version_after_it_is_judged_on_rows_that_it_was_not_fitted_on(both: Room, tmp_path: Path) -> None:
    table = stream(ROWS + 60)
    second = make_run_directory(tmp_path, table, mode="refit", champion=both.bundle)
    second.features()
    rows = second.view.loc[second.view["_part"] == "judge", "_key"]

    assert rows.tolist() == table["_key"].iloc[ROWS:].tolist()


def test_both_fits_are_built_again_byte_for_byte(both: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, WIDE)

    assert make_run_directory(tmp_path, stream(ROWS), retrain=FINAL).run(cores=2).bundle == both.bundle


def test_a_new_class_among_the_rows_that_judged_is_learned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, WIDE)
    table = stream(ROWS)
    outcome = np.where(table["level"] > 0, "a", "b")
    outcome[-3:] = "c"
    table = table.assign(outcome=pd.Series(outcome, dtype="str"))
    room = make_run_directory(tmp_path, table, task="multiclass", **CLASSES).run()
    final = room.record("verdict/verdict.json")["final"]

    assert room.record("features/view.json")["classes"] == ["a", "b"]
    assert room.record("features/final_view.json")["classes"] == ["a", "b", "c"]
    assert 0 < final["checks"][1]["figure"] <= 1  # what it is given, the others lose


def test_it_decides_by_the_threshold_of_the_judged_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bounded(monkeypatch, WIDE)
    decide = {"threshold": {"false_positive": 1.0, "false_negative": 3.0}}
    table = stream(ROWS, task="binary")
    room = make_run_directory(tmp_path, table, task="binary", decide=decide, **CLASSES).run()
    winner = room.record("verdict/verdict.json")["winner"]

    assert room.record("verdict/verdict.json")["final"]["used"]
    assert predictor(room).threshold is not None
    assert predictor(room).threshold == room.record("backtest/thresholds.json")[winner]
