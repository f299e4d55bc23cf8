"""Whole runs with balanced classes and with a decision threshold; params.yaml that cannot be both."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.settings import load_params
from retrim.training.bundle import load_predictor, predicting
from retrim.yaml_files import dump_yaml
from tests.builders.run_directory import Room, make_run_directory, stream
from tests.builders.whole import assert_whole

ROOT = Path(__file__).parents[2]
CLASSES: dict[str, Any] = {"judge": {"loss": "log_loss", "metrics": ["log_loss"]}, "gate": {"baselines": ["mean"]}}


def rare(rows: int) -> pd.DataFrame:
    """A binary stream in which most of the positive rows were left out."""
    made = stream(rows * 2, task="binary")
    kept = (made["outcome"] == "no") | (np.arange(len(made)) % 5 == 0)
    return made[kept].iloc[:rows].reset_index(drop=True)


@pytest.fixture(scope="module", params=["weights", "sample"])
def balanced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Room:
    decide = {"threshold": {"false_positive": 1.0, "false_negative": 4.0}}
    folder = tmp_path_factory.mktemp(request.param)
    changed = {**CLASSES, "train": {"balance": request.param}, "decide": decide}
    return make_run_directory(folder, rare(600), task="binary", **changed).run()


def test_a_balanced_run_is_whole(balanced: Room) -> None:
    assert_whole(balanced)


def test_its_recipe_says_how(balanced: Room) -> None:
    recipe = load_predictor(balanced.bundle).recipe

    assert recipe.balance == balanced.settings["train"]["balance"]


def test_its_chances_are_about_as_frequent_as_what_came(balanced: Room) -> None:
    rows = balanced.view
    said, came = load_predictor(balanced.bundle).predict(rows).mean(), (rows["outcome"] == "yes").mean()

    assert said == pytest.approx(came, abs=0.08)


def test_its_threshold_decides(balanced: Room) -> None:
    bundle = balanced.bundle
    predictor = load_predictor(predicting(bundle))
    winner = balanced.record("verdict/verdict.json")["winner"]
    chosen = balanced.record("backtest/backtest.json")["decide"][winner]
    predicted = predictor.predict(balanced.view)
    decided = predictor.decide(predicted)

    assert chosen["expected"] == pytest.approx(0.2)
    assert decided is not None
    assert np.array_equal(decided, predicted >= chosen["threshold"])


def test_without_a_threshold_nothing_is_decided(tmp_path: Path) -> None:
    run_directory = make_run_directory(tmp_path, rare(600), task="binary", **CLASSES).run()
    predictor = load_predictor(run_directory.bundle)

    assert predictor.decide(predictor.predict(run_directory.view)) is None
    assert "decide" not in run_directory.record("backtest/backtest.json")


@pytest.mark.parametrize(
    ("shipped", "changed", "said"),
    [
        ("params.yaml", {"train": {"balance": "weights"}}, r"train\.balance: a regression has no classes to balance"),
        (
            "params.yaml",
            {"decide": {"threshold": 0.5}},
            r"decide\.threshold: a regression task has no threshold between two classes",
        ),
        (
            "data/samples/bank.params.yaml",
            {"train": {"balance": "groups"}},
            r"fairness\.groups: train\.balance is 'groups', but none are listed",
        ),
    ],
)
def test_settings_that_exclude_one_another_are_refused(
    shipped: str, changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    document = load_params(ROOT / shipped).as_stated()
    for section, values in changed.items():
        document[section] |= values
    (tmp_path / "params.yaml").write_text(dump_yaml(document), encoding="utf-8")

    with pytest.raises(BadInputError, match=said):
        load_params(tmp_path / "params.yaml")
