"""Whole runs with other kinds of model than gbm, and against a champion of another kind."""

from pathlib import Path
from typing import Any

import pytest

from retrim.errors import BadInputError
from retrim.files import folder_digest
from retrim.release.release import ask_fresh
from retrim.templates import own_model
from retrim.training.bundle import load_predictor
from retrim.training.estimators import trust
from retrim.training.predicted import explain_row
from tests.builders.run_directory import Room, make_run_directory, stream
from tests.builders.whole import assert_whole

L2 = {"l2": {"low": 1e-6, "high": 1.0, "log": True}}
SPACES: dict[str, dict[str, Any]] = {
    "linear": L2,
    "logistic": L2,
}
LOSSES = {"regression": "mae", "binary": "log_loss", "multiclass": "log_loss"}


def settings(kind: str, task: str, **train: Any) -> dict[str, dict[str, Any]]:
    loss = LOSSES[task]
    return {
        "train": {"model": kind, **train},
        "tune": {"space": SPACES[kind]},
        "judge": {"loss": loss, "metrics": [loss]},
        "gate": {"baselines": ["mean"]},
    }


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 1: gbm, judged on the newest 80 rows of 400."""
    return make_run_directory(tmp_path_factory.mktemp("trees"), stream(400)).run()


@pytest.fixture(scope="module")
def line(trees: Room, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 2: linear, against the gbm of version 1, whose recipe competes too."""
    folder = tmp_path_factory.mktemp("line")
    return make_run_directory(folder, stream(480), champion=trees.bundle, **settings("linear", "regression")).run()


def test_a_refit_with_another_kind_searches_or_keeps_the_champions(trees: Room, tmp_path: Path) -> None:
    def tuned(name: str, *, mode: str, kind: dict[str, dict[str, Any]]) -> Room:
        run_directory = make_run_directory(tmp_path / name, stream(480), mode=mode, champion=trees.bundle, **kind)
        run_directory.features()
        run_directory.tune()
        return run_directory

    other = settings("linear", "regression")
    with pytest.raises(BadInputError):
        tuned("refused", mode="refit", kind=other)
    searched, kept = tuned("searched", mode="search", kind=other), tuned("kept", mode="refit", kind={})

    assert len(searched.record("tuning/trials.json")) > 0
    assert kept.record("tuning/hyperparameters.json")["model"] == "gbm"


@pytest.mark.parametrize(
    ("kind", "task"),
    [("logistic", "binary"), ("logistic", "multiclass")],
)
def test_a_run_of_classes_is_whole_with_any_kind(kind: str, task: str, tmp_path: Path) -> None:
    run_directory = make_run_directory(tmp_path, stream(480, task=task), task=task, **settings(kind, task)).run()

    assert load_predictor(run_directory.bundle).recipe.model == kind
    assert_whole(run_directory)


def test_a_linear_challenger_is_judged_against_a_champion_of_trees_on_the_same_rows(line: Room) -> None:
    verdict = line.record("verdict/verdict.json")

    assert set(verdict["losses"]) >= {"all", "sliding", "champion"}
    assert "gain" in [check["name"] for check in verdict["checks"]]


def test_the_champions_recipe_competes_as_what_it_is(line: Room) -> None:
    kinds = {
        name.split("/")[1]: line.record(name)["recipe"]["model"] for name in line.bundle if name.endswith("/fit.json")
    }

    assert kinds == {"all": "linear", "sliding": "linear", "refit-all": "gbm", "refit-sliding": "gbm"}


def test_a_linear_prediction_is_taken_apart_exactly(trees: Room, tmp_path: Path) -> None:
    alone = settings("linear", "regression", recipes=["found"])
    run_directory = make_run_directory(tmp_path, stream(480), champion=trees.bundle, **alone).run()
    predictor, row = load_predictor(run_directory.bundle), run_directory.view.iloc[[-1]]
    found = explain_row(predictor, row, asked=None)

    assert predictor.recipe.model == "linear"
    assert found.base + sum(each.contribution for each in found.added) == pytest.approx(found.output, rel=1e-12)


def test_a_refit_of_another_kind_is_refused_with_the_cure(trees: Room, tmp_path: Path) -> None:
    run_directory = make_run_directory(
        tmp_path, stream(480), mode="refit", champion=trees.bundle, **settings("linear", "regression")
    )
    run_directory.features()

    with pytest.raises(BadInputError, match=r"for gbm, .*train\.model is linear; .*--mode search"):
        run_directory.tune()


def test_a_model_of_ones_own_answers_in_a_fresh_process_that_never_heard_of_it(trees: Room, tmp_path: Path) -> None:
    code = Path(own_model.__file__).read_bytes()
    space = {"learning_rate": {"choices": [0.2]}, "max_iter": {"choices": [20]}, "max_leaf_nodes": {"choices": [8]}}
    changed = {
        "train": {"model": f"own:models/m.py@{trust(code)}", "recipes": ["found"]},
        "tune": {"space": space, "trials": 1},
    }
    run_directory = make_run_directory(tmp_path, stream(480), champion=trees.bundle, **changed).run()
    answers = ask_fresh(run_directory.paths.candidate, folder_digest(run_directory.paths.candidate), seconds=60)

    assert load_predictor(run_directory.bundle).recipe.model.startswith("own:models/m.py@")
    assert (answers.rows, answers.farthest) == (64, 0.0)
