"""Fits on a Dask cluster: the bytes of one process, also where a worker dies, and no cluster that strangers reach."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from retrim.adapters import dask_cluster
from retrim.adapters.dask_cluster import check_address, opened_cluster, run_task
from retrim.errors import BadInputError, RetrimError
from retrim.files import DASK_VARIABLE, read_folder, write_folder
from retrim.retraining.run_directory import stage_environment
from retrim.settings import Env
from tests.builders.desk import make_desk, with_params
from tests.builders.run_directory import Room, make_run_directory, stream

ROWS = 480


def run_on(cluster: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **changed: dict) -> Room:
    monkeypatch.setenv(DASK_VARIABLE, cluster)
    return make_run_directory(folder, stream(ROWS), **changed).run()


def workers_here() -> list[psutil.Process]:
    """Processes of Dask that this one has started and that compute."""
    return [
        each
        for each in psutil.Process().children(recursive=True)
        if "spawn_main" in " ".join(each.cmdline()) and each.status() != psutil.STATUS_ZOMBIE
    ]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A retraining in one process."""
    return make_run_directory(tmp_path_factory.mktemp("alone"), stream(ROWS)).run()


def test_two_workers_make_the_bytes_of_one_process(
    alone: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_on("workers:2", tmp_path, monkeypatch).bundle == alone.bundle


def test_a_champions_recipe_competes_on_a_cluster_too(
    alone: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = stream(ROWS + 60)
    here = make_run_directory(tmp_path, later, mode="search", champion=alone.bundle).run()
    made = here.bundle
    monkeypatch.setenv(DASK_VARIABLE, "workers:2")
    write_folder(here.paths.models, {"none.json": b""})
    here.train()

    assert read_folder(here.paths.models) == {
        name.removeprefix("models/"): content for name, content in made.items() if name.startswith("models/")
    }


def test_a_worker_that_is_killed_changes_no_byte(alone: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    real = dask_cluster.Cluster.run

    def run_and_kill(self: dask_cluster.Cluster, function: str, items: list) -> list[bytes]:
        if not killed:
            killed.append(min(worker.pid for worker in workers_here()))
            threading.Timer(0.05, os.kill, (killed[0], signal.SIGKILL)).start()
        return real(self, function, items)

    monkeypatch.setattr(dask_cluster.Cluster, "run", run_and_kill)
    monkeypatch.setenv(DASK_VARIABLE, "workers:2")
    made = make_run_directory(tmp_path, stream(ROWS))
    made.features()
    made.tune()

    assert killed
    assert not psutil.pid_exists(killed[0])
    assert made.record("tuning/trials.json") == alone.record("tuning/trials.json")


@contextmanager
def scheduler_elsewhere(folder: Path) -> Iterator[str]:
    """A scheduler and two workers that were started by hand, in a folder that is not the run directory."""
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    command += ["--no-dashboard", "--scheduler-file", str(folder / "scheduler.json")]
    with ExitStack() as stack:
        stack.enter_context(_process(command, folder))
        deadline = time.monotonic() + 60
        while not (folder / "scheduler.json").is_file():
            assert time.monotonic() < deadline
            threading.Event().wait(0.05)
        address = json.loads((folder / "scheduler.json").read_bytes())["address"]
        for _ in range(2):
            worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
            stack.enter_context(_process([*worker, "--host", "127.0.0.1"], folder))
        yield address


@contextmanager
def _process(command: list[str], folder: Path) -> Iterator[None]:
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def test_workers_that_cannot_see_the_run_directory_are_sent_its_files(
    alone: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cluster").mkdir()
    with scheduler_elsewhere(tmp_path / "cluster") as address:
        assert run_on(address, tmp_path / "run", monkeypatch).bundle == alone.bundle


@pytest.mark.parametrize(
    "address", ["tls://10.0.0.4:8786", "tcp://127.0.0.1:8786", "tcp://localhost:1", "tcp://[::1]:1"]
)
def test_a_scheduler_on_loopback_or_behind_tls_is_met(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize("address", ["tcp://10.0.0.4:8786", "ws://127.0.0.1:8786", "tls://", "scheduler:8786"])
def test_a_scheduler_that_strangers_may_reach_is_refused(address: str) -> None:
    with pytest.raises(BadInputError, match=r"RETRIM_DASK is .*tls://host:8786"):
        check_address(address)


def test_a_worker_with_other_code_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"Dask worker .*code 0000"):
        run_task("retrim.stages.tune:score_fold", "{}", "here", "code 0000", [])


def test_a_worker_runs_functions_of_retrim_alone() -> None:
    with pytest.raises(BadInputError, match="'os:system', which is not"):
        run_task("os:system", '"true"', "here", dask_cluster.describe_code(), [])


def test_a_scheduler_that_is_away_is_told_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "START_SECONDS", 1)
    monkeypatch.setenv(DASK_VARIABLE, "tcp://127.0.0.1:1")
    with pytest.raises(RetrimError, match=r"Dask scheduler .*compute\.engine: local"):  # noqa: SIM117
        with opened_cluster(tmp_path, []):
            pass


def test_a_cluster_without_a_worker_is_told_with_its_cure(
    alone: Room, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(dask_cluster, "BEAT_SECONDS", 0.2)
    monkeypatch.setenv(DASK_VARIABLE, "workers:0")
    with opened_cluster(tmp_path, []) as cluster:
        assert cluster is not None
        with pytest.raises(RetrimError, match="dask worker ADDRESS"):
            cluster.run("retrim.stages.tune:score_fold", [{}])


def test_without_dask_the_error_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.setenv(DASK_VARIABLE, "workers:2")
    with pytest.raises(BadInputError, match=r"pip install 'retrim\[dask\]'"):  # noqa: SIM117
        with opened_cluster(tmp_path, []):
            pass


@pytest.mark.parametrize(
    ("compute", "address", "told"),
    [
        ({"engine": "local", "workers": 3}, "tcp://127.0.0.1:8786", ""),
        ({"engine": "dask", "workers": 3}, None, "workers:3"),
        ({"engine": "dask", "workers": 3}, "tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
    ],
)
def test_a_stage_is_told_of_the_cluster_that_the_settings_name(
    tmp_path: Path, compute: dict, address: str | None, told: str
) -> None:
    desk = with_params(make_desk(tmp_path / "workspace"), compute=compute)
    workspace = replace(desk.workspace, env=Env.model_construct(dask=address))

    assert stage_environment(workspace)[DASK_VARIABLE] == told
