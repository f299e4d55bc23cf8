"""Python environments built from a lock file, each once: hash-checked packages, nothing else."""

import fcntl
import json
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from retrim.adapters.processes import start_reaper
from retrim.adapters.wheel import LOCK, dependencies_in
from retrim.errors import RefusedError, RetrimError
from retrim.files import file_digest, write_file

COMPLETE = "complete"
UNLOCKED = {"pip", "retrim"}  # the installer, and our own code, which a rebuild takes from its run directory
LIST_PACKAGES = """
import importlib.metadata, json
print(json.dumps([(found.metadata["Name"], found.version) for found in importlib.metadata.distributions()]))
"""
GENTLE = 19  # how nice a process is that everything else may go before


def dependencies_of(run_directory: Path) -> Path:
    """The lock of what the code stands on: requirements.lock, or a copy without the wheel that is the code."""
    lock = run_directory / LOCK
    text = lock.read_text(encoding="utf-8")
    if dependencies_in(text) == text:
        return lock
    write_file(run_directory / "var" / LOCK, dependencies_in(text).encode())
    return run_directory / "var" / LOCK


def built_from(lock: Path, home: Path, *, gently: bool, say: Callable[[str], None]) -> Path:
    """The interpreter of the environment that `lock` describes, made under `home` if it is not there yet.

    Raises:
        RetrimError: It could not be built; the message is pip's own.
    """
    lock, home = lock.resolve(), home.resolve()
    folder = home / f"{file_digest(lock)[:16]}-{platform.python_version()}"
    home.mkdir(parents=True, exist_ok=True)
    with (home / f"{folder.name}.lock").open("a") as alone:  # another that builds the same is waited for
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not (folder / COMPLETE).exists():
            say("building an environment from the recorded requirements.lock (takes a few minutes, once)")
            _build(lock, folder, gently=gently)
    return folder / "bin" / "python"


def require_packages(python: Path, lock: Path) -> None:
    """Compares what is installed in an environment with the lock.

    Raises:
        RefusedError: A package is missing, has another version, or is not in the lock; names it.
    """
    installed, locked = _installed(python), _locked(lock)
    wrong = [
        f"{name} is {installed[name]}, but requirements.lock has {version}"
        if name in installed
        else f"{name} is not installed"
        for name, version in sorted(locked.items())
        if name not in installed or version not in (None, installed[name])
    ]
    wrong += [f"{name} is not in requirements.lock" for name in sorted(installed.keys() - locked.keys() - UNLOCKED)]
    if wrong:
        raise RefusedError(
            f"the environment in {python.parents[1]} differs from requirements.lock: {'; '.join(wrong[:5])}; remove "
            "that folder, and the next proof rebuilds the environment"
        )


def other_versions(lock: Path) -> tuple[str, ...]:
    """Packages that the running environment has in another version than a lock, a line each, sorted."""
    installed, locked = _installed(Path(sys.executable)), _locked(lock)
    both = sorted(installed.keys() & locked.keys())
    return tuple(
        f"{name} is {installed[name]}, but {LOCK} has {locked[name]}"
        for name in both
        if locked[name] not in (None, installed[name])
    )


def _build(lock: Path, folder: Path, *, gently: bool) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run([sys.executable, "-P", "-m", "venv", "--without-pip", str(folder)], lock.parent, gently=gently)
    # Packages are compiled when they are first imported: compiling all of them takes longer than installing them.
    install = ["install", "--quiet", "--no-deps", "--no-compile", "--require-hashes", "-r", str(lock)]
    _run(
        [sys.executable, "-P", "-m", "pip", "--python", str(folder / "bin" / "python"), *install],
        lock.parent,
        gently=gently,
    )
    (folder / COMPLETE).touch()


def _installed(python: Path) -> dict[str, str]:
    # -I: what PYTHONPATH and the working folder hold is not installed.
    done = subprocess.run([str(python), "-I", "-c", LIST_PACKAGES], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RetrimError(
            f"{python} cannot list its packages: {done.stderr.strip()[-500:]}; rebuild that Python environment"
        )
    return {canonicalize_name(name): version for name, version in json.loads(done.stdout) if name}


def _locked(lock: Path) -> dict[str, str | None]:
    """Packages that a lock asks for here, with their versions; None for one that is named by its address."""
    lines = dependencies_in(lock.read_text(encoding="utf-8")).replace("\\\n", " ").splitlines()
    written = [re.sub(r"\s+--hash=\S+", "", line).strip() for line in lines if not line.lstrip().startswith("#")]
    requirements = [Requirement(line) for line in written if line]
    here = [need for need in requirements if need.marker is None or need.marker.evaluate()]
    pinned = {canonicalize_name(need.name): [pin.version for pin in need.specifier] for need in here}
    return {name: versions[0] if versions else None for name, versions in pinned.items()}


def _run(command: list[str], folder: Path, *, gently: bool) -> None:
    start_reaper()
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if gently:
        with suppress(psutil.Error):  # it has ended already
            psutil.Process(process.pid).nice(GENTLE)
    _, err = process.communicate()
    if process.returncode:
        raise RetrimError(
            f"{command[3]} could not build the environment; correct its error, then try again: {err.strip()[-2000:]}"
        )
