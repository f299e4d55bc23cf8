"""Forks flow runs from a process that has loaded what they import: a run then takes neither a start nor imports.

The worker begins one, and `warm_run.py` asks it for each run, and for the page that a check keeps. It holds no lock and
no connection and knows of no workspace, so each fork begins as a process of its own would. Once a package on disk has
changed, it begins anew.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
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

import numpy as np

import retrim
from retrim.files import file_state
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
    "retrim_flows.monitor",
)
"""What a check imports, sooner or later; what is missing here a fork imports."""
AGAIN_SECONDS = 10.0
"""After which one that has ended is begun again, as packages may be replaced just then."""
REQUEST_SECONDS = 5.0
"""In which a request has to be there whole."""
CODES: list[int] = []
"""The exit code of this process, a fork, once it is known."""


@dataclass(frozen=True)
class RunAsked:
    """A run that is asked for.

    Args:
        words: Those after `python`.
        folder: In which it works.
        environment: Its variables.
        ignored: Signals that it ignores.
        files: Its open input and outputs.
    """

    words: list[str]
    folder: str
    environment: dict[str, str]
    ignored: list[int]
    files: tuple[int, ...]


@contextmanager
def warm_process(path: str, below: Path) -> Iterator[None]:
    """A warm process while the block lasts, for the runs of this Python; runs that it forked may outlive it.

    One that ends is begun again.

    Args:
        path: Of their PYTHONPATH.
        below: Where the folder of its socket is made; what lies in a system's folder for temporary files may be removed
            after some days.
    """
    over = threading.Event()
    below.mkdir(parents=True, exist_ok=True)  # Prefect's server may be another's
    with TemporaryDirectory(prefix="warm-", dir=below) as folder:
        place = str(Path(folder) / "socket")
        environment = {**os.environ, "PYTHONPATH": path}
        begun: list[subprocess.Popen[bytes]] = []

        def mind() -> None:
            while not over.is_set():
                try:
                    process = subprocess.Popen([*COMMAND, place], stdin=subprocess.PIPE, cwd=folder, env=environment)
                except OSError as error:
                    print(f"each run starts a process of its own, which takes longer: {error}", flush=True)
                else:
                    with process:
                        begun[:] = [process]
                        if over.is_set():
                            process.kill()
                        process.wait()
                over.wait(AGAIN_SECONDS)

        os.environ[VARIABLE] = place  # the worker hands its environment to each run
        minder = threading.Thread(target=mind, name="warm", daemon=True)
        minder.start()
        try:
            yield
        finally:
            os.environ.pop(VARIABLE, None)
            over.set()
            for process in begun:
                process.kill()
            minder.join()


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
    atexit.register(_leave)  # before what is imported registers anything, and so called after all that
    made_of = _packages()
    for number in PASSED_ON:
        signal.signal(number, signal.SIG_IGN)  # they are for the runs; the worker's end is what ends it
    for name in LOADED:
        import_module(name)
    gc.freeze()  # else the first collection of a fork copies every page
    connection = _next_connection(sys.argv[-1], made_of)
    _become(_keep(connection))


def _next_connection(place: str, made_of: Mapping[str, tuple[int, ...]]) -> socket.socket:
    """In a fork for each: a connection to the script of a run."""
    signal.signal(signal.SIGCHLD, _reap)
    _reap()  # forks of what this process was before
    Path(place).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(Path(place).name)  # in the working folder, as an address has 107 bytes at most
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
                with suppress(OSError):  # no process is to be had: the script tries it too
                    if os.fork() == 0:
                        return connection.dup()


def _reap(number: int = 0, frame: FrameType | None = None) -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _keep(connection: socket.socket) -> RunAsked:
    """In a fork again, once its script knows of it: what was asked for. Its parent keeps the connection until its end.

    A script that is not told runs the words itself, so a fork that could not be told does not begin.
    """
    connection.settimeout(REQUEST_SECONDS)
    asked = _read_request(connection)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # the fork hears them once it can
    may_begin, begin = os.pipe()
    fork = os.fork()
    if fork == 0:
        os.close(begin)
        if not os.read(may_begin, 1):
            os._exit(0)
        os.close(may_begin)
        connection.close()
        return asked
    ended = os.pidfd_open(fork)
    with Path(os.devnull).open("r+b") as nothing:
        for number in (0, 1, 2):  # whoever reads what the worker prints does not wait for this
            os.dup2(nothing.fileno(), number)
    for file in asked.files:
        os.close(file)
    with suppress(OSError):
        connection.sendall(NUMBER.pack(fork))
        os.write(begin, b"1")
    os.close(begin)
    ends: list[int | socket.socket] = [ended, connection]
    ready, _, _ = select.select(ends, [], [])
    if ended not in ready:  # the script was killed
        os.kill(fork, signal.SIGKILL)
    _, status = os.waitpid(fork, 0)
    with suppress(OSError):
        connection.sendall(NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _read_request(connection: socket.socket) -> RunAsked:
    """What was asked for; where the script has gone before it has said all, this process ends."""
    first, files, _, _ = socket.recv_fds(connection, NUMBER.size, 3)
    left = NUMBER.unpack(first)[0] if len(first) == NUMBER.size else 0
    read = bytearray()
    while left > len(read) and (part := connection.recv(left - len(read))):
        read += part
    if not left or left > len(read):
        os._exit(0)
    words, folder, environment, ignored = json.loads(read)
    return RunAsked(words, folder, environment, ignored, tuple(files))


def _become(asked: RunAsked) -> NoReturn:
    """What `python WORDS` does in a process of its own, with `-m MODULE` or `-P -c CODE`."""
    from prefect.context import root_settings_context

    for number, file in enumerate(asked.files):
        os.dup2(file, number)
        os.close(file)
    for each in PASSED_ON:
        heard = signal.default_int_handler if each == signal.SIGINT else signal.SIG_DFL
        signal.signal(each, signal.SIG_IGN if each in asked.ignored else heard)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
    np.random.seed()  # noqa: NPY002  else what draws without a seed of its own draws the same in every fork
    os.chdir(asked.folder)
    os.environ.clear()
    os.environ.update(asked.environment)
    kind, *rest = asked.words
    try:
        if kind == "-m":
            sys.path.insert(0, asked.folder)
            sys.argv = rest
            warnings.filterwarnings("ignore", category=RuntimeWarning, module="runpy")  # that it is loaded already
            with root_settings_context():
                runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
        else:
            _, code, *rest = rest
            sys.argv = ["-c", *rest]
            exec(code, {"__name__": "__main__"})  # noqa: S102  as its user has asked
        sys.exit(0)
    except SystemExit as ended:
        if ended.code is None or isinstance(ended.code, int):  # anything else is printed first
            CODES.append((ended.code or 0) & 0xFF)
        raise


def _leave() -> None:
    """Ends a fork that has its exit code, once all else that was to be done at its end is done.

    Python would take everything apart now, and so copy each page that the fork shares: a fifth of the cost of a check.
    """
    if CODES:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(CODES[0])


def _packages() -> dict[str, tuple[int, ...]]:
    """What would be imported now: our own files and the packages that are installed, and when each was written."""
    own = [file for package in (retrim.__file__, __file__) for file in Path(str(package)).parent.rglob("*.py")]
    installed = [info for place in sys.path for info in Path(place).glob("*.dist-info")]
    return {str(path): file_state(path) for path in (*own, *installed)}
