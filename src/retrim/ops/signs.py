"""Signs of life: locked files under `var/runs/`. The system frees the lock of a process, however that dies."""

import fcntl
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import psutil

from retrim.errors import BusyError
from retrim.ops.house import House

# Whoever looks whether a sign is held locks it for a moment; one who wants it tries again for this long.
TRIES, PAUSE_SECONDS = 20, 0.05
BEAT_SECONDS = 2.0
NEW_LINE = "\n"


@contextmanager
def held(house: House, name: str) -> Iterator[TextIO]:
    """Holds a sign while something goes on; gives it.

    Raises:
        BusyError: Another process holds it.
    """
    sign = take(house, name)
    try:
        yield sign
    finally:
        drop(house, name, sign)


@contextmanager
def beating(sign: TextIO) -> Iterator[None]:
    """Touches a sign again and again, so that others see whether the process that holds it still runs, or hangs."""
    over = threading.Event()

    def beat() -> None:
        while not over.wait(BEAT_SECONDS):
            os.utime(sign.fileno())

    thread = threading.Thread(target=beat, name="sign of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def silent_for(house: House, name: str) -> float:
    """Seconds since a sign was last touched; 0 if there is none."""
    try:
        return max(0.0, time.time() - _path(house, name).stat().st_mtime)
    except FileNotFoundError:
        return 0.0


def holder_of(house: House, name: str) -> psutil.Process | None:
    """The process that took a sign; None if it is not known here, as when another machine shares the folder."""
    try:
        pid, began = _path(house, name).read_text(encoding="utf-8").split()
        process = psutil.Process(int(pid))
        return process if process.create_time() == float(began) else None
    except (FileNotFoundError, ValueError, psutil.Error):
        return None


def take(house: House, name: str) -> TextIO:
    """Takes a sign; it is held until `drop`, or until this process dies.

    Raises:
        BusyError: Another process holds it.
    """
    path = _path(house, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(TRIES):
        sign = path.open("a+", encoding="utf-8")
        if _locked(sign, fcntl.LOCK_EX) and _is_at(sign, path):
            sign.truncate(0)
            sign.write(f"{os.getpid()}\n{psutil.Process().create_time()}\n")
            sign.flush()
            return sign
        sign.close()
        time.sleep(PAUSE_SECONDS)
    raise BusyError(f"{name} is going on in another process ({_holder(path)}); wait for it")


def drop(house: House, name: str, sign: TextIO) -> None:
    """Gives a sign back."""
    _path(house, name).unlink(missing_ok=True)  # while it is locked, so that nobody else's is removed
    sign.close()


def is_alive(house: House, name: str) -> bool:
    """Whether a process holds the sign."""
    try:
        sign = _path(house, name).open(encoding="utf-8")
    except FileNotFoundError:
        return False
    with sign:
        return not _locked(sign, fcntl.LOCK_SH)


def was_taken(house: House, name: str) -> bool:
    """Whether the sign was taken and never given back."""
    return _path(house, name).exists()


def left_behind(house: House, prefix: str) -> list[str]:
    """Signs that begin so, were never given back, and that nobody holds: their processes were killed."""
    names = [path.stem for path in sorted(house.workspace.runs.glob(f"{prefix}*.lock"))]
    return [name for name in names if not is_alive(house, name)]


def clear(house: House, name: str) -> None:
    """Removes the sign of something that is known to be dead."""
    _path(house, name).unlink(missing_ok=True)


def _path(house: House, name: str) -> Path:
    return house.workspace.runs / f"{name}.lock"


def _locked(sign: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(sign, kind | fcntl.LOCK_NB)
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
