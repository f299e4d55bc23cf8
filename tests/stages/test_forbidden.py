"""A forbidden column is nowhere: its values are in nothing that a run makes from the table, but for declared groups."""

import json
from pathlib import Path

import pandas as pd
import pytest

from tests.builders.unfair import GROUPS, VALUES, UnfairRoom, holds, make_unfair_room, unfair_stream

BY_GROUP = {"verdict/fairness.json", "verdict/verdict.json", "backtest/thresholds.json"}
"""Where groups stand that a person has declared: by name, never row by row."""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> UnfairRoom:
    """Groups are not declared; the column is forbidden anyway."""
    made = make_unfair_room(tmp_path_factory.mktemp("forbidden"), unfair_stream(800, measured=1.5), groups=[])
    made.run()
    return made


def test_a_forbidden_column_is_in_no_file_of_a_bundle(room: UnfairRoom) -> None:
    assert [name for name, content in room.bundle.items() if holds(content, name)] == []


def test_a_forbidden_column_is_not_among_the_rows_that_stages_train_on(room: UnfairRoom) -> None:
    assert not holds(room.paths.view.read_bytes(), "view.parquet")


def test_a_forbidden_column_is_in_no_trial_log(room: UnfairRoom) -> None:
    assert not holds(room.log.read_bytes(), room.log.name)


def test_a_declared_group_stands_by_name_in_the_verdict_alone(tmp_path: Path) -> None:
    made = make_unfair_room(tmp_path, unfair_stream(800, measured=1.5), groups=GROUPS, mitigate="false_negative_rate")
    made.run()

    assert {name for name, content in made.bundle.items() if holds(content, name)} <= BY_GROUP


def test_predictions_do_not_change_with_a_forbidden_column(room: UnfairRoom, tmp_path: Path) -> None:
    table = pd.read_parquet(room.paths.table)
    turned = make_unfair_room(
        tmp_path, table.assign(sex=table["sex"].sample(frac=1, random_state=1).to_numpy()), groups=[]
    )
    turned.run()
    unlike = {name for name in room.bundle if room.bundle[name] != turned.bundle[name]}

    assert unlike <= {"features/proxies.json", "verdict/verdict.json"}


def test_the_search_finds_a_value_that_is_there(room: UnfairRoom) -> None:
    assert holds(room.paths.table.read_bytes(), "table.parquet")
    assert holds(json.dumps({"a": VALUES[0]}).encode(), "a.json")
