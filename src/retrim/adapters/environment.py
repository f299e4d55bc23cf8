"""Python environments built from a lock file, each once: hash-checked packages, nothing else."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from retrim.adapters.reaper import start_reaper
from retrim.errors import RetrimError
from retrim.files import file_digest

COMPLETE = "complete"
GENTLE = 19  # how nice a process is that everything else may go before


def built_from(lock: Path, home: Path, *, gently: bool, say: Callable[[str], None]) -> Path:
    """The interpreter of the environment that `lock` describes, made under `home` if it is not there yet.

    Args:
        lock: Requirements with hashes.
        home: Where environments are kept, by hash of the lock and version of Python.
        gently: Whether everything else on this machine goes first.
        say: Told before the long part.

    Raises:
        RetrimError: It could not be built; the message is pip's own.
    """
    folder = home / f"{file_digest(lock)[:16]}-{platform.python_version()}"
    python = folder / "bin" / "python"
    if (folder / COMPLETE).exists():
        return python
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    say("building an environment from the recorded requirements.lock (a few minutes, once)")
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)], gently=gently)
    # Packages are compiled when they are first imported: compiling all of them takes longer than installing them.
    install = ["install", "--quiet", "--no-deps", "--no-compile", "--require-hashes", "-r", str(lock)]
    _run([sys.executable, "-m", "pip", "--python", str(python), *install], gently=gently)
    (folder / COMPLETE).touch()
    return python


def packages_in(python: Path) -> list[str]:
    """What is installed in an environment: `name==version`, sorted; none if it is no such folder."""
    found = python.parents[1].glob("lib/python*/site-packages/*.dist-info")
    return sorted(path.name.removesuffix(".dist-info").replace("-", "==", 1) for path in found)


def _run(command: list[str], *, gently: bool) -> None:
    start_reaper()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if gently:
        with suppress(psutil.Error):  # it has ended already
            psutil.Process(process.pid).nice(GENTLE)
    _, err = process.communicate()
    if process.returncode:
        raise RetrimError(f"the environment could not be built: {err.strip()[-2000:]}")
