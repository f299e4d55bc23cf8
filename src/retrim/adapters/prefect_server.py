"""Calls of Prefect's API without Prefect, which takes seconds to import; a server on loopback where none is reachable.

Whoever reaches it can have it run commands, and every user of the machine and every page in a browser reaches loopback.
So each server has a login of its own, where its user alone can read it: in no command line, no log and no database.
"""

import base64
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn, TextIO

import psutil

from retrim.adapters.processes import began, has_begun_at, start_reaper
from retrim.errors import BadInputError, RetrimError
from retrim.files import make_private_file, make_private_folder, shorten_log, write_private
from retrim.reading.address import address_of
from retrim.stats.codec import from_record, to_record

CSRF_METHODS = ("POST", "PUT", "PATCH", "DELETE")
LOGIN = "retrim"
QUERY_VARIABLE = "PREFECT_WORKER_QUERY_SECONDS"
NOTE = "server.json"
LOGIN_FILE = "login"
"""The file with the login of the server that runs, for the person who opens its pages."""
GUESTS = "guests.lock"
STARTING = "starting.lock"
LOGIN_VARIABLE = "PREFECT_API_AUTH_STRING"
OWNER_VARIABLE = "RETRIM_SERVER_OWNER"
"""In a server's environment: the process that stops it, and when that began."""
START_SECONDS = 120
# By default the server closes a connection after 5 idle seconds: a flow whose stage lasts that long meets a closed one
# and waits 2 s before it asks again.
KEEPALIVE_SECONDS = 120
KEEP_RUNS_DAYS, KEEP_EVENTS_DAYS, DAY_SECONDS = 30, 7, 86_400
LATE_SECONDS = 3600
MOST_LOG_BYTES = 2_000_000
BOUNDS = {
    # On a busy machine a writer may wait longer than 10 s for the others; what it then gave up was a heartbeat.
    "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
    # Prefect removes flow runs that ended long ago with their logs; our store keeps what counts of them.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": str(KEEP_RUNS_DAYS * DAY_SECONDS),
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": f"P{KEEP_EVENTS_DAYS}D",
    # Checks of many models wait for each other. By default, Prefect calls each late after 15 s, which costs more
    # than its other requests for one.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_AFTER_SECONDS": str(LATE_SECONDS),
    # How often it looks for late runs, and for runs whose pause is over: every 5 s by default.
    "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "60",
    "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "60",
}
"""How long its server waits for its database and keeps what is over, and what it looks at how often."""


@dataclass(frozen=True)
class NextRun:
    flow: str
    at: str


@dataclass(frozen=True)
class PrefectApi:
    """The address of a server, with `/api`, and the login `user:password`; None where the server asks for none.

    Raises:
        BadInputError: A user or a password stands in the address, which Prefect keeps with each deployment.
    """

    url: str
    login: str | None = field(repr=False)

    def __post_init__(self) -> None:
        address = address_of(self.url)
        if address.secrets:
            raise BadInputError(
                f"RETRIM_PREFECT_URL contains a login ({address.shown}), which Prefect would store with each "
                f"deployment; remove the login from the address, and set {LOGIN_VARIABLE} instead"
            )

    @property
    def pages_url(self) -> str:
        return self.url.removesuffix("/api")

    def answers(self) -> bool:
        return answers(self.url)

    def ask(self, path: str, body: Mapping[str, object] | None = None, *, method: str | None = None) -> Any:
        """What the server answers to a request: POST with a body, GET without, or another method.

        Raises:
            urllib.error.URLError: It does not answer, or refuses.
        """
        method = method or ("GET" if body is None else "POST")
        headers = {"Content-Type": "application/json", **self.credentials()}
        if method in CSRF_METHODS:
            headers |= self._csrf_token()
        data = None if body is None else json.dumps(body).encode()
        return _send(urllib.request.Request(f"{self.url}/{path}", data, headers, method=method))

    def next_run(self, deployment: str) -> NextRun | None:
        """The next scheduled run of deployments so named; None if the server has or gives none."""
        wanted = {
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": 1,
            "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
            "deployments": {"name": {"any_": [deployment]}},
        }
        with suppress(OSError, ValueError, LookupError, TypeError):
            (run,) = self.ask("flow_runs/filter", wanted)
            return NextRun(self.ask(f"flows/{run['flow_id']}")["name"], run["expected_start_time"])
        return None

    def credentials(self) -> dict[str, str]:
        """The header that carries the login."""
        if self.login is None:
            return {}
        return {"Authorization": f"Basic {base64.b64encode(self.login.encode()).decode()}"}

    def _csrf_token(self) -> dict[str, str]:
        """The token that a change needs; none from a server that protects itself otherwise."""
        client = secrets.token_hex(16)
        request = urllib.request.Request(f"{self.url}/csrf-token?client={client}", headers=self.credentials())
        with suppress(urllib.error.HTTPError):
            return {"Prefect-Csrf-Token": _send(request)["token"], "Prefect-Csrf-Client": client}
        return {}


