"""A run whose process was stopped: ended from outside and tried again; one that lives or only slept goes on."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd
import psutil
import pytest

from retrim.adapters import git
from retrim.environment import Env
from retrim.files import WorkspacePaths
from retrim.lineage import locks
from retrim.lineage.locks import is_alive, silent_for
from retrim.lineage.workspace import Workspace, ask_for_run
from retrim.retraining.recover import end_hung_runs, limits_of, recover, stopped_runs
from retrim.retraining.retrain import claim_run
from retrim.settings import load_params

ROOT = Path(__file__).resolve().parents[2]
NOW = pd.Timestamp("2024-03-01", tz="UTC")
DEADLINE_SECONDS = 60
DRIVER = """
import sys
from pathlib import Path
import pandas as pd
from retrim.lineage.workspace import Workspace
from retrim.lineage.workspace import ask_for_run
from retrim.retraining.retrain import claim_run
from retrim.lineage.locks import lock_beats, held_locks
from retrim.files import WorkspacePaths
from retrim.environment import Env
from retrim.settings import load_params
workspace = Workspace(WorkspacePaths(Path(sys.argv[1])), load_params(Path(sys.argv[2])), Env())
now = pd.Timestamp("2024-03-01", tz="UTC")
decision = ask_for_run(workspace, as_of=now, by="x", reason="hangs", now=now)
with held_locks(workspace, f"run-{decision}") as sign, lock_beats(sign):
    print(claim_run(workspace, decision, now=now).id, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Settings by which a process may be silent for two seconds."""
    git.git(tmp_path, "init", "-q")
    git.git(tmp_path, *git.IDENTITY, "commit", "-q", "--allow-empty", "-m", "start")
    params = load_params(ROOT / "params.yaml")
    retrain = params.retrain.model_copy(update={"stage_heartbeat": "2s"})
    return Workspace(WorkspacePaths(tmp_path), params.model_copy(update={"retrain": retrain}), Env())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.2)


@contextmanager
def driver(workspace: Workspace) -> "Iterator[tuple[subprocess.Popen[str], str]]":
    """Another process that drives a run, and the run."""
    workspace.paths.runs.mkdir(parents=True)
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(workspace.paths.root), str(ROOT / "params.yaml")],
        env={"PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def wait_until_silent(workspace: Workspace, run: str, seconds: float) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while silent_for(workspace, run) < seconds:
        assert time.monotonic() < deadline


def state_of(workspace: Workspace, run: str) -> str:
    found = workspace.store.run(run)
    assert found is not None
    return str(found.state)


def test_a_run_whose_process_was_stopped_is_ended_and_waits_for_its_next_attempt(workspace: Workspace) -> None:
    with driver(workspace) as (process, run):
        process.send_signal(signal.SIGSTOP)
        wait_until_silent(workspace, run, 3)
        assert is_alive(workspace, run)
        ended = end_hung_runs(workspace, now=NOW)
        lives = psutil.pid_exists(process.pid) and process.poll() is None
    stopped = stopped_runs(workspace)
    waiting = recover(workspace, now=NOW)

    assert (ended, lives, [each.id for each in stopped]) == ([run], False, [run])
    assert "(stopped)" in str(stopped[0].detail.why)
    assert waiting == [stopped[0].decision]


def test_one_that_hangs_in_its_last_attempt_fails_and_the_next_run_may_start(workspace: Workspace) -> None:
    once = workspace.params.retrain.model_copy(update={"attempts": 1})
    workspace = replace(workspace, params=workspace.params.model_copy(update={"retrain": once}))
    with driver(workspace) as (process, run):
        process.send_signal(signal.SIGSTOP)
        wait_until_silent(workspace, run, 3)
        end_hung_runs(workspace, now=NOW)
    waiting = recover(workspace, now=NOW)
    later = NOW + pd.Timedelta("1D")
    following = claim_run(workspace, ask_for_run(workspace, as_of=later, by="x", reason="next", now=later), now=later)
    told = [row.text for row in workspace.store.alerts(workspace.model) if row.kind == "run failed"]

    assert (state_of(workspace, run), waiting, following.state) == ("failed", [], "running")
    assert len(told) == 1
    assert "`retrim retrain --as-of" in told[0]


def test_a_run_whose_process_works_goes_on(workspace: Workspace) -> None:
    with driver(workspace) as (process, run):
        wait_until_silent(workspace, run, 1)
        ended = end_hung_runs(workspace, now=NOW)

        assert (ended, process.poll(), state_of(workspace, run)) == ([], None, "running")


def test_a_run_that_slept_with_its_machine_goes_on(workspace: Workspace) -> None:
    with driver(workspace) as (process, run):
        process.send_signal(signal.SIGSTOP)
        wait_until_silent(workspace, run, 3)
        wakes = threading.Timer(1.0, process.send_signal, [signal.SIGCONT])  # between the first look and the second
        wakes.start()
        ended = end_hung_runs(workspace, now=NOW)
        wakes.join()

        assert (ended, process.poll(), state_of(workspace, run)) == ([], None, "running")


def test_the_limit_of_a_stage_comes_from_earlier_runs_in_the_same_mode(workspace: Workspace) -> None:
    decision = ask_for_run(workspace, as_of=NOW, by="x", reason="took long", now=NOW)
    run = claim_run(workspace, decision, now=NOW, mode="search")
    workspace.store.add_stage_times(run, {"tune": 7200.0, "train": 5.0})

    assert limits_of(workspace, "tune", mode="search").longest == 72000.0
    assert limits_of(workspace, "train", mode="search").longest == 6 * 3600.0
    assert limits_of(workspace, "tune", mode="refit").longest == 3 * 86400.0
