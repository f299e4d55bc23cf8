"""Runs the parts of an installation under supervisord, which takes the place of this process, and looks how they are.

Two files stay open in it. One is a lock: a second one is refused. The other is the pipe of a reaper: however
supervisord ends, whatever descends from it is ended too.
"""

import fcntl
import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Sequence
from configparser import RawConfigParser
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import NoReturn, TextIO
from urllib.parse import urlsplit

from retrim.adapters.mlflow_server import bind
from retrim.adapters.processes import begin_reaper
from retrim.errors import BadInputError, BusyError, RefusedError, RetrimError
from retrim.files import make_private_folder, write_private
from retrim.lineage.locks import PAUSE_SECONDS, TRIES, held_locks, is_alive, try_flock
from retrim.lineage.workspace import Workspace, open_workspace, refuse_same_names
from retrim.operations.parts import Installation, Part, parts_of

LOCK, CONFIG = "lock", "supervisord.conf"
LOG_SIZE, OLDER_LOGS = "2MB", "2"
STOP_SECONDS = 25
ANSWER_SECONDS = 2
"""In which a part that runs lets somebody connect."""
START_SECONDS = 5
"""A part that ends sooner was not started: it is tried again after 1, 2, 3, ... seconds."""
FOR_EVER = 1_000_000
PIPE, HELD = 3, 4  # supervisord closes what it inherits from 5 on, and its children all of it


def take_installation(installation: Installation) -> TextIO:
    """The lock of an installation.

    Raises:
        RefusedError: It runs already.
    """
    make_private_folder(installation.up)
    lock = (installation.up / LOCK).open("a+", encoding="utf-8")
    for _ in range(TRIES):
        if try_flock(lock, fcntl.LOCK_EX):
            break
        time.sleep(PAUSE_SECONDS)  # a command that looks whether it runs holds it for a moment
    else:
        with lock:
            lock.seek(0)
            raise RefusedError(
                f"`retrim up` is already running for {installation.folder} (process {lock.read().strip()}); see what "
                "runs with `retrim up --show`, or stop it first"
            )
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock


def open_each(installation: Installation, *, say: Callable[[str], None]) -> list[Workspace]:
    """The workspaces that can be opened; of the others it is said why not.

    Raises:
        BadInputError: None can.
    """
    workspaces = []
    for root in installation.roots:
        try:
            workspaces.append(open_workspace(Path(root)))
        except (RetrimError, OSError) as error:  # such as a var/ that is a file, or lies on a disk that is read-only
            say(f"the workspace {root} is left out: {error}")
    if not workspaces:
        raise BadInputError(f"no workspace in {installation.folder} can be opened; correct the errors printed above")
    return workspaces


def hold_schedules(workspaces: Sequence[Workspace], stack: ExitStack, *, say: Callable[[str], None]) -> list[Workspace]:
    """The workspaces whose schedule this process now holds; of the others it is said why not.

    Raises:
        BusyError: Other processes hold all of them.
        OSError: The lock of none can be written.
    """
    held: list[Workspace] = []
    failed: BusyError | OSError | None = None
    for workspace in workspaces:
        try:
            stack.enter_context(held_locks(workspace, "schedule"))
        except (BusyError, OSError) as error:
            say(f"the workspace {workspace.paths.root} is left out: {error}")
            failed = error
        else:
            held.append(workspace)
    if failed is not None and not held:
        raise failed
    return held


def refuse_other_schedules(workspaces: Sequence[Workspace]) -> None:
    """Checks that no schedule of these runs, and that their models can be told apart.

    Raises:
        RefusedError: One runs.
        BadInputError: Two are of one name.
    """
    for workspace in workspaces:
        if is_alive(workspace, "schedule"):
            raise RefusedError(
                f"the schedule of {workspace.paths.root} is already running; stop the `retrim up` that started it first"
            )
    refuse_same_names([workspace.model for workspace in workspaces])


