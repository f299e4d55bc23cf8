"""The mode `final`: the champion's recipe on all mature rows, those that judged too, held against the champion."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.adapters.exhibits import Exhibits
from retrim.errors import BadInputError
from retrim.files import write_folder
from retrim.gate.agreement import AgreementParams
from retrim.training.bundle import load_predictor
from retrim.training.recipe import fit_recipe
from tests.builders.run_directory import Room, make_run_directory, stream

ROWS = 480


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 1, judged on the newest 80 rows."""
    return make_run_directory(tmp_path_factory.mktemp("first"), stream(ROWS)).run()


@pytest.fixture(scope="module")
def again(first: Room, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 2: the same recipe on the same table, with all of its rows."""
    wide = {"agreement": {"difference": 1.0, "loss": 0.05}}
    folder = tmp_path_factory.mktemp("again")
    return make_run_directory(folder, stream(ROWS), mode="final", champion=first.bundle, retrain=wide).run()


def test_every_row_trains_and_those_that_judged_are_compared(again: Room) -> None:
    assert again.record("features/split.json")["rows"] == {"train": 400, "both": 80}
    assert again.record("features/split.json")["used_until"] == stream(ROWS)["_event"].iloc[-1].isoformat()


def test_its_model_is_the_recipe_on_all_rows_of_its_window(again: Room) -> None:
    found, table = load_predictor(again.bundle), stream(ROWS)
    rows = table if found.window == "all" else table.iloc[-200:]

    assert fit_recipe(found.recipe, found.view, rows, threads=1).files() == found.model.files()


def test_the_rows_are_those_that_judged_the_other(first: Room, again: Room) -> None:
    keys = [
        pd.read_parquet(run_directory.paths.verdict / "judged.parquet")["_key"].tolist()
        for run_directory in (first, again)
    ]

    assert keys[0] == keys[1]


def test_the_verdict_is_one_of_agreement_and_says_so(first: Room, again: Room) -> None:
    verdict, judged = (each.record("verdict/verdict.json") for each in (again, first))

    names = ["agreement: rows", "agreement: predictions", "agreement: loss"]
    assert verdict["checks"] == [*judged["checks"], *verdict["checks"][-3:]]
    assert [check["name"] for check in verdict["checks"][-3:]] == names
    assert (verdict["promote"], verdict["agreement"]) == (True, 1)
    assert verdict["reason"].startswith("fitted on all mature rows; it agrees with version 1, which was judged")


def test_every_figure_is_that_of_the_version_that_was_judged(first: Room, again: Room) -> None:
    judged, found = (each.record("verdict/verdict.json") for each in (first, again))
    winner, name = judged["winner"], found["winner"]

    assert found["losses"][name] == judged["losses"][winner]
    assert found["metrics"] == {name: judged["metrics"][winner]}
    assert (found["corrected_gain"], found["detectable"]) == (judged["corrected_gain"], judged["detectable"])
    for file in ("slices.json", "importance.json"):
        assert again.record(f"verdict/{file}") == first.record(f"verdict/{file}")
    assert load_predictor(again.bundle).judged_loss == load_predictor(first.bundle).judged_loss


def test_its_judged_rows_hold_what_the_judged_fit_said(first: Room, again: Room) -> None:
    judged, found = (pd.read_parquet(each.paths.verdict / "judged.parquet") for each in (first, again))
    winner, name = (each.record("verdict/verdict.json")["winner"] for each in (first, again))

    assert found[name].tolist() == judged[winner].tolist()
    assert found["_judged_loss"].mean() == pytest.approx(again.record("verdict/verdict.json")["losses"][name])


def test_its_error_on_rows_it_has_seen_is_called_training_error(again: Room) -> None:
    verdict = again.record("verdict/verdict.json")
    rows = pd.read_parquet(again.paths.verdict / "judged.parquet")["_key"]
    seen = stream(ROWS).set_index("_key").loc[rows].reset_index()
    found = load_predictor(again.bundle)
    error = float(np.abs(found.predict(seen) - found.view.actual(seen)).mean())

    assert verdict["training"]["mae"] == pytest.approx(error)
    assert error < verdict["metrics"][verdict["winner"]]["mae"]


def test_mlflow_shows_its_training_error_apart_from_the_judged_figures(
    first: Room, again: Room, tmp_path: Path
) -> None:
    shown = []
    for number, made in enumerate((first, again)):
        write_folder(tmp_path / str(number), made.bundle)
        shown.append(Exhibits(tmp_path / str(number)))
    judged, found = ({point.metric: point.value for point in each.points()} for each in shown)

    assert (found["judged/mae"], found["judging_loss"]) == (judged["judged/mae"], judged["judging_loss"])
    assert found["train/mae"] < found["judged/mae"]
    assert not [name for name in judged if name.startswith("train/")]


def test_a_bound_that_it_does_not_keep_refuses_it(first: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tight = AgreementParams(difference=1e-6, loss=0.05)
    monkeypatch.setattr("retrim.stages.compare.AgreementParams", lambda: tight)
    run_directory = make_run_directory(tmp_path, stream(ROWS), mode="final", champion=first.bundle).run()
    verdict = run_directory.record("verdict/verdict.json")

    assert not verdict["promote"]
    assert "with version 1" in verdict["reason"]


def test_a_version_after_it_is_judged_on_rows_that_it_was_not_fitted_on(again: Room, tmp_path: Path) -> None:
    table = stream(ROWS + 60)
    third = make_run_directory(tmp_path, table, mode="refit", champion=again.bundle)
    third.features()
    judged = third.view.loc[third.view["_part"] == "judge", "_key"]

    assert judged.tolist() == table["_key"].iloc[ROWS:].tolist()


def test_it_is_built_again_byte_for_byte(first: Room, again: Room, tmp_path: Path) -> None:
    wide = {"agreement": {"difference": 1.0, "loss": 0.05}}
    same = make_run_directory(tmp_path, stream(ROWS), mode="final", champion=first.bundle, retrain=wide).run(cores=2)

    assert same.bundle == again.bundle


def test_without_a_champion_there_is_nothing_to_fit_once_more(tmp_path: Path) -> None:
    run_directory = make_run_directory(tmp_path, stream(ROWS), mode="final")

    with pytest.raises(BadInputError, match=r"mode 'final' .*no champion"):
        run_directory.features()


def test_a_new_class_among_the_rows_that_judged_is_learned(tmp_path: Path) -> None:
    settings = {"judge": {"loss": "log_loss", "metrics": ["accuracy"]}, "gate": {"baselines": ["mean"]}}
    outcomes = np.array([*"ab" * 200, *"abc" * 27][:ROWS])
    table = stream(len(outcomes)).assign(outcome=pd.Series(outcomes, dtype="str"))
    first = make_run_directory(tmp_path / "1", table, task="multiclass", **settings).run()
    again = make_run_directory(
        tmp_path / "2", table, task="multiclass", mode="final", champion=first.bundle, **settings
    ).run()

    assert again.record("features/view.json")["classes"] == ["a", "b", "c"]
    assert 0 < again.record("verdict/verdict.json")["checks"][-2]["figure"] <= 1  # what it is given, the others lose


def test_its_backtest_is_that_of_the_run_that_judged_it(first: Room, again: Room) -> None:
    winner, name = first.record("verdict/verdict.json")["winner"], load_predictor(again.bundle).window
    judged, kept = (run_directory.record("backtest/backtest.json") for run_directory in (first, again))

    assert [each["losses"][name] for each in kept["origins"]] == [each["losses"][winner] for each in judged["origins"]]
    assert kept["interval"]["residuals"] == {name: judged["interval"]["residuals"][winner]}


def test_it_decides_as_the_judged_one_does(tmp_path: Path) -> None:
    settings = {
        "judge": {"loss": "log_loss", "metrics": ["accuracy"]},
        "gate": {"baselines": ["mean"]},
        "decide": {"threshold": {"false_positive": 1.0, "false_negative": 3.0}},
        "retrain": {"agreement": {"difference": 1.0, "loss": 0.5}},
    }
    table = stream(ROWS, task="binary")
    first = make_run_directory(tmp_path / "1", table, task="binary", **settings).run()
    again = make_run_directory(
        tmp_path / "2", table, task="binary", mode="final", champion=first.bundle, **settings
    ).run()
    judged, found = load_predictor(first.bundle), load_predictor(again.bundle)

    assert judged.threshold is not None
    assert found.threshold == judged.threshold
