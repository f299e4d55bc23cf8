"""A recipe that is fitted once more is the one that was judged, whatever was edited since."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters import git
from retrim.adapters.database import iso
from retrim.decision.stored_rows import DecisionRow, RunDetail, VersionRow
from retrim.lineage.workspace import ask_for_run
from retrim.release.approval import ask_for_refit
from retrim.retraining import retrain
from retrim.retraining.run_directory import RunDirectory
from retrim.training.mode import ChosenMode
from tests.builders.answers import QUIET, kept_check
from tests.builders.desk import make_desk


def test_its_room_is_made_from_the_snapshot_of_the_judged_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = make_desk(tmp_path / "workspace", changes={"retrain": {"refit_after": True}})
    workspace, now, taken = desk.workspace, desk.day(10), []
    run = retrain.claim_run(
        workspace, ask_for_run(workspace, as_of=now, by="a test", reason="a test", now=now), now=now
    )
    lineage = {"champion": None, "snapshot": "a" * 40, "untracked": ["notes.txt"]}
    row = {"model": "generated", "version": 1, "run": run.id, "tag": "retrim/generated/v1", "bundle": "1" * 64}
    row |= {"as_of": iso(now), "made": iso(now), "model_sha256": "1" * 64, "lineage": lineage}
    workspace.store.add_version(VersionRow(**row, verdict={"promote": True, "losses": {}}))
    workspace.store.end_run(run.id, state="promoted", ended=iso(now), version=1, detail=RunDetail(reason=""))
    sequel = ask_for_refit(workspace, run, 1, now=now)
    assert sequel is not None

    def opened(*_: Any, **given: Any) -> RunDirectory:
        taken.append(given["taken"])
        return RunDirectory(tmp_path, given["taken"].commit, given["taken"].untracked, 1)

    monkeypatch.setattr(retrain, "open_run_directory", opened)
    monkeypatch.setattr(git, "has_commit", lambda *_: True)
    retrain.make_run_directory(workspace, retrain.claim_run(workspace, sequel, now=now))

    assert taken == [git.Snapshot("a" * 40, ("notes.txt",))]


@pytest.mark.parametrize("rule", ["gain", "schedule"])
def test_what_checks_showed_is_counted_in_a_run_that_the_account_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rule: str
) -> None:
    desk = make_desk(tmp_path / "workspace")
    workspace, now, counted = desk.workspace, desk.day(10), []
    row = {
        "id": "one",
        "model": workspace.model,
        "source": "check",
        "as_of": iso(now),
        "at": iso(now),
        "actor": "a test",
    }
    record = kept_check(now, mode=ChosenMode("refit", "a test"), decision=replace(QUIET, fired=(rule,)))
    workspace.store.add_decision(DecisionRow(**row, outcome="retrain", reason="a test", text=json.dumps(record)))

    def opened(*_: Any, **given: Any) -> RunDirectory:
        counted.append(given["by_gain"])
        return RunDirectory(tmp_path, "a" * 40, (), None)

    monkeypatch.setattr(retrain, "open_run_directory", opened)
    retrain.make_run_directory(workspace, retrain.claim_run(workspace, "one", now=now))

    assert counted == [rule == "gain"]
