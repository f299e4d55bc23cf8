"""A forbidden column is nowhere: its values are in nothing that a run makes from the table, but for declared groups."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.builders.unfair import GROUPS, VALUES, UnfairRoom, holds, make_unfair_run_directory, unfair_stream

BY_GROUP = {"verdict/fairness.json", "verdict/verdict.json"}
"""Where groups stand that a person has declared: by name, never row by row."""


@pytest.fixture(scope="module")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> UnfairRoom:
    """Groups are not declared; the column is forbidden anyway."""
    made = make_unfair_run_directory(tmp_path_factory.mktemp("forbidden"), unfair_stream(800, measured=1.5), groups=[])
    made.run()
    return made


def test_a_forbidden_column_is_in_no_file_of_a_bundle(run_directory: UnfairRoom) -> None:
    assert [name for name, content in run_directory.bundle.items() if holds(content, name)] == []


def test_a_forbidden_column_is_not_among_the_rows_that_stages_train_on(run_directory: UnfairRoom) -> None:
    assert not holds(run_directory.paths.view.read_bytes(), "view.parquet")


def test_a_forbidden_column_is_in_no_trial_log(run_directory: UnfairRoom) -> None:
    assert not holds(run_directory.log.read_bytes(), run_directory.log.name)


def test_a_declared_group_stands_by_name_in_the_verdict_alone(tmp_path: Path) -> None:
    made = make_unfair_run_directory(tmp_path, unfair_stream(800, measured=1.5), groups=GROUPS, mitigate="reweight")
    made.run()

    assert {name for name, content in made.bundle.items() if holds(content, name)} <= BY_GROUP


def test_predictions_do_not_change_with_a_forbidden_column(run_directory: UnfairRoom, tmp_path: Path) -> None:
    table = pd.read_parquet(run_directory.paths.table)
    turned = make_unfair_run_directory(
        tmp_path, table.assign(sex=table["sex"].sample(frac=1, random_state=1).to_numpy()), groups=[]
    )
    turned.run()

    assert turned.bundle == run_directory.bundle


def test_the_search_finds_a_value_that_is_there(run_directory: UnfairRoom) -> None:
    assert holds(run_directory.paths.table.read_bytes(), "table.parquet")
    assert holds(json.dumps({"a": VALUES[0]}).encode(), "a.json")
