"""A Prefect server on loopback, as a process of its own, for commands that run flows where none is reachable."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from retrim.errors import RetrimError

NOTE = "server.json"
GUESTS = "guests.lock"
START_SECONDS = 120
# By default the server closes a connection after 5 idle seconds: a flow whose stage lasts that long meets a closed one
# and waits 2 s before it asks again.
KEEPALIVE_SECONDS = 120


@contextmanager
def reachable(home: Path, url: str | None) -> Iterator[str]:
    """The address of a server that answers: the one at `url`, else one started under `home` and stopped at the end.

    A second command in the workspace is a guest of the first one's server, which stays until the guest is done.

    Raises:
        RetrimError: The server at `url` does not answer, or one cannot be started.
    """
    if url is not None:
        if not answers(url):
            raise RetrimError(f"no Prefect server answers at {url}; start it, or unset RETRIM_PREFECT_URL")
        yield url
        return
    known = _noted(home)
    if known is not None and answers(known):
        with (home / GUESTS).open("w") as guests:
            fcntl.flock(guests, fcntl.LOCK_SH)
            yield known
        return
    with own(home) as server:
        yield server.url
        with (home / GUESTS).open("w") as guests:
            fcntl.flock(guests, fcntl.LOCK_EX)


@contextmanager
def own(home: Path) -> "Iterator[Server]":
    """A server of this process, noted under `home` for others and stopped at the end; an orphan found there is ended.

    Raises:
        RetrimError: It cannot be started.
    """
    _end_orphan(home)
    server = Server(home, free_port())
    try:
        server.revive()
        yield server
    finally:
        server.close()


class Server:
    """A server on a port of its own; started again at the same address, it goes on from its database."""

    def __init__(self, home: Path, port: int) -> None:
        self.home, self.port = home, port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def revive(self) -> bool:
        """Starts it if it does not run; whether it had to.

        Raises:
            RetrimError: It cannot be started.
        """
        if self.process is not None and self.process.poll() is None:
            return False
        if self.process is not None:
            stop(self.process)  # what is left of its group
        self.process, url = start(self.home, self.port)
        note = {"url": url, "pid": self.process.pid, "owner": os.getpid()}
        note |= {"began": _began(self.process.pid), "owner_began": _began(os.getpid())}
        (self.home / NOTE).write_text(json.dumps(note), encoding="utf-8")
        return True

    def close(self) -> None:
        """Stops it."""
        if self.process is None:
            return
        if (_read_note(self.home) or {}).get("pid") == self.process.pid:
            (self.home / NOTE).unlink(missing_ok=True)
        stop(self.process)


def start(home: Path, port: int) -> tuple[subprocess.Popen[bytes], str]:
    """Starts a server on loopback with its database under `home`, and waits until it answers."""
    home.mkdir(parents=True, exist_ok=True)
    url = f"http://127.0.0.1:{port}/api"
    command = ["server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui"]
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *command],
            env=environment(home, url),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            raise RetrimError(f"the Prefect server did not start; see {home / 'server.log'}")
        time.sleep(0.1)
    return process, url


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ends a server and all its processes."""
    for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


def environment(home: Path, url: str) -> dict[str, str]:
    """Variables that make Prefect keep to `home` and to this server, quietly."""
    return {**os.environ, **settings(home, url), "PREFECT_SERVER_API_KEEPALIVE_TIMEOUT": str(KEEPALIVE_SECONDS)}


def settings(home: Path, url: str) -> dict[str, str]:
    """Prefect's settings: home, address, no telemetry, warnings only."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_CLI_PROMPT": "false",
        # Leases of running flows outlive the server: kept in memory, a restart would cancel a retraining under way.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }


def answers(url: str) -> bool:
    """Whether a Prefect server answers at `url`."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def next_run(home: Path, url: str | None, *, deployment: str) -> dict[str, str] | None:
    """The next scheduled run, `flow` and `at`, of deployments so named; None if no server answers or has one."""
    url = url or _noted(home)
    if url is None or not answers(url):
        return None
    wanted = {
        "sort": "EXPECTED_START_TIME_ASC",
        "limit": 1,
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
        "deployments": {"name": {"any_": [deployment]}},
    }
    with suppress(urllib.error.URLError, OSError, ValueError, KeyError, IndexError):
        run = _ask(f"{url}/flow_runs/filter", wanted)[0]
        return {"flow": str(_ask(f"{url}/flows/{run['flow_id']}")["name"]), "at": str(run["expected_start_time"])}
    return None


def _ask(address: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=5) as response:
        return json.load(response)


def _noted(home: Path) -> str | None:
    """The address of the server that was started under `home`, if that process and the one that minds it still live."""
    note = _read_note(home)
    if note is None or _began(note["pid"]) != note["began"] or _began(note["owner"]) != note["owner_began"]:
        return None
    return str(note["url"])


def _end_orphan(home: Path) -> None:
    """Ends a server whose minder was killed."""
    note = _read_note(home)
    if note is None or _began(note["pid"]) != note["began"] or _began(note["owner"]) == note["owner_began"]:
        return
    with suppress(ProcessLookupError):
        os.killpg(note["pid"], signal.SIGKILL)


def _read_note(home: Path) -> dict[str, Any] | None:
    with suppress(OSError, ValueError):
        note = json.loads((home / NOTE).read_text(encoding="utf-8"))
        if isinstance(note, dict) and {"url", "pid", "began", "owner", "owner_began"} <= note.keys():
            return note
    return None


def _began(pid: int) -> float | None:
    """When a process began, which tells it from a later one of the same number; None if it does not live."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    return None


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
