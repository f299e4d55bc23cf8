"""A Prefect server on loopback, as a process of its own, for commands that run flows where none is reachable."""

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

from retrim.errors import RetrimError

NOTE = "server.json"
START_SECONDS = 120


@contextmanager
def reachable(home: Path, url: str | None) -> Iterator[str]:
    """The address of a server that answers: the one at `url`, else one started under `home` and stopped at the end.

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
        yield known
        return
    process, started = start(home, free_port())
    (home / NOTE).write_text(json.dumps({"url": started, "pid": process.pid}), encoding="utf-8")
    try:
        yield started
    finally:
        (home / NOTE).unlink(missing_ok=True)
        stop(process)


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
    return {**os.environ, **settings(home, url)}


def settings(home: Path, url: str) -> dict[str, str]:
    """Prefect's settings: home, address, no telemetry, warnings only."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_CLI_PROMPT": "false",
    }


def answers(url: str) -> bool:
    """Whether a Prefect server answers at `url`."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def next_run(home: Path, url: str | None) -> dict[str, str] | None:
    """The next scheduled flow run, `flow` and `at`, if a server answers and has one; else None."""
    url = url or _noted(home)
    if url is None or not answers(url):
        return None
    wanted = {"sort": "EXPECTED_START_TIME_ASC", "limit": 1, "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}}
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
    """The address of the server that was last started under `home`."""
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads((home / NOTE).read_text(encoding="utf-8"))["url"])
    return None


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
