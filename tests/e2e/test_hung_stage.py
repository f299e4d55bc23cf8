"""A stage that hangs in a real run: its process group is killed, the run has failed, and the next one may start."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from retrim.adapters.dvc_session import ROOM_VARIABLE
from tests.world import World, make_world

pytestmark = [pytest.mark.server, pytest.mark.slow]
DEADLINE_SECONDS = 120
HEARTBEAT = "8s"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    changes = {"retrain": {"stage_heartbeat": HEARTBEAT}, "tune": {"trials": 40, "batch": 2}}
    world = make_world(tmp_path_factory.mktemp("hung"), server=server, changes=changes)
    world.land(world.day(25))
    return world


def processes_in(world: World) -> list[psutil.Process]:
    """Processes that work in a run directory of this world."""
    found = []
    for process in psutil.process_iter():
        try:
            room = process.environ().get(ROOM_VARIABLE, "")
            if room.startswith(str(world.root)) and process.status() != psutil.STATUS_ZOMBIE:
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


def test_a_stopped_stage_ends_its_run_failed_with_an_alert(world: World) -> None:
    running = world.start("retrain", "--as-of", world.day(25), "--reason", "hangs")
    stage = until(lambda: stage_of(world), running)
    stage.send_signal(signal.SIGSTOP)
    _, err = running.communicate(timeout=DEADLINE_SECONDS)
    run = world.house.store.runs("generated")[-1]
    told = [row.text for row in world.house.store.alerts("generated") if row.kind == "run failed"]

    assert (running.returncode, run.state, run.attempt) == (3, "failed", 1)
    assert "error: stage tune was ended after 0" in err
    assert "neither printed nor used the processor, retrain.stage_heartbeat allows 00:00:08" in told[0]
    assert "ask for the run again with `retrim retrain`" in told[0]
    assert processes_in(world) == []


def test_a_stopped_driver_is_ended_by_the_next_command_and_that_may_run(world: World) -> None:
    running = world.start("retrain", "--as-of", world.day(25), "--reason", "its driver hangs")
    until(lambda: stage_of(world), running)
    os.kill(running.pid, signal.SIGSTOP)
    sign = next((world.root / "var" / "runs").glob("run-*.lock"))
    until(lambda: time.time() - sign.stat().st_mtime > 10, running)
    world.retrim("retrain", "--as-of", world.day(25.5), "--reason", "the next", code=(0, 1))
    running.communicate(timeout=DEADLINE_SECONDS)
    runs = {run.as_of[:19]: run.state for run in world.house.store.runs("generated")}

    assert running.returncode == -signal.SIGKILL
    assert runs[world.day(25)[:19]] == "failed"
    assert runs[world.day(25.5)[:19]] in ("promoted", "refused")
    assert processes_in(world) == []
