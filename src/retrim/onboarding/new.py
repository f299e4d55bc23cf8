"""`retrim new`: a workspace in a folder of its own, with its own git repository and the wheel of the code that runs."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from retrim import templates
from retrim.adapters import git
from retrim.adapters.dvc import run_dvc
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import write_file
from retrim.wheel import CODE, GRAPH, LOCK, NOTE, Wheel, running_wheel

WHAT = "settings, stages, lock and the wheel of retrim"
"""What is laid, in the words of the command and of the documents."""
FILES = {
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvc/config": "[core]\n    analytics = false\n    check_update = false\n    autostage = false\n",
    ".dvcignore": "# What DVC need not look at.\nvar\n.venv\n",
    ".gitignore": ".venv/\nvar/\n__pycache__/\n.env\n",
    "data/.gitignore": "/candidate\n/champion\n/code\n/former\n/raw\n/table.parquet\n/view.parquet\n",
    "params.yaml": (files(templates) / "params.yaml").read_text(encoding="utf-8"),
}


@dataclass(frozen=True)
class NewWorkspace:
    """A workspace that was laid.

    Args:
        root: Its folder.
        code: The name of the wheel that is its code.
        commit: Its first commit.
        files: How many were committed.
    """

    root: Path
    code: str
    commit: str
    files: int

    def as_record(self) -> dict[str, Any]:
        return {"root": str(self.root), "code": self.code, "commit": self.commit, "files": self.files}


def lay_workspace(folder: Path) -> NewWorkspace:
    """Lays a workspace in `folder`, committed in a repository of its own: what `WHAT` says.

    It is made beside `folder` and moved there once it is whole. Two at once lay one after the other.

    Args:
        folder: A new or an empty one.

    Raises:
        BadInputError: The folder holds something, or is none.
        RefusedError: The folder lies inside a repository, or the code that runs is not whole.
    """
    folder = folder.resolve()
    _refuse_taken(folder)
    _refuse_nested(folder)
    wheel = running_wheel()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone_in(folder.parent):
        _refuse_taken(folder)  # by another, in the meantime
        fresh = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)  # what one that was killed has left
        try:
            fresh.mkdir()
            commit, count = _lay(fresh, wheel)
            _move(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return NewWorkspace(folder, wheel.name, commit, count)


def _lay(folder: Path, wheel: Wheel) -> tuple[str, int]:
    for name, text in FILES.items():
        write_file(folder / name, text.encode())
    git.git(folder, "init", "-q", "-b", "main")
    lay_code(folder, wheel)
    git.git(folder, "add", "-A")
    git.git(folder, *git.IDENTITY, "commit", "-q", "-m", "start")
    return git.git(folder, "rev-parse", "HEAD"), len(git.git(folder, "ls-files").splitlines())


def lay_code(root: Path, wheel: Wheel) -> list[str]:
    """Puts a wheel into the data/code/ of a workspace, under DVC; gives the files that git has to keep for it."""
    shutil.rmtree(root / CODE, ignore_errors=True)
    write_file(root / CODE / wheel.name, wheel.content)
    run_dvc(root, "add", "--quiet", CODE)
    write_file(root / LOCK, wheel.workspace_lock.encode())
    write_file(root / GRAPH, wheel.graph)
    return [NOTE, LOCK, GRAPH]


def _move(fresh: Path, folder: Path) -> None:
    """Moves a whole workspace into place; into a folder that is there, params.yaml last: without it, it is none."""
    if not folder.exists():
        fresh.rename(folder)
        return
    for path in sorted(fresh.iterdir(), key=lambda path: path.name == "params.yaml"):
        path.rename(folder / path.name)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Waits until no other `retrim new` lays a workspace in this folder; a kill ends the wait of others."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _refuse_taken(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInputError(f"{folder} is there and not empty; name a new folder")


def _refuse_nested(folder: Path) -> None:
    above = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not above.is_dir():
        raise BadInputError(f"{above} is a file; name a new folder")
    try:
        top = git.git(above, "rev-parse", "--show-toplevel")
    except RetrimError:
        return
    raise RefusedError(
        f"{folder} lies inside the repository {top}, and a workspace is one of its own; name a folder outside"
    )
