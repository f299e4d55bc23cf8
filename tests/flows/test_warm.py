"""A flow run that is forked is what a process of its own would be: folder, environment, output, end and signals."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import temporary_settings

from retrim.adapters import prefect_server
from retrim_flows.deploy import HOME
from retrim_flows.warm import warm_process
from retrim_flows.warm_run import FORKED, NUMBER, VARIABLE, read_number
from tests.builders.waiting import until
from tests.builders.world import prefect_settings

pytestmark = [pytest.mark.server, pytest.mark.slow]

DEADLINE_SECONDS = 60
FLOW = """
import json, os, sys, time
from pathlib import Path
from prefect import flow
import beside

@flow
def told(ends: str = "well"):
    known = {"parent": os.getppid(), "folder": os.getcwd(), "planted": os.environ.get("PLANTED"), "beside": beside.NAME}
    print(json.dumps(known | {"warm": "lightgbm" in sys.modules}), flush=True)
    Path("begun").write_text(str(os.getpid()))
    if ends == "badly":
        os._exit(7)
    while ends == "never":
        time.sleep(0.05)
"""


@dataclass(frozen=True)
class Warm:
    """A warm process, once it listens.

    Args:
        pid: Its.
        environment: Of its runs.
        packages: A folder in which it looks for packages.
    """

    pid: int
    environment: dict[str, str]
    packages: Path


@contextmanager
def kept_warm(folder: Path, server: str) -> Iterator[Warm]:
    """A warm process beside the tests' server until the block ends."""
    packages = folder / "packages"
    packages.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in prefect_server.settings(folder, server).items():
            patch.setenv(name, value)
        with warm_process(os.pathsep.join([str(HOME), str(packages), *sys.path]), folder):
            environment = dict(os.environ)
            yield Warm(listening(environment[VARIABLE]), environment, packages)


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory, server: str) -> Iterator[Warm]:
    with kept_warm(tmp_path_factory.mktemp("warm"), server) as warm:
        yield warm


def listening(place: str) -> int:
    """The process that listens at a socket, once it does."""

    def found() -> list[int]:
        own = psutil.Process().children()
        return [each.pid for each in own if each.cmdline()[-1] == place and Path(place).exists()]

    until(found)
    (pid,) = found()
    return pid


