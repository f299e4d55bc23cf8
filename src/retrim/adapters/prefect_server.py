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

from retrim.errors import RetrimError

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
    noted = home / "server.json"
    with suppress(OSError, ValueError, KeyError):
        known = str(json.loads(noted.read_text())["url"])
        if answers(known):
            yield known
            return
    process, started = start(home, free_port())
    noted.write_text(json.dumps({"url": started, "pid": process.pid}))
    try:
        yield started
    finally:
        noted.unlink(missing_ok=True)
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


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