def answers(url: str) -> bool:
    """Whether a Prefect server answers at `url`."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as response:
            return bool(response.status == 200)
    except (OSError, ValueError, HTTPException):  # a wrong port is none of the first two
        return False


def make_login() -> str:
    """A login that nobody can guess."""
    return f"{LOGIN}:{secrets.token_urlsafe(32)}"


def _send(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.loads(response.read() or "null")


@contextmanager
def reachable(home: Path, url: str | None) -> Iterator[PrefectApi]:
    """A server that answers: the one at `url`, else one started under `home` and stopped at the end.

    A second command in the workspace is a guest of the first one's server, which stays until the guest is done.

    Raises:
        RetrimError: The server at `url` does not answer, or one cannot be started.
    """
    if url is not None:
        api = PrefectApi(url, os.environ.get(LOGIN_VARIABLE))
        if not api.answers():
            raise RetrimError(f"no Prefect server responds at {url}; start the server, or unset RETRIM_PREFECT_URL")
        yield api
        return
    with _one_at_a_time(home):
        noted = _noted(home)
        if noted is not None and noted.answers():
            guest, server, api = _locked(home / GUESTS, fcntl.LOCK_SH), None, noted
        else:
            guest, server = None, _begin(home, pages=False)
            api = server.api
    try:
        yield api
    finally:
        if guest is not None:
            guest.close()
        if server is not None:
            _close_after_guests(home, server)


@contextmanager
def own(home: Path, *, pages: bool) -> "Iterator[Server]":
    """A server of this process, noted under `home` for others and stopped at the end; an orphan there is ended."""
    with _one_at_a_time(home):
        server = _begin(home, pages=pages)
    try:
        yield server
    finally:
        server.close()


class Server:
    """A server on a port of its own; started again at the same address, it goes on from its database.

    Raises:
        RetrimError: It cannot be started.
    """

    def __init__(self, home: Path, port: int, *, pages: bool) -> None:
        self.home, self.pages = home, pages
        self.api = PrefectApi(f"http://127.0.0.1:{port}/api", make_login())
        self.process: subprocess.Popen[bytes] | None = None

    def revive(self) -> bool:
        """Starts it if it does not run; whether it had to."""
        if self.process is not None and self.process.poll() is None:
            return False
        with _one_at_a_time(self.home):
            self.start()
        return True

    def start(self) -> None:
        """Starts it and notes it, while no other server starts here."""
        if self.process is not None:
            stop(self.process)  # what is left of its group
        try:
            with _signals_held():  # one in the midst of the launch would leave a server that nobody knows
                self.process = process = _launch(self.home, self.api, pages=self.pages)
            _note_server(self.home, self.api, process.pid)
            _wait_until_it_answers(self.home, self.api, process)
        except BaseException:  # Ctrl-C and SIGTERM too
            self.close()
            raise

    def close(self) -> None:
        if self.process is None:
            return
        noted = _read_note(self.home)
        if noted is not None and noted.pid == self.process.pid:
            (self.home / NOTE).unlink(missing_ok=True)
            (self.home / LOGIN_FILE).unlink(missing_ok=True)
        stop(self.process)


def become_server(home: Path, api: PrefectApi, *, noted_at: Sequence[Path]) -> NoReturn:
    """Runs a server in the place of this process, at an address and with a login that somebody else has chosen."""
    with _one_at_a_time(home):
        _end_orphans(home)
        failed = []
        for folder in noted_at:
            try:
                _note_server(folder, api, os.getpid())
            except OSError as error:  # of one workspace, which the worker leaves out
                failed.append(error)
        if failed and len(failed) == len(noted_at):
            raise failed[0]
        make_private_file(home / "prefect.db")
    os.umask(0o077)
    os.execve(sys.executable, _command(api, pages=True), _environment(home, api))  # noqa: S606  no shell is wanted


def _command(api: PrefectApi, *, pages: bool) -> list[str]:
    port = api.url.removesuffix("/api").rpartition(":")[2]
    server = ["-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", port]
    return [sys.executable, *server, "--ui" if pages else "--no-ui"]


def _begin(home: Path, *, pages: bool) -> Server:
    """A new server that runs. Hold `_one_at_a_time`: two that start at once would both make the database's tables."""
    _end_orphans(home)
    server = Server(home, free_port(), pages=pages)
    server.start()
    return server


