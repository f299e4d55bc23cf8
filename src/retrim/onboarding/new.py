"""`retrim new`: a workspace in a folder of its own, with its own git repository and its own copy of the code."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import retrim
from retrim.adapters import git
from retrim.errors import BadInputError, RefusedError, RetrimError

NEEDED = (
    ".dvc/config", "Makefile", "dvc.yaml", "flows", "params.yaml", "pyproject.toml", "requirements.lock", "src/retrim",
)  # fmt: skip
"""What a workspace cannot do without: a run directory runs the code that lies in it."""
WHAT = "code, flows, settings, suites, dvc.yaml and lock"
"""What is laid, in the words of the command and of the documents."""
LEFT_OUT = ("tests/", "bench/", "docs/", "var/", ".venv/", "data/raw/", "data/candidate/", "data/champion/")
"""Of the project, not of a workspace."""


@dataclass(frozen=True)
class NewWorkspace:
    """A workspace that was laid.

    Args:
        root: Its folder.
        source: The checkout it was copied from.
        commit: Its first commit.
        files: How many there are.
    """

    root: Path
    source: Path
    commit: str
    files: int

    def as_record(self) -> dict[str, Any]:
        return {"root": str(self.root), "source": str(self.source), "commit": self.commit, "files": self.files}


def lay_workspace(folder: Path, *, source: Path | None) -> NewWorkspace:
    """Lays a workspace in `folder`, committed in a repository of its own: what `WHAT` says.

    Args:
        folder: A new or an empty one.
        source: A checkout of retrim; None: the one this code runs from.

    Raises:
        BadInputError: The folder holds something, or the source is no checkout.
        RefusedError: The folder lies inside a repository, or a file that is not committed looks like a secret.
    """
    own = source is None
    source = (source or Path(retrim.__file__).parents[2]).resolve()
    missing = [name for name in NEEDED if not (source / name).exists()]
    if missing:
        what = "this retrim is installed without its checkout" if own else f"{source} is no checkout of retrim"
        raise BadInputError(
            f"{what} (no {', '.join(missing[:3])} in {source}), and a workspace needs a copy of the code; clone the "
            "repository and name it: retrim new DIR --source CHECKOUT"
        )
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInputError(f"{folder} is there and not empty; name a new folder")
    _refuse_nested(folder)
    names = [name for name in _files(source) if not name.startswith(LEFT_OUT)]
    _refuse_secrets(source, names)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, folder / name)
        shutil.copymode(source / name, folder / name)
    git.git(folder, "init", "-q", "-b", "main")
    git.git(folder, "add", "-A")
    git.git(folder, *git.IDENTITY, "commit", "-q", "-m", "start")
    return NewWorkspace(folder, source, git.git(folder, "rev-parse", "HEAD"), len(names))


def _refuse_nested(folder: Path) -> None:
    above = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        top = git.git(above, "rev-parse", "--show-toplevel")
    except RetrimError:
        return
    raise RefusedError(
        f"{folder} lies inside the repository {top}, and a workspace is one of its own; name a folder outside"
    )


def _refuse_secrets(source: Path, names: list[str]) -> None:
    """What somebody laid beside the code for himself is not committed into a workspace that others may get."""
    try:
        committed = set(git.git(source, "ls-files", "-z", "--cached").split("\0"))
    except RetrimError:
        committed = set()
    for name in names:
        if name not in committed and git.looks_secret(source / name):
            raise RefusedError(
                f"untracked file {name} of {source} looks like a secret, and the workspace would commit it; "
                "add it to .gitignore there, or move it away"
            )


def _files(source: Path) -> list[str]:
    """Files of a checkout: those git does not ignore, or all where it is no repository."""
    try:
        listed = git.git(source, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    except RetrimError:
        found = (path for path in source.rglob("*") if "__pycache__" not in path.parts)
        return sorted(path.relative_to(source).as_posix() for path in found if path.is_file())
    return sorted(name for name in set(filter(None, listed.split("\0"))) if (source / name).is_file())