def begin(folder: Path, environment: dict[str, str], *, ends: str = "well", **more: str) -> "subprocess.Popen[str]":
    """A run of the flow above in a folder, as the worker starts it."""
    folder.mkdir(exist_ok=True)
    (folder / "flow.py").write_text(FLOW, encoding="utf-8")
    (folder / "beside.py").write_text(f"NAME = {folder.name!r}", encoding="utf-8")
    (folder / "begun").unlink(missing_ok=True)
    with (
        pytest.MonkeyPatch.context() as patch,
        temporary_settings(prefect_settings(environment["PREFECT_API_URL"])),
        get_client(sync_client=True) as client,
    ):
        patch.syspath_prepend(folder)
        flow = load_flow_from_entrypoint(f"{folder / 'flow.py'}:told", use_placeholder_flow=False)
        sys.modules.pop("beside", None)
        run = client.create_flow_run(flow, parameters={"ends": ends})
    named = {"PREFECT__FLOW_RUN_ID": str(run.id), "PREFECT__FLOW_ENTRYPOINT": "flow.py:told"}
    command = [*FORKED, "-m", "prefect.engine"]
    return subprocess.Popen(
        command, cwd=folder, env={**environment, **named, **more}, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip


def begun(folder: Path, run: "subprocess.Popen[str]") -> psutil.Process:
    """The process of a run, once its flow has begun."""
    until(lambda: (folder / "begun").exists() and (folder / "begun").read_text(encoding="utf-8"))
    assert run.poll() is None
    return psutil.Process(int((folder / "begun").read_text(encoding="utf-8")))


def told(run: "subprocess.Popen[str]") -> dict[str, Any]:
    """What its flow printed."""
    out, _ = run.communicate(timeout=DEADLINE_SECONDS)
    return dict(json.loads(out.splitlines()[0]))


def ended(run: "subprocess.Popen[str]") -> int:
    """Its exit code."""
    run.communicate(timeout=DEADLINE_SECONDS)
    return run.returncode


@pytest.mark.parametrize("name", ["north", "south"])
def test_a_fork_works_in_its_folder_with_its_environment_and_modules(warm: Warm, tmp_path: Path, name: str) -> None:
    run = begin(tmp_path / name, warm.environment, PLANTED=name)
    found = told(run)

    assert (found["folder"], found["planted"], found["beside"]) == (str(tmp_path / name), name, name)
    assert (found["warm"], run.returncode) == (True, 0)


def test_a_run_ends_with_the_code_of_its_process(warm: Warm, tmp_path: Path) -> None:
    cold = {name: value for name, value in warm.environment.items() if name != VARIABLE}
    runs = [begin(tmp_path / "here", environment, ends="badly") for environment in (warm.environment, cold)]
    found = [told(run)["warm"] for run in runs]

    assert found == [True, False]
    assert [run.returncode for run in runs] == [7, 7]


@pytest.mark.parametrize("place", ["", None])
def test_a_command_is_forked_too_and_runs_by_itself_where_nothing_is_warm(
    warm: Warm, tmp_path: Path, place: str | None
) -> None:
    at = {} if place is None else {VARIABLE: place}
    code = "import sys; print(sys.argv[1:], 'lightgbm' in sys.modules); sys.exit(5)"
    done = subprocess.run(
        [*FORKED, "-P", "-c", code, "a word"], cwd=tmp_path, env={**warm.environment, **at}, text=True,
        capture_output=True, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stdout) == (5, f"['a word'] {place is None}\n")


ENDS = """
import atexit, logging.handlers, sys, threading, time, weakref
from tempfile import TemporaryDirectory

class Held: pass

held, folder = Held(), TemporaryDirectory(dir=".")
handler = logging.handlers.MemoryHandler(9, flushLevel=99, target=logging.StreamHandler(sys.stdout))
logging.getLogger("held back").addHandler(handler)
logging.getLogger("held back").warning("told at the end of logging")
atexit.register(print, "at exit")
weakref.finalize(held, print, "finalised")
threading.Thread(target=lambda: time.sleep(0.2) or print("thread done")).start()
print("without a line end", end="")
print("told", end="", file=sys.stderr)
sys.exit({code})
"""


@pytest.mark.parametrize("code", [0, 3, 259, "None", "'a reason'", "1 / 0"])
def test_a_fork_does_at_its_end_what_a_process_does(warm: Warm, tmp_path: Path, code: int | str) -> None:
    """Threads are waited for, what was registered is called, temporary folders go, and what was printed is there."""
    cold = {name: value for name, value in warm.environment.items() if name != VARIABLE}
    ends = []
    for environment in (warm.environment, cold):
        done = subprocess.run(
            [*FORKED, "-P", "-c", ENDS.format(code=code)], cwd=tmp_path, env=environment, text=True,
            capture_output=True, check=False,
        )  # fmt: skip
        ends.append((done.returncode, sorted(done.stdout.splitlines()), done.stderr.splitlines()[-1:]))

    assert ends[0] == ends[1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_the_fork_and_tells_so(warm: Warm, tmp_path: Path, number: signal.Signals) -> None:
    run = begin(tmp_path / "here", warm.environment, ends="never")
    begun(tmp_path / "here", run).send_signal(number)

    assert ended(run) != 0


def test_a_signal_to_the_script_reaches_the_fork(warm: Warm, tmp_path: Path) -> None:
    run = begin(tmp_path / "here", warm.environment, ends="never")
    fork = begun(tmp_path / "here", run)
    run.terminate()
    ended(run)

    assert not fork.is_running()


def test_a_fork_ends_with_its_script(warm: Warm, tmp_path: Path) -> None:
    run = begin(tmp_path / "here", warm.environment, ends="never")
    fork = begun(tmp_path / "here", run)
    run.kill()
    ended(run)

    until(lambda: not fork.is_running())


def test_forks_leave_no_zombie(warm: Warm, tmp_path: Path) -> None:
    told(begin(tmp_path / "here", warm.environment))

    until(lambda: not psutil.Process(warm.pid).children())


def test_a_package_that_changed_is_imported_anew(warm: Warm, tmp_path: Path) -> None:
    first = told(begin(tmp_path / "here", warm.environment))
    (warm.packages / "planted-1.0.dist-info").mkdir()
    second = told(begin(tmp_path / "here", warm.environment))

    def third() -> bool:
        return bool(told(begin(tmp_path / "here", warm.environment))["warm"])

    assert (first["warm"], second["warm"]) == (True, False)
    until(third)


def ask(warm: Warm, *words: str, deaf: bool = False) -> socket.socket:
    """A request for `python WORDS`, as the script sends it; `deaf`: by one that hears no answer."""
    place = Path(warm.environment[VARIABLE])
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(place))
    if deaf:
        connection.shutdown(socket.SHUT_RD)
    asked = json.dumps([words, str(place.parent), warm.environment, []]).encode()
    socket.send_fds(connection, [NUMBER.pack(len(asked))], [0, 1, 2])
    connection.sendall(asked)
    return connection


def settle(warm: Warm) -> None:
    """Waits until all that was asked for before is over: a later request is answered, and no child is left."""
    with ask(warm, "-P", "-c", "pass") as connection:
        assert read_number(connection) is not None
        assert read_number(connection) == 0
    until(lambda: not psutil.Process(warm.pid).children())


@pytest.mark.parametrize("sent", [b"", NUMBER.pack(9)[:3], NUMBER.pack(9), NUMBER.pack(9) + b"[1"])
def test_a_request_that_breaks_off_leaves_no_process(warm: Warm, sent: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(warm.environment[VARIABLE])
        connection.sendall(sent)

    settle(warm)


def test_a_fork_whose_script_is_gone_ends(warm: Warm) -> None:
    for _ in range(5):
        ask(warm, "-P", "-c", "import time; time.sleep(600)").close()
    settle(warm)

    assert [each.pid for each in psutil.process_iter() if _is_fork_of(each, warm)] == []


def test_a_fork_whose_script_cannot_be_told_does_not_begin(warm: Warm, tmp_path: Path) -> None:
    mark = tmp_path / "begun"
    with ask(warm, "-P", "-c", f"open({str(mark)!r}, 'w')", deaf=True):
        settle(warm)

    assert not mark.exists()
    with ask(warm, "-P", "-c", f"open({str(mark)!r}, 'w')"):
        until(mark.exists)


def _is_fork_of(process: psutil.Process, warm: Warm) -> bool:
    with suppress(psutil.Error):
        return process.cmdline()[-1:] == [warm.environment[VARIABLE]] and process.pid != warm.pid
    return False


def test_a_signal_that_comes_at_once_is_heard(warm: Warm) -> None:
    ends = []
    for _ in range(5):
        with ask(warm, "-P", "-c", "import time; time.sleep(5)") as connection:
            fork = read_number(connection)
            assert fork is not None
            os.kill(fork, signal.SIGTERM)
            ends.append(read_number(connection))

    assert ends == [-signal.SIGTERM] * 5


@pytest.mark.parametrize("seconds", ["600", "2"])
def test_a_signal_is_ignored_where_the_worker_ignores_it(warm: Warm, seconds: str) -> None:
    heard = seconds == "600"
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL if heard else signal.SIG_IGN)
    try:
        code = "import sys, time; print('begun', flush=True); time.sleep(int(sys.argv[1]))"
        run = subprocess.Popen(
            [*FORKED, "-P", "-c", code, seconds], env=warm.environment, text=True, stdout=subprocess.PIPE
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    assert run.stdout is not None
    run.stdout.readline()
    run.send_signal(signal.SIGHUP)

    assert ended(run) == (-signal.SIGHUP if heard else 0)


def test_forks_draw_different_numbers(warm: Warm) -> None:
    code = "import numpy; print(numpy.random.random())"
    runs = [
        subprocess.run([*FORKED, "-P", "-c", code], env=warm.environment, capture_output=True, check=True).stdout
        for _ in range(2)
    ]

    assert runs[0] != runs[1]


def test_a_warm_process_that_was_killed_is_begun_again_and_a_long_folder_is_no_obstacle(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("a" * 120)
    long.mkdir()
    monkeypatch.setattr("retrim_flows.warm.AGAIN_SECONDS", 0.1)
    with kept_warm(long, server) as warm:
        os.kill(warm.pid, signal.SIGKILL)
        code = "import sys; print('lightgbm' in sys.modules)"

        def is_warm() -> bool:
            command = [*FORKED, "-P", "-c", code]
            done = subprocess.run(command, env=warm.environment, capture_output=True, check=True)
            return done.stdout == b"True\n"

        until(is_warm)


def test_a_warm_process_that_cannot_be_started_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tried = []

    def fail(*command: object, **how: object) -> None:
        tried.append(0)
        raise BlockingIOError("no process is to be had")

    monkeypatch.setattr("retrim_flows.warm.AGAIN_SECONDS", 0.01)
    monkeypatch.setattr("retrim_flows.warm.subprocess.Popen", fail)
    with warm_process("", tmp_path / "not yet there"):
        until(lambda: len(tried) > 1)

    assert (
        "each run starts a process of its own, which takes longer: no process is to be had" in capsys.readouterr().out
    )


def test_a_worker_that_is_killed_leaves_no_socket(tmp_path: Path) -> None:
    kept = f"with warm_process('', Path({str(tmp_path)!r})): time.sleep(60)"
    code = f"import time; from pathlib import Path; from retrim_flows.warm import warm_process\n{kept}"
    path = os.pathsep.join([str(HOME), *sys.path])
    worker = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": path})
    until(lambda: list(tmp_path.glob("*/socket")))
    worker.kill()
    worker.wait()

    until(lambda: not list(tmp_path.iterdir()))


def test_a_run_whose_warm_process_was_killed_is_ended_and_the_next_is_a_process_of_its_own(
    server: str, tmp_path: Path
) -> None:
    with kept_warm(tmp_path, server) as warm:
        run = begin(tmp_path / "here", warm.environment, ends="never")
        fork = begun(tmp_path / "here", run)
        keeper = fork.parent()
        assert keeper is not None
        os.kill(warm.pid, signal.SIGKILL)
        keeper.kill()

        assert ended(run) == 1
        until(lambda: not fork.is_running())
        assert told(begin(tmp_path / "here", warm.environment))["warm"] is False
