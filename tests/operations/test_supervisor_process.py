"""supervisord at SIGHUP: what has a new line begins again, what stays stays, and what is as it was is left alone."""

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from retrim.operations import supervisor_process
from tests.builders.waiting import until

SECONDS = 30
BEFORE = {"prefect": "1", "ui": "1", "serve": "1", "mlflow-1": "1"}
AFTER = {"prefect": "1", "ui": "2", "serve": "2", "mlflow-2": "1"}


def write(folder: Path, parts: Mapping[str, str]) -> None:
    """A configuration of parts that note their process and their line, and wait."""
    text = f"[supervisord]\nnodaemon=true\nsilent=true\nlogfile={folder}/log\npidfile={folder}/pid\n"
    for name, line in parts.items():
        noted = f"echo $$ {line} > {folder}/{name}; exec sleep 600"
        text += f'[program:{name}]\ncommand=/bin/sh -c "{noted}"\nstartsecs=0\nautorestart=true\nstdout_logfile=NONE\n'
    (folder / "conf").write_text(text, encoding="utf-8")


def noted(folder: Path) -> dict[str, tuple[int, str]]:
    """Process and line of each part that runs."""
    found = {}
    for name in {**BEFORE, **AFTER}:
        if (folder / name).exists():
            pid, _, line = (folder / name).read_text(encoding="utf-8").strip().partition(" ")
            if pid and psutil.pid_exists(int(pid)):
                found[name] = int(pid), line
    return found


@pytest.fixture
def running(tmp_path: Path) -> "Iterator[subprocess.Popen[bytes]]":
    write(tmp_path, BEFORE)
    command = [sys.executable, "-P", supervisor_process.__file__, "-c", str(tmp_path / "conf")]
    process = subprocess.Popen(command, cwd=tmp_path)
    try:
        until(lambda: noted(tmp_path).keys() == BEFORE.keys())
        yield process
    finally:
        process.terminate()
        process.wait(SECONDS)


def test_what_is_as_it_was_goes_on_and_what_changed_begins_again(
    running: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    before = noted(tmp_path)
    write(tmp_path, AFTER)
    running.send_signal(signal.SIGHUP)
    until(lambda: noted(tmp_path).keys() == AFTER.keys() and noted(tmp_path)["ui"][1] == "2")
    after = noted(tmp_path)

    assert (after["prefect"], after["serve"]) == (before["prefect"], before["serve"])
    assert after["ui"][0] != before["ui"][0]


def test_what_stays_has_its_new_line_when_it_is_started_again(
    running: "subprocess.Popen[bytes]", tmp_path: Path
) -> None:
    write(tmp_path, AFTER)
    running.send_signal(signal.SIGHUP)
    until(lambda: "mlflow-2" in noted(tmp_path))
    psutil.Process(noted(tmp_path)["serve"][0]).kill()

    until(lambda: noted(tmp_path).get("serve", (0, ""))[1] == "2")


def test_a_configuration_that_cannot_be_read_stops_nothing(running: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    before = noted(tmp_path)
    (tmp_path / "conf").write_text("[supervisord]\nnodaemon=perhaps\n", encoding="utf-8")
    running.send_signal(signal.SIGHUP)
    write(tmp_path, AFTER)
    running.send_signal(signal.SIGHUP)

    until(lambda: "mlflow-2" in noted(tmp_path))
    assert noted(tmp_path)["prefect"] == before["prefect"]
    assert running.poll() is None


def test_it_ends_with_all_parts(running: "subprocess.Popen[bytes]", tmp_path: Path) -> None:
    write(tmp_path, AFTER)
    running.send_signal(signal.SIGHUP)
    running.send_signal(signal.SIGTERM)

    assert running.wait(SECONDS) == 0
    assert noted(tmp_path) == {}
