"""A process that gives no sign of life, or takes too long, is ended; and so is all that a killed command has started.

Each process that starts others writes a token into its environment, which all that descends from it inherits, whatever
session or process group it is in. A reaper waits at a pipe whose other end its owner alone holds. When the owner ends
by itself it says so. When it is killed the pipe closes, and whatever has the token is killed.
"""

import atexit
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import pandas as pd
import psutil

from retrim.errors import MachineFaultError
from retrim.training.mode import StageLimits

MOST_PAUSE_SECONDS, LEAST_PAUSE_SECONDS = 5.0, 0.1
# A process that waits wakes now and then anyway: so much processor time, in seconds, is a beat.
BEAT_CPU_SECONDS = 0.05
CURE = "try again; if it ends so again, read the stage's output (also in Prefect) and fix the cause{more}"
VARIABLE = "RETRIM_OWNERS"
"""Tokens of the processes that this one descends from, the nearest last, with `:` between them."""
PROCESS = Path(__file__).with_name("reaper_process.py")
OURS = ("RETRIM_", "PREFECT_", "MLFLOW_")


class StageHungError(MachineFaultError):
    """A stage hung and was ended: which, how long it had run, and what to do."""

    def __init__(self, stage: str, why: str, output: str) -> None:
        super().__init__(f"stage {stage} was ended {why}\n{output.strip()}".rstrip())
        self.stage = stage


class Heartbeat:
    """Watches the leader of a process group, and kills the group past the limits."""

    def __init__(self, process: "subprocess.Popen[str]", limits: StageLimits) -> None:
        self.why: str | None = None
        self._process, self._limits = process, limits
        self._began = self._beat = time.monotonic()  # which stands still while the machine sleeps
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def beat(self) -> None:
        """It has printed something."""
        self._beat = time.monotonic()

    def _watch(self) -> None:
        shortest = min(self._limits.longest, self._limits.silent) / 4
        pause = min(max(shortest, LEAST_PAUSE_SECONDS), MOST_PAUSE_SECONDS)
        used = _processor_seconds(self._process.pid)
        while not self._over.wait(pause):
            now = _processor_seconds(self._process.pid)
            if abs(now - used) >= BEAT_CPU_SECONDS:  # less: one of the group has ended
                used = now
                self.beat()
            self.why = self._too_long()
            if self.why is not None:
                with suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)  # one that is stopped dies of no other signal
                return

    def _too_long(self) -> str | None:
        silent = time.monotonic() - self._beat
        if self.seconds > self._limits.longest:
            allowed = f"a stage may take {_span(self._limits.longest)}"
            return f"after {_span(self.seconds)}: {allowed}; {CURE.format(more=' or give it fewer rows')}"
        if silent > self._limits.silent:
            quiet = f"it had printed nothing and used no processor time for {_span(silent)}"
            cure = CURE.format(more=" or make the stage print its progress")
            return f"after {_span(self.seconds)}: {quiet} (limit: {_span(self._limits.silent)}); {cure}"
        return None


def began(process: psutil.Process) -> float:
    """When a process began, in seconds after its machine did: a clock that is set changes nothing of it."""
    return round(process.create_time() - psutil.boot_time(), 2)


def has_begun_at(process: psutil.Process, noted: float) -> bool:
    """Whether a process began at the noted time; a later process may have the same number."""
    return noted == began(process)


def _processor_seconds(group: int) -> float:
    """Processor time of all processes of a group, and of those that they have waited for."""
    total = 0.0
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if os.getpgid(process.pid) == group:
                times = process.cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


def _span(seconds: float) -> str:
    return str(pd.Timedelta(round(seconds), "s")).removeprefix("0 days ")


@cache
def start_reaper() -> None:
    """Has whatever this process starts from now on end with it, also when it is killed; once is enough."""
    atexit.register(_dismiss, begin_reaper())


def begin_reaper() -> "subprocess.Popen[bytes]":
    """A reaper of whatever this process starts from now on: it acts when the pipe to it is closed, unless dismissed."""
    token = secrets.token_hex(16)
    reaper = subprocess.Popen(
        [sys.executable, "-P", str(PROCESS), token],
        cwd="/",
        env={name: value for name, value in os.environ.items() if not name.startswith(OURS)},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # neither Ctrl-C nor a kill of the owner's group reaches it
    )
    os.environ[VARIABLE] = ":".join(filter(None, [os.environ.get(VARIABLE), token]))
    return reaper


def _dismiss(reaper: "subprocess.Popen[bytes]") -> None:
    assert reaper.stdin is not None
    with suppress(OSError):
        reaper.stdin.write(b".")
        reaper.stdin.close()
    reaper.wait()
