"""Signs of life: locked files under `var/runs/`. The system frees the lock of a process, however that dies.

Who works with the DVC cache: runs and rebuilds side by side, or the one who prunes it, alone.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TextIO

import psutil

from retrim.adapters.processes import began, has_begun_at
from retrim.errors import BusyError, RefusedError
from retrim.files import make_private_folder
from retrim.lineage.workspace import Workspace

# Whoever looks whether a sign is held locks it for a moment; one who wants it tries again for this long.
TRIES, PAUSE_SECONDS = 20, 0.05
BEAT_SECONDS = 2.0
NEW_LINE = "\n"
CACHE_TRIES, CACHE_PAUSE_SECONDS = 10, 0.1


@contextmanager
def held_locks(workspace: Workspace, name: str) -> Iterator[TextIO]:
    """Holds a sign while something goes on; gives it.

    Raises:
        BusyError: Another process holds it.
    """
    sign = take_lock(workspace, name)
    try:
        yield sign
    finally:
        drop_lock(workspace, name, sign)


@contextmanager
def lock_beats(sign: TextIO) -> Iterator[None]:
    """Touches a sign again and again, so that others see whether the process that holds it still runs, or hangs."""

    def beat() -> None:
        with suppress(OSError):  # of a disk that is away for a moment: the next beat is heard
            os.utime(sign.fileno())

    with repeated(beat, every_seconds=BEAT_SECONDS, name="sign of life"):
        yield


@contextmanager
def repeated(work: Callable[[], None], *, every_seconds: float, name: str) -> Iterator[None]:
    """Does something again and again in a thread of its own, until the block ends; the first time after one pause."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(every_seconds):
            work()

    thread = threading.Thread(target=go_on, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def silent_for(workspace: Workspace, name: str) -> float:
    """Seconds since a sign was last touched; 0 if there is none."""
    try:
        return max(0.0, time.time() - _path(workspace, name).stat().st_mtime)
    except FileNotFoundError:
        return 0.0


def holder_of(workspace: Workspace, name: str) -> psutil.Process | None:
    """The process that took a sign; None if it is not known here, as when another machine shares the folder."""
    try:
        pid, noted = _path(workspace, name).read_text(encoding="utf-8").split()
        process = psutil.Process(int(pid))
        return process if has_begun_at(process, float(noted)) else None
    except (FileNotFoundError, ValueError, psutil.Error):
        return None


def take_lock(workspace: Workspace, name: str) -> TextIO:
    """Takes a sign; it is held until `drop`, or until this process dies.

    Raises:
        BusyError: Another process holds it.
    """
    path = _path(workspace, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        sign = path.open("a+", encoding="utf-8")
        if try_flock(sign, fcntl.LOCK_EX) and _is_at(sign, path):
            sign.truncate(0)
            sign.write(f"{os.getpid()}\n{began(psutil.Process())}\n")
            sign.flush()
            return sign
        sign.close()
        time.sleep(PAUSE_SECONDS)
    raise BusyError(f"{name} is in progress in another process ({_holder(path)}); wait until it ends, then try again")


def drop_lock(workspace: Workspace, name: str, sign: TextIO) -> None:
    """Gives a sign back."""
    _path(workspace, name).unlink(missing_ok=True)  # while it is locked, so that nobody else's is removed
    sign.close()


def is_alive(workspace: Workspace, name: str) -> bool:
    """Whether a process holds the sign."""
    try:
        sign = _path(workspace, name).open(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return False
    with sign:
        return not try_flock(sign, fcntl.LOCK_SH)


def was_taken(workspace: Workspace, name: str) -> bool:
    """Whether the sign was taken and never given back."""
    return _path(workspace, name).exists()


def left_behind(workspace: Workspace, prefix: str) -> list[str]:
    """Signs that begin so, were never given back, and that nobody holds: their processes were killed."""
    names = [path.stem for path in sorted(workspace.paths.runs.glob(f"{prefix}*.lock"))]
    return [name for name in names if not is_alive(workspace, name)]


def clear_lock(workspace: Workspace, name: str) -> None:
    """Removes the sign of something dead; one that another process has taken meanwhile stays."""
    path = _path(workspace, name)
    with suppress(FileNotFoundError), path.open(encoding="utf-8") as sign:
        if try_flock(sign, fcntl.LOCK_EX) and _is_at(sign, path):
            path.unlink()


def _path(workspace: Workspace, name: str) -> Path:
    return workspace.paths.runs / f"{name}.lock"


def try_flock(file: IO[Any], kind: int) -> bool:
    """Locks an open file as `kind` says (`fcntl.LOCK_EX` or `LOCK_SH`), unless somebody else holds it."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(sign: TextIO, path: Path) -> bool:
    """Whether the file we locked is the one that lies there, not one removed just before."""
    try:
        return os.fstat(sign.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        return f"process {path.read_text(encoding='utf-8').partition(NEW_LINE)[0]}"
    except FileNotFoundError:
        return "it ended just now"


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Waits until nobody else who asks so is at a folder; a kill ends the wait of others."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def using_cache(workspace: Workspace) -> Iterator[None]:
    """Keeps what is in the cache until the context ends; waits while it is being pruned, which takes seconds.

    The system gives the lock back when the process dies.
    """
    path = workspace.paths.var / "cache.lock"
    make_private_folder(path.parent)
    make_private_folder(workspace.paths.root / ".dvc" / "cache")  # copies of landed rows; one elsewhere may be shared
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        yield


@contextmanager
def alone_with_cache(workspace: Workspace) -> Iterator[None]:
    """Keeps everybody else from the cache until the context ends.

    Raises:
        RefusedError: A run or a rebuild is in progress.
    """
    path = workspace.paths.var / "cache.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as lock:
        for _ in range(CACHE_TRIES):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(CACHE_PAUSE_SECONDS)
                continue
            yield
            return
    raise RefusedError(
        "a run, a rebuild or another `retrim versions gc` is in progress in this workspace; wait until it ends, then "
        "try again"
    )
