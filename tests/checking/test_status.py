"""What the status says of a workspace whose processes were killed."""

from pathlib import Path

import pytest

from retrim.decision.stored_rows import RunDetail, RunRow
from retrim.lineage.locks import held_locks
from retrim.lineage.workspace import ask_for_run
from retrim.reports.health import find_models
from retrim.retraining.recover import KILLED, mark_stopped
from retrim.retraining.retrain import claim_run
from retrim.yaml_files import dump_yaml
from tests.builders.answers import resumed_records, status_record
from tests.builders.desk import Desk, make_desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = make_desk(tmp_path / "workspace")
    root = desk.workspace.paths.root
    (root / "params.yaml").write_text(dump_yaml(desk.workspace.params.as_stated()), encoding="utf-8")
    (root / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")  # by these it is known as a workspace
    desk.land(desk.rows(0, 10), 10)
    return desk


def begun(desk: Desk) -> RunRow:
    """A run that was claimed, and holds no sign of life."""
    asked = ask_for_run(desk.workspace, as_of=desk.day(10), by="a test", reason="a test", now=desk.day(10))
    return claim_run(desk.workspace, asked, now=desk.day(10))


def test_a_run_whose_process_is_dead_is_stopped_and_not_running(desk: Desk) -> None:
    run, root = begun(desk), desk.workspace.paths.root
    record = status_record(desk.workspace, now=desk.day(10))
    (model,) = find_models([root], here=root, now=desk.day(10))
    with held_locks(desk.workspace, run.id):
        alive = status_record(desk.workspace, now=desk.day(10))

    assert record["running"] == []
    assert [(each["id"], each["attempt"], each["attempts"]) for each in record["stopped"]] == [(run.id, 1, 3)]
    assert f"{run.id} stopped: {KILLED}" in model.faults
    assert ([each["id"] for each in alive["running"]], alive["stopped"]) == ([run.id], [])


def test_a_run_that_waits_to_be_taken_up_again_is_stopped(desk: Desk) -> None:
    mark_stopped(desk.workspace, begun(desk), why="the Prefect server went away", now=desk.day(10))
    record = status_record(desk.workspace, now=desk.day(10))

    assert [each["why"] for each in record["stopped"]] == ["the Prefect server went away"]


def test_what_was_resumed_is_named_with_its_end(desk: Desk) -> None:
    run = begun(desk)
    desk.workspace.store.end_run(
        run.id, state="failed", ended=run.started, version=None, detail=RunDetail(reason="no disk")
    )
    (record,) = resumed_records(desk.workspace, [run.decision])

    assert (record["id"], record["state"], record["reason"]) == (run.id, "failed", "no disk")
