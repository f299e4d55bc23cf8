"""A schedule that is killed, rests over several due times, and is started again: real server, worker and flows.

The second schedule also shows the whole loop by the clock: a file in the inbox lands, the
check finds the drift that was planted in it, the drift rule fires, and a run starts.
"""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil

from retrim.adapters import prefect_server
from retrim.adapters.prefect_server import PrefectApi
from retrim.decision.stored_rows import DecisionRow, RunRow
from tests.builders.world import COMMAND, World, make_world, without_cooldown

DEADLINE_SECONDS = 400
QUICK = {"RETRIM_PREFECT_URL": "", "PREFECT_WORKER_QUERY_SECONDS": "1"}
CHANGES: dict[str, dict[str, Any]] = {
    "batches": {"skip": "all"},
    "triggers": {"rules": ["drift"]},
}
CODE = [*without_cooldown(), ('default="60D"', "default=None")]  # labels of 2024 are not waited for


@dataclass(frozen=True)
class Story:
    """What happened, as our store and Prefect tell it."""

    killed: pd.Timestamp
    started: pd.Timestamp
    every: pd.Timedelta
    checks: list[DecisionRow]
    runs: list[RunRow]
    landed: int
    ingests: list[dict[str, Any]]
    output: str

    @property
    def landed_at(self) -> list[pd.Timestamp]:
        """The times of the runs of the flow that lands, as far as they have ended."""
        return [pd.Timestamp(run["expected_start_time"]) for run in self.ingests if run["state_type"] == "COMPLETED"]


def tell(folder: Path, *, every: str, gap: pd.Timedelta, span: str, forget: bool = False) -> Story:
    """Kills a schedule, waits, starts it again, and waits for the run that a planted drift starts.

    Checks and landings have the timetable `every`, which is `span` as a span. With `forget` all of Prefect's records
    are gone when it starts again, as after a restore.
    """
    times = {"ingest": every, "check": every, "score": "1h", "prove": None}
    drift = {"kind": "shift", "size": 6.0, "since": "2024-01-26T00:00:00+00:00"}
    world = make_world(folder, server="", drift=drift, changes={**CHANGES, "schedule": times}, code=CODE)
    world.land(world.day(25))
    world.retrim("retrain", "--as-of", world.day(25))
    workspace = world.workspace
    first = start(world)
    try:
        until(lambda: checks(world), first)
        first.kill()
        killed = pd.Timestamp.now("UTC")
        first.wait()
        until(lambda: not processes_of(world.root), None)
        workspace.paths.inbox.mkdir(parents=True, exist_ok=True)
        world.rows(world.day(25), world.day(35)).to_csv(workspace.paths.inbox / "drifted.csv", index=False)
        if forget:
            shutil.rmtree(workspace.paths.prefect)
        until(lambda: pd.Timestamp.now("UTC") - killed > gap, None)
        started = pd.Timestamp.now("UTC")
    finally:
        end(world, first)
    second = start(world)
    try:
        until(lambda: any(run.as_of > killed.isoformat() for run in workspace.store.runs(workspace.model)), second)
        seen = checks(world)[-1].as_of
        until(lambda: checks(world)[-1].as_of > seen, second)
        note = json.loads((workspace.paths.prefect / prefect_server.NOTE).read_text(encoding="utf-8"))
        api = PrefectApi(str(note["url"]), str(note["login"]))
        ingests = api.ask("flow_runs/filter", {"flows": {"name": {"any_": ["ingest"]}}})
    finally:
        end(world, second)
    return Story(
        killed=killed,
        started=started,
        every=pd.Timedelta(span),
        checks=checks(world),
        runs=workspace.store.runs(workspace.model),
        landed=len(workspace.landing.batches()),
        ingests=ingests,
        output=(world.root / "schedule.log").read_text(encoding="utf-8"),
    )


def start(world: World) -> "subprocess.Popen[bytes]":
    with (world.root / "schedule.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, "up", "--only", "schedule"],
            cwd=world.root,
            env={**world.environment, **QUICK},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def end(world: World, process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.terminate()
        process.wait(60)
    for left in processes_of(world.root):
        left.kill()


def checks(world: World) -> list[DecisionRow]:
    return world.workspace.store.decisions(world.workspace.model, source="check")


def until(claim: Callable[[], Any], process: "subprocess.Popen[bytes] | None") -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not claim():
        assert process is None or process.poll() is None, "the schedule ended"
        assert time.monotonic() < deadline
        time.sleep(0.25)


def processes_of(root: Path) -> list[psutil.Process]:
    """Processes that work in the workspace."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.cwd().startswith(str(root)):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
