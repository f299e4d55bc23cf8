"""`retrim up --only ui` for real: who sees MLflow's pages, and how the command ends."""

import base64
import http.client
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from http import HTTPStatus
from types import SimpleNamespace

import psutil
import pytest

from tests.builders.world import COMMAND, make_world

pytestmark = pytest.mark.server

HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
SEARCH = "/api/2.0/mlflow/experiments/search"
DEADLINE_SECONDS = 120


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """The command, its port and its password."""
    world = make_world(tmp_path_factory.mktemp("pages"), server="")
    process = subprocess.Popen(
        [sys.executable, "-c", HEARING + COMMAND, "up", "--only", "ui", "--port", "0"],
        cwd=world.root,
        env=world.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    told = [process.stdout.readline(), process.stdout.readline()]
    port = int(told[0].partition("127.0.0.1:")[2].partition("/")[0])
    file = world.root / "var" / "ui" / "password"
    yield SimpleNamespace(
        process=process, port=port, told=told, file=file, root=world.root, password=file.read_text().strip()
    )
    process.kill()
    process.communicate()


def ask(pages: SimpleNamespace, path: str, password: str | None, **headers: str) -> int:
    """Status of the answer; the first question waits until the pages are there."""
    connection = http.client.HTTPConnection("127.0.0.1", pages.port, timeout=DEADLINE_SECONDS)
    if password is not None:
        headers["Authorization"] = f"Basic {base64.b64encode(f'retrim:{password}'.encode()).decode()}"
    try:
        method, body = ("POST", '{"max_results": 5}') if path == SEARCH else ("GET", None)
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("path", ["/", "/retrim", SEARCH])
def test_who_has_the_password_sees_them(pages: SimpleNamespace, path: str) -> None:
    assert ask(pages, path, pages.password) == HTTPStatus.OK


@pytest.mark.parametrize("path", ["/", "/retrim", SEARCH, "/health"])
@pytest.mark.parametrize("password", [None, "", "guessed"])
def test_nobody_else_does(pages: SimpleNamespace, path: str, password: str | None) -> None:
    assert ask(pages, path, password) == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("origin", ["http://pages.example", "http://localhost:9", "http://127.0.0.1", "null"])
def test_a_page_of_another_origin_is_refused_even_with_the_password(pages: SimpleNamespace, origin: str) -> None:
    assert ask(pages, SEARCH, pages.password, Origin=origin) == HTTPStatus.FORBIDDEN


def test_a_browser_that_sends_no_origin_still_says_that_another_site_asks(pages: SimpleNamespace) -> None:
    assert ask(pages, SEARCH, pages.password, **{"Sec-Fetch-Site": "cross-site"}) == HTTPStatus.FORBIDDEN


def test_our_own_pages_may_ask(pages: SimpleNamespace) -> None:
    assert ask(pages, SEARCH, pages.password, Origin=f"http://127.0.0.1:{pages.port}") == HTTPStatus.OK


@pytest.mark.parametrize("name", ["10.evil.example", "pages.example", "127.0.0.1", "0.0.0.0:5000"])
def test_a_name_that_only_points_here_is_refused(pages: SimpleNamespace, name: str) -> None:
    assert ask(pages, SEARCH, pages.password, Host=name) == HTTPStatus.FORBIDDEN
    assert ask(pages, "/retrim", pages.password, Host=name) == HTTPStatus.FORBIDDEN


def test_only_their_user_can_read_the_password(pages: SimpleNamespace) -> None:
    assert stat.S_IMODE(pages.file.stat().st_mode) == 0o600
    assert str(pages.file.relative_to(pages.root)) in pages.told[1]
    assert pages.password not in "".join(pages.told)


def test_no_command_line_names_the_database(pages: SimpleNamespace) -> None:
    process = psutil.Process(pages.process.pid)
    lines = [" ".join(each.cmdline()) for each in (process, *process.children(recursive=True))]

    assert [line for line in lines if "mlflow.db" in line or pages.password in line] == []


def test_a_port_that_is_taken_is_named(pages: SimpleNamespace) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "up", "--only", "ui", "--port", str(port)],
            cwd=pages.root,
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 2
    assert done.stderr.startswith(f"error: port {port} cannot be used: ")
    assert "--port" in done.stderr


def test_ctrl_c_ends_it_cleanly_and_leaves_no_process(pages: SimpleNamespace) -> None:
    assert ask(pages, "/", pages.password) == HTTPStatus.OK
    process = psutil.Process(pages.process.pid)
    children = process.children(recursive=True)
    pages.process.send_signal(signal.SIGINT)
    out, err = pages.process.communicate(timeout=DEADLINE_SECONDS)
    _, alive = psutil.wait_procs(children, DEADLINE_SECONDS)

    assert (pages.process.returncode, out.splitlines()[-1:], alive) == (0, ["stopped"], [])
    assert "Traceback" not in err
