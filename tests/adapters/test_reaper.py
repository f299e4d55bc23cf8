"""What a killed process started ends with it; what one that ended by itself left running is left alone."""

import subprocess
import sys
from pathlib import Path

import psutil

DEADLINE_SECONDS = 30
OWNER = """
import os, subprocess, sys, time
from retrim.adapters.processes import start_reaper

start_reaper()
child = "import subprocess, sys, time; " \\
    "inner = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True); " \\
    "print(inner.pid, flush=True); time.sleep(600)"
started = subprocess.Popen([sys.executable, "-c", child], start_new_session=True, stdout=subprocess.PIPE, text=True)
print(started.pid, started.stdout.readline().strip(), flush=True)
if sys.argv[1] == "wait":
    time.sleep(600)
"""


def run_owner(ends: str) -> "tuple[subprocess.Popen[str], list[psutil.Process]]":
    """A process that started one in another session, which started one in a third; and those two."""
    owner = subprocess.Popen([sys.executable, "-c", OWNER, ends], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, [psutil.Process(int(pid)) for pid in owner.stdout.readline().split()]


def test_what_a_process_left_running_that_ended_by_itself_is_left_alone() -> None:
    owner, started = run_owner("end")
    owner.wait()
    alive = [process.is_running() for process in started]
    for process in started:
        process.kill()

    assert alive == [True, True]


def test_what_a_killed_process_started_ends_in_whatever_session_it_is_and_the_reaper_too() -> None:
    owner, started = run_owner("wait")
    reapers = [process for process in psutil.Process(owner.pid).children() if _is_reaper(process)]
    owner.kill()
    owner.wait()
    _, alive = psutil.wait_procs([*reapers, *started], DEADLINE_SECONDS)

    assert (len(reapers), len(started), alive) == (1, 2, [])


def _is_reaper(process: psutil.Process) -> bool:
    return any(Path(word).name == "reaper_process.py" for word in process.cmdline())
