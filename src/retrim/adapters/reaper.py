"""What a killed command leaves behind is ended by a process of its own: servers, workers, stages and all they started.

Each process that starts others writes a token into its environment, which all that
descends from it inherits, whatever session or process group it is in. A reaper waits at
a pipe whose other end its owner alone holds. When the owner ends by itself it says so.
When it is killed the pipe closes, and whatever has the token is killed.
"""

import atexit
import os
import secrets
import subprocess
import sys
from contextlib import suppress
from functools import cache
from pathlib import Path

VARIABLE = "RETRIM_OWNERS"
"""Tokens of the processes that this one descends from, the nearest last, with `:` between them."""
PROCESS = Path(__file__).with_name("reaper_process.py")
OURS = ("RETRIM_", "PREFECT_", "MLFLOW_")


@cache
def start_reaper() -> None:
    """Has whatever this process starts from now on end with it, also when it is killed; once is enough."""
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
    atexit.register(_dismiss, reaper)


def _dismiss(reaper: "subprocess.Popen[bytes]") -> None:
    assert reaper.stdin is not None
    with suppress(OSError):
        reaper.stdin.write(b".")
        reaper.stdin.close()
    reaper.wait()
