"""The inbox: rows before their labels, and one file that cannot be landed keeps no other from it."""

import json
from pathlib import Path

import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.ops.inbox import take
from tests.conftest import SUITE
from tests.ops.desk import Desk, make_desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Labels come later; the suite binds the key."""
    desk = make_desk(tmp_path / "house", labels="later")
    suite = desk.house.workspace.root / desk.house.params.data.suite
    suite.parent.mkdir()
    suite.write_text(json.dumps({**SUITE, "expectations": SUITE["expectations"][:2]}), encoding="utf-8")
    desk.house.workspace.inbox.mkdir(parents=True)
    return desk


def drop(desk: Desk, name: str, frame: pd.DataFrame) -> Path:
    path = desk.house.workspace.inbox / name
    frame.to_csv(path, index=False)
    return path


def test_labels_that_came_with_their_rows_are_landed_after_them(desk: Desk) -> None:
    rows = desk.rows(0, 1)
    drop(desk, "labels.csv", rows[["number", "outcome"]])
    drop(desk, "rows.csv", rows.drop(columns="outcome"))
    landed = list(take(desk.house, now=desk.day(2)))

    assert [(each.kind, each.outcome) for each in landed] == [("rows", "landed"), ("labels", "landed")]
    assert sorted(path.name for path in desk.house.workspace.inbox.iterdir()) == ["taken"]


def test_a_file_that_cannot_be_landed_stays_and_the_others_land(desk: Desk) -> None:
    (desk.house.workspace.inbox / "a.csv").symlink_to("/proc/self/mem")  # a file that nobody can read from its start
    drop(desk, "b.csv", desk.rows(0, 1))
    landed = take(desk.house, now=desk.day(2))

    assert next(landed).outcome == "landed"
    with pytest.raises(BadInputError, match=r"a\.csv cannot be read"):
        next(landed)
    assert sorted(path.name for path in desk.house.workspace.inbox.iterdir()) == ["a.csv", "taken"]


def test_what_a_person_landed_after_the_scheduled_time_is_no_reason_to_land_nothing(desk: Desk) -> None:
    desk.land(desk.rows(0, 1), 2)
    drop(desk, "b.csv", desk.rows(1, 2))

    assert [each.outcome for each in take(desk.house, now=desk.day(1.9))] == ["landed"]
    assert {batch.arrived for batch in desk.house.landing.batches()} == {desk.day(2)}
