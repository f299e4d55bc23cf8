"""The reaper itself, a script: `reaper_process.py TOKEN`; processes.py starts it."""

import os
import sys
import time
from contextlib import suppress

import psutil

VARIABLE = "RETRIM_OWNERS"
# A process that was being started when its owner died shows itself a moment later.
LOOKS, PAUSE_SECONDS = 5, 0.2
# What cannot be killed, such as a process that waits for a dead disk, is not waited for for ever.
GIVE_UP_SECONDS = 60.0


def descend(token: str) -> list[psutil.Process]:
    """Living processes with this token in their environment."""
    processes = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            tokens = process.environ().get(VARIABLE, "").split(":")
            if token in tokens and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                processes.append(process)
    return processes


def reap(token: str) -> None:
    """Kills until nothing is left."""
    deadline = time.monotonic() + GIVE_UP_SECONDS
    quiet = 0
    while quiet < LOOKS and time.monotonic() < deadline:
        left = descend(token)
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        quiet = 0 if left else quiet + 1
        time.sleep(PAUSE_SECONDS)


if __name__ == "__main__" and not sys.stdin.buffer.read(1):
    reap(sys.argv[1])
