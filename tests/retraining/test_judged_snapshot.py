"""What checks showed is counted in a run that the accumulated gain started."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.database import iso
from retrim.decision.stored_rows import DecisionRow
from retrim.retraining import retrain
from retrim.retraining.run_directory import RunDirectory
from retrim.training.mode import ChosenMode
from tests.builders.answers import QUIET, kept_check
from tests.builders.desk import make_desk


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
