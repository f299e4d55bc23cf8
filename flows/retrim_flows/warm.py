"""Forks flow runs from a process that has loaded what they import: a run then takes neither a start nor imports.

The worker begins one, and `warm_run.py` asks it for each run, and for the page that a check keeps. It holds no lock and
no connection and knows of no workspace, so each fork begins as a process of its own would. Once a package on disk has
changed, it begins anew.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NoReturn

import retrim
from retrim_flows.warm_run import NUMBER, PASSED_ON, VARIABLE

COMMAND = (sys.executable, "-P", "-c", "from retrim_flows.warm import stay_warm; stay_warm()")
LOADED = (
    "alembic.command",
    "jinja2",
    "lightgbm",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "matplotlib.style",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.tracing.processor.base_mlflow",
    "prefect.flow_engine",
    "prefect.task_engine",
    "prefect.utilities.visualization",
    "retrim.cli.page",
    "retrim_flows.monitor",
)
"""What a check imports, sooner or later; what is missing here a fork imports."""
REQUEST_SECONDS = 5.0
"""In which a request has to be there whole."""


@dataclass(frozen=True)
class RunAsked:
    """A run that is asked for: the words after `python`, its folder and environment, its open input and outputs."""

    words: list[str]
    folder: str
    environment: dict[str, str]
    files: tuple[int, ...]


@contextmanager
def warm_process(path: str) -> Iterator[None]:
    """A warm process while the block lasts, for the runs of this Python; runs that it forked may outlive it.

    Args:
        path: Of their PYTHONPATH.
    """
    with TemporaryDirectory(prefix="retrim-warm-") as folder:
        place = str(Path(folder) / "socket")
        command = [*COMMAND, place]
        environment = {**os.environ, "PYTHONPATH": path}
        process = subprocess.Popen(command, stdin=subprocess.PIPE, cwd=folder, env=environment)
        os.environ[VARIABLE] = place  # the worker hands its environment to each run
        try:
            yield
        finally:
            os.environ.pop(VARIABLE, None)
            process.communicate()


@cache
def can_fork() -> bool:
    """Whether this system lets a process wait for another by a descriptor, as Linux does from 5.3 on."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return False
    return True


def stay_warm() -> NoReturn:
    """The warm process itself, `stay_warm SOCKET`: until its input is closed."""
    made_of = _packages()
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_IGN)  # they are for the runs; the worker's end is what ends it
    for name in LOADED:
        import_module(name)
    gc.freeze()  # else the first collection of a fork copies every page
    connection = _next_connection(sys.argv[-1], made_of)
    _become(_keep(connection))


def _next_connection(place: str, made_of: Mapping[str, int]) -> socket.socket:
    """In a fork for each: a connection to the script of a run."""
    signal.signal(signal.SIGCHLD, _reap)
    Path(place).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen(socket.SOMAXCONN)
        while True:
            ready, _, _ = select.select([listening, sys.stdin], [], [])
            if sys.stdin in ready:  # the worker has ended, perhaps without removing its folder
                rmtree(Path(place).parent, ignore_errors=True)
                sys.exit(0)
            connection, _ = listening.accept()
            with connection:
                if _packages() != made_of:
                    os.execv(sys.executable, [*COMMAND, place])  # noqa: S606  no shell is wanted
                with suppress(BlockingIOError):  # no process is to be had: the script tries it too
                    if os.fork() == 0:
                        return connection.dup()


def _reap(number: int, frame: FrameType | None) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _keep(connection: socket.socket) -> RunAsked:
    """In a fork again: what was asked for. Its parent keeps the connection, and ends it, or with it."""
    connection.settimeout(REQUEST_SECONDS)
    first, files, _, _ = socket.recv_fds(connection, NUMBER.size, 3)
    left, parts = NUMBER.unpack(first)[0], []
    while left:
        parts.append(connection.recv(left))
        left -= len(parts[-1])
    words, folder, environment = json.loads(b"".join(parts))
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    fork = os.fork()
    if fork == 0:
        connection.close()
        return RunAsked(words, folder, environment, tuple(files))
    for file in files:
        os.close(file)
    connection.sendall(NUMBER.pack(fork))
    ended = os.pidfd_open(fork)
    ready, _, _ = select.select([ended, connection], [], [])
    if ended not in ready:  # the script was killed
        os.kill(fork, signal.SIGKILL)
    _, status = os.waitpid(fork, 0)
    with suppress(OSError):
        connection.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _become(asked: RunAsked) -> NoReturn:
    """What `python WORDS` does in a process of its own, with `-m MODULE` or `-P -c CODE`."""
    from prefect.context import root_settings_context

    for number, file in enumerate(asked.files):
        os.dup2(file, number)
        os.close(file)
    for each in PASSED_ON:
        signal.signal(each, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(asked.folder)
    os.environ.clear()
    os.environ.update(asked.environment)
    kind, *rest = asked.words
    if kind == "-m":
        sys.path.insert(0, asked.folder)
        sys.argv = rest
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")  # that the module is loaded already
        with root_settings_context():
            runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    else:
        _, code, *rest = rest
        sys.argv = ["-c", *rest]
        exec(code, {"__name__": "__main__"})  # noqa: S102  as its user has asked
    sys.exit(0)


def _packages() -> dict[str, int]:
    """What would be imported now: our own files and the packages that are installed, and when each was written."""
    try:
        own = [file for package in (retrim.__file__, __file__) for file in Path(str(package)).parent.rglob("*.py")]
        installed = [info for place in sys.path for info in Path(place).glob("*.dist-info")]
        return {str(path): path.stat().st_mtime_ns for path in (*own, *installed)}
    except FileNotFoundError:  # it is being replaced
        return {}
