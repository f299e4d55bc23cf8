"""What a run leaves behind that cannot end yet."""

import json
from pathlib import Path

from retrim.decision.stored_rows import DecisionRow, KeptRunDirectory, RunClaim, RunDetail
from retrim.retraining.run_directory import UNPUSHED
from tests.builders.desk import Desk


def leave_unpushed(desk: Desk, folder: Path) -> None:
    """A run whose stages have all run, in a folder, and whose data could not be pushed."""
    store, model, at = desk.workspace.store, desk.workspace.model, desk.day(9).isoformat()
    row = {"id": "left", "model": model, "source": "person", "as_of": at, "at": at, "actor": "a test"}
    store.add_decision(DecisionRow(**row, outcome="retrain", reason="a test", text=json.dumps({"as_of": at})))
    store.claim_run(RunClaim(id="run-left", model=model, decision="left", as_of=at, mode="refit", started=at))
    there = KeptRunDirectory(str(folder), "0" * 40, (), None)
    store.end_run("run-left", state=UNPUSHED, ended=at, version=None, detail=RunDetail(run_directory=there))
