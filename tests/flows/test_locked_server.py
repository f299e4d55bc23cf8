"""The server of `retrim up --only schedule` as an attacker on the same machine, or a page in a browser, meets it."""

import http.client
import json
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from retrim.adapters.prefect_server import LOGIN_FILE, NOTE, PrefectApi, known_server
from tests.builders.world import COMMAND, World, ask_when_free, commands_of, make_world

pytestmark = [pytest.mark.e2e, pytest.mark.server]

HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
QUICK = {"RETRIM_PREFECT_URL": "", "PREFECT_WORKER_QUERY_SECONDS": "1"}
DEADLINE_SECONDS = 120
OTHER_ORIGIN = "http://pages.example"


@dataclass(frozen=True)
class Siege:
    """What the real server and its worker did with requests of others, and where the login was seen.

    Each request asked for a run whose command makes a file of its name, one of the `marks`; `ingested` is how a flow
    run of the worker ended, `left` what still ran some seconds after the schedule was killed, while a command ran.
    """

    world: World
    answers: dict[str, tuple[int, dict[str, str]]]
    marks: set[str]
    seen: list[str]
    modes: dict[str, int]
    ingested: str
    left: list[str]


@pytest.fixture(scope="module")
def siege(tmp_path_factory: pytest.TempPathFactory) -> Siege:
    times = {"ingest": "300d", "check": "300d", "score": "300d"}
    world = make_world(tmp_path_factory.mktemp("siege"), server="", changes={"schedule": {**times, "prove": None}})
    log = world.root / "schedule.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", HEARING + COMMAND, "up", "--only", "schedule"],
            cwd=world.root,
            env={**world.environment, **QUICK},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        _until(lambda: "worker started" in log.read_text(encoding="utf-8") or process.poll() is not None, log)
        return _besiege(world, process, log)
    finally:
        process.kill()
        process.wait()


def _besiege(world: World, schedule: "subprocess.Popen[bytes]", log: Path) -> Siege:
    home = world.workspace.paths.prefect
    api = known_server(home, None)
    assert api is not None
    assert api.login is not None
    deployment = ask_when_free(api, "deployments/name/ingest/generated")["id"]
    run = ask_when_free(api, f"deployments/{deployment}/create_flow_run", {"idempotency_key": "real"})["id"]
    ended = ("COMPLETED", "FAILED", "CRASHED")
    _until(lambda: ask_when_free(api, f"flow_runs/{run}")["state_type"] in ended, log)
    marks = world.root / "marks"
    marks.mkdir()

    def body(name: str) -> dict[str, object]:
        return {"job_variables": {"command": f"sh -c 'touch \"{marks / name}\"; sleep 600'"}}

    path = f"/api/deployments/{deployment}/create_flow_run"
    typed = {"Content-Type": "application/json"}
    answers = {
        # A page of another origin can send this without asking first: it has no header of its own.
        "page": _request(api, "POST", path, body("page"), {"Origin": OTHER_ORIGIN}),
        "tokenless": _request(api, "POST", path, body("tokenless"), typed),
        "form": _request(api, "POST", path, body("form"), {"Content-Type": "text/plain", "Origin": OTHER_ORIGIN}),
        "preflight": _request(
            api, "OPTIONS", path, None, {"Origin": OTHER_ORIGIN, "Access-Control-Request-Method": "POST"}
        ),
        "read": _request(api, "POST", "/api/flow_runs/filter", {}, {**typed, "Origin": OTHER_ORIGIN}),
        "no csrf token": _request(api, "POST", path, body("no csrf token"), {**typed, **api.credentials()}),
        "health": _request(api, "GET", "/api/health", None, {}),
        "pages": _request(api, "GET", "/", None, {"Accept": "text/html"}),
    }
    answers["page one"] = _request(api, "GET", answers["pages"][1].get("location", "/"), None, {})
    ask_when_free(api, f"deployments/{deployment}/create_flow_run", {**body("reader"), "idempotency_key": "reader"})
    _until(lambda: any(marks.iterdir()), log)  # what was asked for first runs first
    secret = api.login.partition(":")[2]
    ingested = ask_when_free(api, f"flow_runs/{run}")["state_type"]
    schedule.kill()
    files = [path for path in [*home.glob("*.db*"), *home.glob("*.log"), log] if path.is_file()]
    return Siege(
        world=world,
        answers=answers,
        marks={path.name for path in marks.iterdir()},
        seen=[path.name for path in files if secret.encode() in path.read_bytes()]
        + [" ".join(line) for line in _command_lines() if secret in " ".join(line)],
        modes={path.name: stat.S_IMODE(path.stat().st_mode) for path in [home, *home.glob("*[!k]")]},
        ingested=ingested,
        left=_left(world.root),
    )


@pytest.mark.parametrize("request_of", ["page", "tokenless", "form", "no csrf token"])
def test_a_stranger_runs_no_command(siege: Siege, request_of: str) -> None:
    assert siege.answers[request_of][0] in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
    assert request_of not in siege.marks


def test_who_has_the_login_runs_one(siege: Siege) -> None:
    assert siege.marks == {"reader"}


def test_a_flow_run_of_the_worker_has_the_login(siege: Siege) -> None:
    assert siege.ingested == "COMPLETED"


@pytest.mark.parametrize("request_of", ["preflight", "page", "read", "health"])
def test_no_other_origin_may_read_an_answer(siege: Siege, request_of: str) -> None:
    assert siege.answers[request_of][1].get("access-control-allow-origin") is None


def test_health_and_pages_are_open(siege: Siege) -> None:
    assert [siege.answers[name][0] for name in ("health", "page one")] == [HTTPStatus.OK, HTTPStatus.OK]


def test_the_pages_that_ask_somebody_outside_do_not_open_by_themselves(siege: Siege) -> None:
    assert not siege.answers["pages"][1].get("location", "/").startswith("/v2")


def test_the_pages_are_unpacked_under_var(siege: Siege) -> None:
    assert any((siege.world.root / "var" / "prefect" / "pages").rglob("index.html"))


def test_the_login_is_in_no_command_line_database_or_log(siege: Siege) -> None:
    assert siege.seen == []


def test_others_cannot_read_what_the_server_keeps(siege: Siege) -> None:
    assert {name: oct(mode) for name, mode in siege.modes.items() if mode & 0o077} == {}
    assert {LOGIN_FILE, NOTE, "prefect.db"} <= siege.modes.keys()


def test_a_killed_schedule_leaves_no_process(siege: Siege) -> None:
    assert siege.left == []


def _request(
    api: PrefectApi, method: str, path: str, body: dict[str, object] | None, headers: dict[str, str]
) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer to exactly this request."""
    address = urlsplit(api.url)
    assert address.hostname is not None
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def _command_lines() -> list[list[str]]:
    found = []
    for process in psutil.process_iter():
        try:
            found.append(process.cmdline())
        except psutil.Error:
            continue
    return found


def _left(root: Path) -> list[str]:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while (left := commands_of(root)) and time.monotonic() < deadline:
        time.sleep(0.25)
    return left


def _until(claim: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not claim():
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-6000:]
        time.sleep(0.25)
