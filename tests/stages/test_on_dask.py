"""Fits on a Dask cluster: the bytes of one process, also where a worker dies, and a cluster that strangers reach is refused."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from retrim.adapters import dask_cluster
from retrim.adapters.dask_cluster import check_address, opened_cluster, run_task
from retrim.errors import BadInputError, RetrimError
from retrim.files import DASK_VARIABLE
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