def _close_after_guests(home: Path, server: Server) -> None:
    while True:
        _locked(home / GUESTS, fcntl.LOCK_EX).close()  # waits for them
        with _one_at_a_time(home), suppress(BlockingIOError):  # nobody comes in while it is looked once more
            _locked(home / GUESTS, fcntl.LOCK_EX | fcntl.LOCK_NB).close()
            server.close()
            return


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Keeps other processes from starting or looking for a server of this folder."""
    make_private_folder(home)
    with _locked(home / STARTING, fcntl.LOCK_EX):
        yield


def _locked(path: Path, how: int) -> TextIO:
    file = path.open("w")
    try:
        fcntl.flock(file, how)
    except BaseException:
        file.close()
        raise
    return file


def _launch(home: Path, api: PrefectApi, *, pages: bool) -> "subprocess.Popen[bytes]":
    """Starts a server on loopback with its database under `home`."""
    start_reaper()
    for name in ("prefect.db", "server.log"):
        make_private_file(home / name)
    shorten_log(home / "server.log", MOST_LOG_BYTES)
    environment = {**_environment(home, api), OWNER_VARIABLE: f"{os.getpid()} {_began(os.getpid())}"}
    with (home / "server.log").open("ab") as log:
        return subprocess.Popen(
            _command(api, pages=pages), env=environment, stdout=log, stderr=log, start_new_session=True, umask=0o077
        )


@contextmanager
def _signals_held() -> Iterator[None]:
    """Lets signals that have a handler wait until the block is done; they run in the main thread alone."""
    came: list[int] = []
    held = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    held = {number: handler for number, handler in held.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread():
        held = {}
    for caught in held:
        signal.signal(caught, lambda number, _frame: came.append(number))
    try:
        yield
    finally:
        for caught, handler in held.items():
            signal.signal(caught, handler)
        for number in came:
            signal.raise_signal(number)


def _wait_until_it_answers(home: Path, api: PrefectApi, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while not api.answers():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RetrimError(f"the Prefect server did not start; {home / 'server.log'} says why")
        time.sleep(0.1)


def stop(process: subprocess.Popen[bytes]) -> None:
    for sign, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 10)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
            return


def _environment(home: Path, api: PrefectApi) -> dict[str, str]:
    """Of a server: beside Prefect's settings its login, no other origin, and where its pages are unpacked."""
    return {
        **os.environ,
        **settings(home, api.url),
        **BOUNDS,
        "PREFECT_SERVER_API_AUTH_STRING": str(api.login),
        LOGIN_VARIABLE: str(api.login),
        "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": "",
        "PREFECT_SERVER_API_KEEPALIVE_TIMEOUT": str(KEEPALIVE_SECONDS),
        "PREFECT_SERVER_UI_STATIC_DIRECTORY": str(home / "pages"),
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        # The newer pages fetch settings from amplitude.com as they open, also where analytics are off.
        "PREFECT_SERVER_UI_V2_ENABLED": "false",
    }


def settings(home: Path, url: str) -> dict[str, str]:
    """Prefect's settings: home, address, no telemetry, warnings only. No login: a deployment is stored with them."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_API_URL": url,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
        "PREFECT_CLI_PROMPT": "false",
        # A worker begins a run for each core at a time: every 10 s, as by default, short ones would queue.
        QUERY_VARIABLE: os.environ.get(QUERY_VARIABLE, "5"),
        # Leases of running flows outlive the server: kept in memory, a restart would cancel a retraining under way.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    }


def known_server(home: Path, url: str | None) -> PrefectApi | None:
    """The server at `url`, else the one that runs under `home`; None if none answers."""
    api = _noted(home) if url is None else PrefectApi(url, os.environ.get(LOGIN_VARIABLE))
    return api if api is not None and api.answers() else None


def _noted(home: Path) -> PrefectApi | None:
    """The server that was started under `home`, if that process and the one that minds it still live."""
    note = _read_note(home)
    if note is None or not (_lives(note.pid, note.began) and _lives(note.owner, note.owner_began)):
        return None
    return PrefectApi(note.url, note.login)


def orphans(home: Path) -> list[int]:
    """The processes of servers with their database under `home` whose owner is gone: nobody will stop them."""
    numbers = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError, ValueError):
            if not {"prefect", "server", "start"} <= set(process.cmdline()):
                continue
            environment = process.environ()  # which this user may read of their own processes alone
            owner, _, since = environment.get(OWNER_VARIABLE, "").partition(" ")
            if owner and Path(environment["PREFECT_HOME"]).resolve() == home.resolve():
                numbers += [] if _lives(int(owner), float(since)) else [process.pid]
    return numbers


def _end_orphans(home: Path) -> None:
    for number in orphans(home):
        with suppress(ProcessLookupError):
            os.killpg(number, signal.SIGKILL)


@dataclass(frozen=True)
class ServerNote:
    """A server that was started under a folder: address and login, its process and its owner's, when both began."""

    url: str
    login: str | None
    pid: int
    owner: int
    began: float | None
    owner_began: float | None


def _note_server(folder: Path, api: PrefectApi, pid: int) -> None:
    """Notes a server of this process in a folder, with its login."""
    owner = os.getpid()
    note = ServerNote(api.url, api.login, pid, owner, began=_began(pid), owner_began=_began(owner))
    write_private(folder / LOGIN_FILE, f"{api.login}\n".encode())
    write_private(folder / NOTE, json.dumps(to_record(note)).encode())


def _read_note(home: Path) -> ServerNote | None:
    with suppress(OSError, ValueError, RetrimError):
        return from_record(ServerNote, json.loads((home / NOTE).read_text(encoding="utf-8")))
    return None


def _began(pid: int) -> float | None:
    """When a process began, which tells it from a later one of the same number; None if it does not live."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else began(process)
    return None


def _lives(pid: int, noted: float | None) -> bool:
    """Whether the process of that number lives that began when it was noted."""
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        return noted is not None and process.status() != psutil.STATUS_ZOMBIE and has_begun_at(process, noted)
    return False


def free_port() -> int:
    """A port that nothing listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
