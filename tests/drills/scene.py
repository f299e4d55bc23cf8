"""A world in which runs are killed one after another, and what must hold after each kill and after the next run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from retrim.adapters.dvc_session import RUN_DIRECTORY_VARIABLE
from retrim.adapters.prefect_server import LOGIN_VARIABLE, PrefectApi
from retrim.decision.stored_rows import RunRow
from retrim.release.versions import find_live_version, load_stored_version
from retrim_flows.reconcile import workspace_tag
from tests.builders.world import World, make_world

KILLED = Path(__file__).with_name("killed.py")
FIRST = 25  # day of version 1
CHANGE = 26  # day on which the table changes, so that a later challenger wins
OPEN = {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}
DEADLINE_SECONDS = 60


HOLDS = "refusals_to_hold: int = Field(\n        exclude=True,\n        default=2,"
"""What the code says of refusals in a row: here they hold nothing up."""


class Scene:
    """A world with a version 1, and the day up to which rows have landed."""

    def __init__(self, folder: Path, server: str) -> None:
        self.world: World = make_world(
            folder,
            server=server,
            drift={"kind": "concept", "size": 3.0, "since": f"2024-01-{CHANGE:02d}T00:00:00+00:00"},
            changes={
                "tune": {"trials": 8},
                "retrain": {"mode": "search"},
                "gain": {"cost": 0.0001},
            },
            code=[(HOLDS, HOLDS.replace("default=2", "default=50"))],
        )
        self.day = FIRST
        self.world.land(self.world.day(FIRST))
        self.world.retrim("retrain", "--as-of", self.world.day(FIRST))

    def next_day(self) -> str:
        """Lands twenty days of rows the first time, when the table changes, then one more; gives the moment."""
        before = self.day
        self.day += 20 if before == FIRST else 1
        self.world.land(self.world.day(self.day), since=self.world.day(before))
        return self.world.day(self.day)

    def kill(self, place: str, *arguments: str, sign: str = "SIGKILL") -> "subprocess.CompletedProcess[str]":
        """Runs `retrim ...` until it is killed at `place`."""
        process = subprocess.Popen(
            [sys.executable, str(KILLED), sign, place, *arguments],
            cwd=self.world.root,
            env=self.world.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        out, err = process.communicate(timeout=300)
        if sign == "SIGKILL":
            assert process.returncode == -signal.SIGKILL, (
                f"it was not killed at {place}: {process.returncode}\n{out}{err}"
            )
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def run_of(self, at: str) -> RunRow | None:
        """The run of the person's decision for a moment."""
        runs = [run for run in self.world.workspace.store.runs("generated") if run.as_of == at]
        return runs[-1] if runs else None


def champion_is_whole(world: World) -> None:
    """What is live, and what the alias points at, loads and answers."""
    workspace = world.workspace
    now_live = find_live_version(workspace)
    assert now_live is not None
    view = load_stored_version(workspace, now_live.version).predictor.view
    rows = world.rows(None, world.day(1)).head(5)
    aliases = workspace.registry.aliases()
    answers = workspace.registry.load("champion").predict(rows[list(view.features)])

    assert len(answers) == 5
    assert aliases["champion"] in {now_live.version, now_live.previous}


def all_is_settled(world: World) -> None:
    """Nothing runs any more, in no tool, and nothing lies about."""
    workspace = world.workspace
    now_live = find_live_version(workspace)
    assert now_live is not None
    numbers = [row.version for row in workspace.store.versions(workspace.model)]
    parents = [run for run in mlflow_runs(world) if "mlflow.parentRunId" not in run.data.tags]

    assert workspace.store.runs(workspace.model, state="running") == []
    assert [run.info.run_name for run in mlflow_runs(world) if run.info.status == "RUNNING"] == []
    assert eventually(lambda: prefect_open(world), []) == []
    assert left_in_runs(world) == []
    assert survivors(world) == []
    # One version, one tag, one MLflow run each, and nobody's twice.
    assert [version.number for version in workspace.registry.versions()] == numbers
    assert sorted(world.run("git", "tag", "--list", "retrim/generated/v*").split()) == sorted(
        f"retrim/generated/v{number}" for number in numbers
    )
    runs = [run.data.tags["retrim.run"] for run in parents]
    assert sorted(runs) == sorted(set(runs))
    assert workspace.registry.aliases() == {
        "champion": now_live.version,
        **({} if now_live.previous is None else {"previous": now_live.previous}),
    }


def trials_are_those_of_the_bundle(world: World, version: int) -> None:
    """MLflow shows each trial of a version's search once."""
    workspace = world.workspace
    row = workspace.store.version(workspace.model, version)
    assert row is not None
    told = json.loads((workspace.registry.bundle_folder(version) / "tuning" / "trials.json").read_bytes())
    parent = next(run for run in mlflow_runs(world) if run.data.tags.get("retrim.run") == row.run)
    children = [run for run in mlflow_runs(world) if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]

    assert sorted(int(run.data.tags["retrim.trial"]) for run in children) == [trial["number"] for trial in told]


def mlflow_runs(world: World) -> list[Any]:
    registry = world.workspace.registry
    return list(registry.client.search_runs([registry.experiment], "", max_results=1000))


def prefect_open(world: World) -> list[str]:
    """Flow runs and task runs of this workspace that Prefect thinks are going on."""
    flow_runs = {"tags": {"all_": [workspace_tag(world.workspace)]}}
    flows = ask_prefect(world, "flow_runs/filter", {"flow_runs": {**flow_runs, "state": OPEN}})
    tasks = ask_prefect(world, "task_runs/filter", {"flow_runs": flow_runs, "task_runs": {"state": OPEN}})
    return [f"{run['name']}: {run['state_name']}" for run in (*flows, *tasks)]


def ask_prefect(world: World, what: str, wanted: dict[str, Any]) -> Any:
    return PrefectApi(world.server, os.environ[LOGIN_VARIABLE]).ask(what, wanted)


def left_in_runs(world: World) -> list[str]:
    return sorted(path.name for path in (world.root / "var" / "runs").iterdir())


def survivors(world: World) -> list[int]:
    """Processes that work in a room of this world."""
    found = []
    for process in psutil.process_iter():
        try:
            run_directory = process.environ().get(RUN_DIRECTORY_VARIABLE, "")
        except (psutil.Error, OSError):
            continue
        if run_directory.startswith(str(world.root)) and process.pid != os.getpid():
            found.append(process.pid)
    return found


def eventually(look: Callable[[], Any], wanted: Any) -> Any:
    """What `look` gives once it is `wanted`, or at the deadline: Prefect records the states of tasks a moment later."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (found := look()) != wanted and time.monotonic() < deadline:
        pass
    return found
