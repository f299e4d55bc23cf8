"""The server that commands share: one a workspace, there for as long as any of them needs it."""

import json
import signal
import stat
import subprocess
import sys
import threading
import time
import urllib.error
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from retrim.adapters import prefect_server
from retrim.adapters.prefect_server import (
    KEEP_RUNS_DAYS,
    LOGIN_FILE,
    LOGIN_VARIABLE,
    NOTE,
    OWNER_VARIABLE,
    PrefectApi,
    become_server,
    orphans,
    reachable,
)
from retrim.errors import BadInputError, RetrimError

pytestmark = pytest.mark.server

DEADLINE_SECONDS = 60
COMMAND = """
import sys
from pathlib import Path
from retrim.adapters.prefect_server import reachable

with reachable(Path(sys.argv[1]), None) as api:
    print(api.url, flush=True)
    sys.stdin.readline()
    assert api.answers()
"""


def test_a_server_stays_until_its_last_guest_is_done(tmp_path: Path) -> None:
    came, leave = threading.Event(), threading.Event()
    urls: list[tuple[str, bool]] = []

    def guest() -> None:
        with reachable(tmp_path, None) as api:
            came.set()
            leave.wait(60)
            urls.append((api.url, api.answers()))

    visit = threading.Thread(target=guest)
    with reachable(tmp_path, None) as own:
        visit.start()
        came.wait(60)
        threading.Timer(1, leave.set).start()
    visit.join()

    assert urls == [(own.url, True)]
    assert not own.answers()


def test_two_commands_at_once_in_a_fresh_workspace_share_one_server(tmp_path: Path) -> None:
    home = tmp_path / "prefect"
    both = [
        subprocess.Popen(
            [sys.executable, "-c", COMMAND, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    urls = [process.stdout.readline().strip() for process in both if process.stdout is not None]
    for process in both:  # all are told before one is waited for: the owner of the server waits for its guest
        assert process.stdin is not None
        process.stdin.close()
    for process in both:
        process.wait(DEADLINE_SECONDS)

    assert [process.returncode for process in both] == [0, 0]
    assert urls[0] == urls[1] != ""


def test_a_killed_command_leaves_no_server(tmp_path: Path) -> None:
    command = subprocess.Popen(
        [sys.executable, "-c", COMMAND, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert command.stdout is not None
    command.stdout.readline()
    server = psutil.Process(json.loads((tmp_path / NOTE).read_bytes())["pid"])
    command.kill()
    command.wait()
    _, alive = psutil.wait_procs([server], DEADLINE_SECONDS)
    for process in alive:  # a failing test leaves none either
        process.kill()

    assert alive == []


def started_in(home: Path) -> list[psutil.Process]:
    """Servers with their database in a folder, also those that nobody has noted."""
    servers = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if "server" in process.cmdline() and process.environ().get("PREFECT_HOME") == str(home):
                servers.append(process)
    return servers


def test_a_command_that_is_stopped_while_its_server_starts_leaves_none(tmp_path: Path) -> None:
    ends_politely = (
        "import signal; signal.signal(signal.SIGTERM, signal.default_int_handler)"  # as the command line has
    )
    words = [sys.executable, "-c", ends_politely + COMMAND, str(tmp_path)]
    deadline = time.monotonic() + DEADLINE_SECONDS
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as command:
        while not started_in(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        starting = started_in(tmp_path)
        command.terminate()
        command.wait(DEADLINE_SECONDS)
    _, alive = psutil.wait_procs(starting, 3)
    for process in alive:  # a failing test leaves none either
        process.kill()

    assert (len(starting), alive) == (1, [])
    assert not (tmp_path / NOTE).exists()


def test_a_server_whose_command_is_gone_is_seen_and_ended_by_the_next(tmp_path: Path) -> None:
    owner = subprocess.Popen(["true"])
    owner.wait(DEADLINE_SECONDS)
    fake = [sys.executable, "-c", "import time; time.sleep(600)", "prefect", "server", "start"]
    environment = {"PREFECT_HOME": str(tmp_path), OWNER_VARIABLE: f"{owner.pid} 1.0"}
    server = subprocess.Popen(fake, env=environment, start_new_session=True)
    seen = orphans(tmp_path)
    with reachable(tmp_path, None):
        ended = server.wait(DEADLINE_SECONDS)

    assert (seen, ended) == ([server.pid], -signal.SIGKILL)
    assert orphans(tmp_path) == []


@pytest.mark.parametrize("names", [("broken", "a"), ("broken",)])
def test_a_workspace_that_cannot_be_written_keeps_the_server_from_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    class BegunError(Exception):
        """The server would take the place of this process."""

    def begin(*given: object) -> None:
        raise BegunError

    (tmp_path / "broken").touch()
    monkeypatch.setattr("os.execve", begin)
    monkeypatch.setattr("os.umask", lambda mask: mask)
    with pytest.raises(BegunError if len(names) > 1 else OSError):
        become_server(
            tmp_path, PrefectApi("http://127.0.0.1:1/api", "a:b"), noted_at=[tmp_path / each for each in names]
        )

    assert [path.parent.name for path in tmp_path.glob(f"*/{NOTE}")] == list(names[1:])


def test_a_server_is_started_within_bounds_with_another_login_each_time_that_others_cannot_read(tmp_path: Path) -> None:
    with reachable(tmp_path, None) as api:
        modes = [
            stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (LOGIN_FILE, NOTE, "prefect.db", "server.log")
        ]
        stranger = PrefectApi(api.url, "retrim:guessed")
        with pytest.raises(urllib.error.HTTPError, match="401"):
            stranger.ask("admin/settings")
        vacuum = api.ask("admin/settings")["server"]["services"]["db_vacuum"]
    with reachable(tmp_path, None) as anew:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            PrefectApi(anew.url, api.login).ask("admin/settings")
        assert anew.ask("flows/filter", {}) == []

    assert modes == [0o600] * 4
    assert ("flow_runs" in vacuum["enabled"], vacuum["retention_period"]) == (True, f"P{KEEP_RUNS_DAYS}D")
    assert anew.login != api.login


def test_an_address_where_nothing_answers_is_named() -> None:
    with (
        pytest.raises(RetrimError, match=r"http://127\.0\.0\.1:9/api;.* RETRIM_PREFECT_URL"),
        reachable(Path(), "http://127.0.0.1:9/api"),
    ):
        pass


def test_a_login_in_the_address_is_refused_and_not_shown(tmp_path: Path) -> None:
    with (
        pytest.raises(BadInputError, match=f"set {LOGIN_VARIABLE}") as refused,
        reachable(tmp_path, "http://me:planted@prefect.example.org/api"),
    ):
        pass

    assert "planted" not in str(refused.value)


def test_a_signal_in_the_midst_of_the_launch_waits_until_the_server_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launch = prefect_server._launch
    launched = []

    def interrupted(*given: Any, **named: Any) -> "subprocess.Popen[bytes]":
        process = launch(*given, **named)
        launched.append(process)
        signal.raise_signal(signal.SIGINT)
        return process

    monkeypatch.setattr(prefect_server, "_launch", interrupted)
    with pytest.raises(KeyboardInterrupt), prefect_server.own(tmp_path, pages=False):
        pass

    assert [process.poll() is None for process in launched] == [False]
