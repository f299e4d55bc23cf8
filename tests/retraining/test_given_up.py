"""A run that a person cancelled is over, however far it had come."""

from dataclasses import replace
from pathlib import Path

import pytest

from retrim.decision.history import UNFINISHED
from retrim.retraining.recover import give_up
from tests.builders.desk import make_desk
from tests.builders.left import leave_unpushed


@pytest.mark.parametrize("state", ["crashed", "unpushed"])
def test_a_run_that_waits_to_be_taken_up_again_ends_failed(tmp_path: Path, state: str) -> None:
    desk = make_desk(tmp_path / "workspace")
    leave_unpushed(desk, tmp_path / "gone")
    store = desk.workspace.store
    (left,) = store.runs(desk.workspace.model)
    detail = replace(left.detail, why="a test")
    store.end_run(left.id, state=state, ended=desk.day(9).isoformat(), version=None, detail=detail)
    give_up(desk.workspace, left.decision, now=desk.day(10))
    (run,) = store.runs(desk.workspace.model)

    assert run.state == "failed"
    assert run.state not in UNFINISHED
    assert run.detail.reason == "a person cancelled it in Prefect"