def refuse_taken_ports(installation: Installation) -> None:
    """Checks that nothing else listens where the parts are to.

    Raises:
        BadInputError: Something does; names the option that takes another port.
    """
    for option, number in installation.port_options.items():
        try:
            bind(number).close()
        except BadInputError as error:
            raise BadInputError(
                f"another process listens on port {number}; choose a different port with {option}, or 0 for a free port"
            ) from error


def runs_now(installation: Installation) -> bool:
    """Whether its lock is held."""
    with suppress(OSError), (installation.up / LOCK).open(encoding="utf-8") as lock:
        return not try_flock(lock, fcntl.LOCK_SH)
    return False


def become_supervisor(installation: Installation, lock: TextIO) -> NoReturn:
    """Runs the parts until SIGINT or SIGTERM, in the place of this process."""
    config = installation.up / CONFIG
    write_private(config, supervisor_config(installation).encode())
    reaper = begin_reaper()
    assert reaper.stdin is not None
    # First to high numbers, as each may lie in the other's place.
    high = [fcntl.fcntl(file.fileno(), fcntl.F_DUPFD_CLOEXEC, HELD + 1) for file in (reaper.stdin, lock)]
    for number, file in zip((PIPE, HELD), high, strict=True):
        os.dup2(file, number)
    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", str(config)]
    os.execv(sys.executable, command)  # noqa: S606  no shell is wanted


def supervisor_config(installation: Installation) -> str:
    """The configuration of supervisord; it holds no secret."""
    up = installation.up
    config = RawConfigParser()
    config["supervisord"] = _values(
        nodaemon="true",
        logfile=up / "supervisord.log",
        logfile_maxbytes=LOG_SIZE,
        logfile_backups=OLDER_LOGS,
        pidfile=up / "supervisord.pid",
        childlogdir=up,
        umask="077",
    )
    for part in parts_of(installation):
        config[f"program:{part.name}"] = _values(
            command=shlex.join(part.line),
            directory=installation.folder,
            autorestart="true",
            startsecs=str(START_SECONDS),
            startretries=str(FOR_EVER),
            stopasgroup="true",
            killasgroup="true",
            stopwaitsecs=str(STOP_SECONDS),
            redirect_stderr="true",
            stdout_logfile=log_of(installation, part.name),
            stdout_logfile_maxbytes=LOG_SIZE,
            stdout_logfile_backups=OLDER_LOGS,
        )
    text = StringIO()
    config.write(text)
    return text.getvalue()


def _values(**values: str | Path) -> dict[str, str]:
    """Values with the one sign doubled that supervisord replaces."""
    return {name: str(value).replace("%", "%%") for name, value in values.items()}


def log_of(installation: Installation, part: str) -> Path:
    """The file with what a part prints."""
    return installation.up / f"{part}.log"


@dataclass(frozen=True)
class PartSeen:
    """A part of `retrim up` and its state.

    Args:
        name: Name of the part.
        state: `runs`, `starts` (also again, after it ended) or `off`.
        address: Address on which it answers; empty if it has none.
        login: File that holds its login; empty if it needs none on this machine.
    """

    name: str
    state: str
    address: str
    login: str


def look_at_parts(installation: Installation) -> list[PartSeen]:
    """Every part, in order."""
    missing = "starts" if runs_now(installation) else "off"
    return [
        PartSeen(part.name, "runs" if _answers(installation, part) else missing, part.address or "", part.login or "")
        for part in parts_of(installation)
    ]


def _answers(installation: Installation, part: Part) -> bool:
    """Whether something listens at its address; of the worker, whether it holds the schedule of a workspace."""
    if part.address is None:
        return any(has_schedule(root) for root in installation.roots)
    place = urlsplit(part.address)
    try:
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=ANSWER_SECONDS):
            return True
    except OSError:
        return False


def has_schedule(root: str) -> bool:
    """Whether somebody carries out the schedule of a workspace."""
    workspace: Workspace
    try:
        workspace = open_workspace(Path(root))
    except Exception:  # noqa: BLE001  what is wrong with it doctor says
        return False
    return is_alive(workspace, "schedule")
