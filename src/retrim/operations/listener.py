"""What supervisord tells of its parts, a script: `listener.py FOLDER`. It keeps one log and a note of their states.

It speaks the protocol of supervisord's event listeners on its input and output, and needs nothing but Python.
"""

import json
import logging
import os
import sys
import time
from dataclasses import asdict, dataclass
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG, STATES = "up.log", "states.json"
MOST_BYTES, BACKUPS = 2_000_000, 2
SAID = {
    "STARTING": "starting",
    "RUNNING": "running",
    "BACKOFF": "ended at once; it will be restarted",
    "EXITED": "ended; it will be restarted",
    "FATAL": "cannot be started",
    "STOPPING": "stopping",
    "STOPPED": "stopped",
}


@dataclass(frozen=True)
class PartState:
    """How a part is.

    Args:
        state: As supervisord calls it.
        since: Seconds since 1970.
        pid: Its process; None: it has none.
        starts: How often it was started.
    """

    state: str
    since: float
    pid: int | None
    starts: int


class Listener:
    """Keeps the log and the note.

    Args:
        folder: For both.
        own: Name of the listener itself, of which nothing is said.
    """

    def __init__(self, folder: Path, own: str) -> None:
        self._folder, self._own = folder, own
        self._states: dict[str, PartState] = {}
        self._unfinished: dict[str, str] = {}
        self._log = logging.getLogger("up")
        self._log.setLevel(logging.INFO)
        self._log.propagate = False
        line = logging.Formatter("%(asctime)s  %(message)s", "%Y-%m-%d %H:%M:%S")
        line.converter = time.gmtime
        file = RotatingFileHandler(folder / LOG, maxBytes=MOST_BYTES, backupCount=BACKUPS, encoding="utf-8")
        for handler in (file, logging.StreamHandler(sys.stderr)):
            handler.setFormatter(line)
            self._log.addHandler(handler)

    def take(self, event: str, payload: str) -> None:
        """One event."""
        head, _, body = payload.partition("\n")
        values = dict(pair.split(":", 1) for pair in head.split())
        name = values.get("processname", "")
        if event.startswith("PROCESS_LOG"):
            self._say_lines(name, body)
        elif event.startswith("PROCESS_STATE") and name != self._own:
            self._note(name, event.removeprefix("PROCESS_STATE_"), values)

    def _say_lines(self, name: str, text: str) -> None:
        *lines, self._unfinished[name] = (self._unfinished.get(name, "") + text).split("\n")
        for line in lines:
            if line.strip():
                self._log.info("%-8s  %s", name, line.rstrip())

    def _note(self, name: str, state: str, values: dict[str, str]) -> None:
        before = self._states.get(name)
        pid = int(values.get("pid") or 0) or None
        starts = (0 if before is None else before.starts) + (state == "STARTING")
        self._states[name] = PartState(state, time.time(), pid if state in ("RUNNING", "STOPPING") else None, starts)
        fresh = self._folder / f".{STATES}.new"
        fresh.write_text(json.dumps({name: asdict(each) for name, each in self._states.items()}), encoding="utf-8")
        fresh.replace(self._folder / STATES)
        self._log.info("%-8s  %s", name, SAID.get(state, state.lower()))


def listen(folder: Path) -> None:
    """Takes events until the input ends."""
    os.umask(0o077)
    listener = Listener(folder, os.environ.get("SUPERVISOR_PROCESS_NAME", ""))
    # supervisord says how long a payload is in characters, not in bytes.
    incoming = TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="backslashreplace", newline="\n")
    outgoing = sys.stdout.buffer
    while True:
        outgoing.write(b"READY\n")
        outgoing.flush()
        head = dict(pair.split(":", 1) for pair in incoming.readline().split())
        if not head:
            return
        listener.take(head["eventname"], incoming.read(int(head["len"])))
        outgoing.write(b"RESULT 2\nOK")
        outgoing.flush()


if __name__ == "__main__":
    listen(Path(sys.argv[1]))
