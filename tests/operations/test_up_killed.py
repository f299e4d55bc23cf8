"""A `retrim up` that is killed outright, as by the system that runs out of memory: nothing of it is left."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.builders.desk import make_desk
from tests.builders.world import COMMAND, REPOSITORY, commands_of

pytestmark = [pytest.mark.server, pytest.mark.slow]
PORTS = ("--port", "0", "--serve-port", "0", "--prefect-port", "0")
SECONDS = 60


def test_a_killed_supervisor_leaves_no_process(tmp_path: Path) -> None:
    root = make_desk(tmp_path / "workspace").workspace.paths.root
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).write_bytes((REPOSITORY / name).read_bytes())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RETRIM_")}
    with (tmp_path / "printed.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "up", *PORTS],
            cwd=root,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while len(psutil.Process(process.pid).children()) < 5:  # four parts and a reaper
            assert process.poll() is None, (tmp_path / "printed.log").read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        started = commands_of(root)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    deadline = time.monotonic() + SECONDS
    while (left := commands_of(root)) and time.monotonic() < deadline:
        time.sleep(0.25)

    assert len(started) >= 5
    assert left == []
