"""A stage or a driver that hangs in a real run: it is killed with its group, and the run is taken up and finished."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
import pytest

from retrim.adapters.dvc_session import RUN_DIRECTORY_VARIABLE
from retrim.decision.stored_rows import RunRow
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]
DEADLINE_SECONDS = 120
HEARTBEAT = "8s"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    code = [('default="30min"', f'default="{HEARTBEAT}"')]
    world = make_world(tmp_path_factory.mktemp("hung"), server=server, changes={"tune": {"trials": 40}}, code=code)
    world.land(world.day(25))
    return world


def processes_in(world: World) -> list[psutil.Process]:
    """Processes that work in a run directory of this world."""
    found = []
    for process in psutil.process_iter():
        try:
            run_directory = process.environ().get(RUN_DIRECTORY_VARIABLE, "")
            if run_directory.startswith(str(world.root)) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def stage_of(world: World) -> psutil.Process | None:
    """The process of the search, once it runs."""
    for process in processes_in(world):
        try:
            if process.cmdline()[1:] == ["-m", "retrim.stages.tune"]:
                return process
        except psutil.Error:
            continue
    return None


def until(look: Callable[[], Any], process: "subprocess.Popen[str]") -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    return found


@dataclass(frozen=True)
class Hung:
    """How a command ended whose search or driver was stopped, the run as it then was, and what was left working."""

    code: int
    error: str
    run: RunRow
    left: list[psutil.Process]


@pytest.fixture(scope="module")
def stage(world: World) -> Hung:
    """A search that is stopped."""
    running = world.start("retrain", "--as-of", world.day(25), "--reason", "hangs")
    until(lambda: stage_of(world), running).send_signal(signal.SIGSTOP)
    _, err = running.communicate(timeout=DEADLINE_SECONDS)
    return Hung(running.returncode, err, world.workspace.store.runs("generated")[-1], processes_in(world))


@pytest.fixture(scope="module")
def driver(world: World, stage: Hung) -> tuple[Hung, RunRow]:
    """The same run, asked for again, whose driver is stopped; and the run that was asked for after it."""
    running = world.start("retrain", "--as-of", world.day(25), "--reason", "its driver hangs")
    until(lambda: stage_of(world), running)
    os.kill(running.pid, signal.SIGSTOP)
    sign = next((world.root / "var" / "runs").glob("run-*.lock"))
    until(lambda: time.time() - sign.stat().st_mtime > 10, running)
    world.retrim("retrain", "--as-of", world.day(25.5), "--reason", "the next", code=(0, 1))
    _, err = running.communicate(timeout=DEADLINE_SECONDS)
    first, following = world.workspace.store.runs("generated")[-2:]
    return Hung(running.returncode, err, first, processes_in(world)), following


def test_a_stopped_stage_ends_the_command_and_its_run_waits_for_the_next_attempt(stage: Hung) -> None:
    assert (stage.code, stage.run.state, stage.run.attempt) == (3, "crashed", 1)
    assert "error: stage tune" in stage.error
    assert "00:00:08" in str(stage.run.detail.why)
    assert stage.left == []


def test_a_stopped_driver_is_ended_by_the_next_command_which_finishes_both_runs(
    world: World, driver: tuple[Hung, RunRow]
) -> None:
    hung, following = driver

    assert hung.code == -signal.SIGKILL
    assert (hung.run.as_of[:19], hung.run.attempt) == (world.day(25)[:19], 3)
    assert following.as_of[:19] == world.day(25.5)[:19]
    assert {hung.run.state, following.state} <= {"promoted", "refused"}
    assert hung.left == []
