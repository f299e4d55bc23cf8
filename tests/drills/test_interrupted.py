"""What is not a kill: Ctrl-C, a second command beside the first, a Prefect server that goes away."""

import os
import signal
from pathlib import Path

import pytest

from retrim.adapters import prefect_server
from retrim.lineage.locks import clear_lock, left_behind
from tests.drills.scene import Scene, all_is_settled, champion_is_whole, eventually, mlflow_runs, survivors
from tests.drills.test_killed_retraining import IN_TUNE

pytestmark = [pytest.mark.drill, pytest.mark.server]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, server: str) -> Scene:
    return Scene(tmp_path_factory.mktemp("drills"), server)


@pytest.mark.parametrize("sign", ["SIGINT", "SIGTERM"])
def test_a_polite_signal_ends_a_run_cleanly_and_the_next_finishes_it(scene: Scene, sign: str) -> None:
    at = scene.next_day()
    stopped = scene.kill(IN_TUNE, "retrain", "--as-of", at, sign=sign)
    run = scene.run_of(at)
    assert run is not None

    assert stopped.returncode == 3
    assert stopped.stderr.splitlines()[-1].startswith("error: stopped; ")
    assert "Traceback" not in stopped.stderr
    assert run.state == "crashed"
    assert [each.info.status for each in mlflow_runs(scene.world)].count("RUNNING") == 0
    assert survivors(scene.world) == []
    scene.world.retrim("retrain", "--as-of", at, code=(0, 1))
    all_is_settled(scene.world)
    finished = scene.run_of(at)
    assert finished is not None
    assert finished.attempt == 2


def test_of_two_retrainings_at_once_the_second_is_refused_with_who_runs(scene: Scene) -> None:
    at, later = scene.next_day(), scene.next_day()
    first = scene.world.start("retrain", "--as-of", at)
    running = eventually(lambda: [run.state for run in scene.world.workspace.store.runs("generated")][-1], "running")
    second = scene.world.retrim("retrain", "--as-of", later, code=1)
    first.communicate()

    assert running == "running"
    assert f"(process {first.pid})" in second.stderr
    assert first.returncode in (0, 1)
    assert scene.run_of(later) is None
    all_is_settled(scene.world)


def test_a_run_whose_server_is_killed_says_so_and_the_next_run_finishes_it(scene: Scene, tmp_path: Path) -> None:
    at = scene.next_day()
    with prefect_server.own(tmp_path, pages=False) as server:
        url, login = server.api.url, server.api.login
        assert server.process is not None
        assert login is not None
        theirs = {"RETRIM_PREFECT_URL": url, prefect_server.LOGIN_VARIABLE: login}
        process = scene.world.start("retrain", "--as-of", at, environment=theirs)
        eventually(lambda: [run.state for run in scene.world.workspace.store.runs("generated")][-1], "running")
        os.killpg(server.process.pid, signal.SIGKILL)
    _, err = process.communicate()
    champion_is_whole(scene.world)
    left = scene.run_of(at)
    assert left is not None

    assert process.returncode == 3
    assert left.state in ("crashed", "promoted", "refused")  # it is not the run's fault, so it does not count as failed
    assert f" {url} " in err
    assert "Traceback" not in err
    scene.world.retrim("retrain", "--as-of", at, code=(0, 1))
    run = scene.run_of(at)
    assert run is not None
    assert run.state in ("promoted", "refused")
    for sign in left_behind(
        scene.world.workspace, "flow-"
    ):  # kept for the server that knows the flow run: gone for good
        clear_lock(scene.world.workspace, sign)
    all_is_settled(scene.world)
