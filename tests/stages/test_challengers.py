"""Recipes that compete: what a search found beside the champion's own, refitted; the bundle follows the winner."""

from pathlib import Path

import pytest

from retrim.training.bundle import load_predictor
from tests.builders.run_directory import SETTINGS, Room, make_run_directory, stream

ROWS = 480
POOR = {**SETTINGS["tune"]["space"], "learning_rate": {"low": 1e-4, "high": 2e-4}}
"""A space in which every trial hardly learns: the champion's recipe must win over what is found there."""
FOUR = {"all", "sliding", "refit-all", "refit-sliding"}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 1: searched, no champion."""
    return make_run_directory(tmp_path_factory.mktemp("first"), stream(ROWS)).run()


@pytest.fixture(scope="module")
def second(first: Room, tmp_path_factory: pytest.TempPathFactory) -> Room:
    """Version 2: a search in a space where nothing good is, against version 1."""
    folder = tmp_path_factory.mktemp("second")
    poor = {"space": POOR}
    table = stream(ROWS + 60)
    run_directory = make_run_directory(folder, table, mode="search", champion=first.bundle, tune=poor)
    return run_directory.run()


def winner(run_directory: Room) -> str:
    return str(run_directory.record("verdict/verdict.json")["winner"])


def hyperparameters(run_directory: Room) -> dict:
    return dict(run_directory.record(f"models/{winner(run_directory)}/fit.json")["recipe"]["hyperparameters"])


def test_the_champions_recipe_competes_on_every_window(second: Room) -> None:
    assert {name.split("/")[1] for name in second.bundle if name.startswith("models/")} == FOUR
    assert set(second.record("verdict/verdict.json")["losses"]) == FOUR | {"champion", "mean"}


def test_it_wins_where_the_search_found_nothing_as_good(second: Room) -> None:
    assert winner(second).startswith("refit-")


def test_hyperparameters_of_the_bundle_are_those_of_the_recipe_that_won(first: Room, second: Room) -> None:
    found = load_predictor(second.bundle).recipe

    assert found.hyperparameters == hyperparameters(first)
    assert found.hyperparameters != second.record("tuning/hyperparameters.json")["hyperparameters"]


def test_the_next_refit_takes_the_recipe_that_won(second: Room, tmp_path: Path) -> None:
    third = make_run_directory(tmp_path, stream(ROWS + 120), mode="refit", champion=second.bundle)
    third.features()
    third.tune()

    assert third.record("tuning/hyperparameters.json")["hyperparameters"] == hyperparameters(second)


def test_all_of_them_make_the_gate_stricter(first: Room, second: Room, tmp_path: Path) -> None:
    alone = make_run_directory(tmp_path, stream(ROWS + 60), mode="refit", champion=first.bundle).run()
    said = [
        next(
            check["text"] for check in run_directory.record("verdict/verdict.json")["checks"] if check["name"] == "gain"
        )
        for run_directory in (alone, second)
    ]

    # Bonferroni at 90%: two challengers ask for 95%, four for 97.5%.
    assert "95.0% confidence" in said[0]
    assert "97.5% confidence" in said[1]


def test_a_setting_keeps_the_champions_recipe_out(first: Room, tmp_path: Path) -> None:
    alone = {"recipes": ["found"]}
    run_directory = make_run_directory(tmp_path, stream(ROWS + 60), mode="search", champion=first.bundle, train=alone)
    for stage in (run_directory.features, run_directory.tune, run_directory.train):
        stage()

    assert {name.split("/")[1] for name in run_directory.bundle if name.startswith("models/")} == {"all", "sliding"}
