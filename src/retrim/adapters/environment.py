"""Python environments built from a lock file, each once: hash-checked packages, nothing else."""

import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from retrim.errors import RetrimError
from retrim.files import file_digest

COMPLETE = "complete"


def built_from(lock: Path, home: Path, *, say: Callable[[str], None]) -> Path:
    """The interpreter of the environment that `lock` describes, made under `home` if it is not there yet.

    Args:
        lock: Requirements with hashes.
        home: Where environments are kept, by hash of the lock and version of Python.
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
    _run([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    # Packages are compiled when they are first imported: compiling all of them takes longer than installing them.
    install = ["install", "--quiet", "--no-deps", "--no-compile", "--require-hashes", "-r", str(lock)]
    _run([sys.executable, "-m", "pip", "--python", str(python), *install])
    (folder / COMPLETE).touch()
    return python


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RetrimError(f"the environment could not be built: {done.stderr.strip()[-2000:]}")
