"""What of a workspace is in a backup, and what is not, with the reason."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from retrim.adapters import dvc, dvc_cache, git
from retrim.environment import value_files
from retrim.lineage.workspace import Workspace
from retrim.operations.backup_record import LeftOut
from retrim.reading.address import address_of, is_address, open_system

ASIDE = "backup"
NOT_KEPT = {
    "up": "state and logs of earlier processes",
    "runs": "run directories and locks; a run in progress is finished or started again by the next check",
    "tmp": "temporary copies made by a running command",
    "trials": "logs from which a killed search resumes",
    "prefect": "Prefect's records of runs; the schedule creates new ones, with a new login",
    "environments": "Python environments, which are rebuilt from the versions' lock files",
    "predict": "notes of which files were predicted; the same command predicts them again",
    "demo": "a separate workspace",
    "policy": "fits of policy backtests, which can be repeated",
    "exports": "exported versions, which can be exported again",
    "init": "settings from before the table was last described",
    "upgrade": "files that an upgrade replaced",
    "ui": "the password and logs of the web pages",
    ASIDE: "temporary copies made by a running backup",
}
"""By folder of `var/`. What is not named here, nor is a lock or a secret, is in a backup."""
APART = ("inbox", "quarantine", "landing", "serve", "predictions", "mlflow", "keys")
"""Folders of `var/` that are copied as parts of their own."""
DVC_SETTINGS = ".dvc/config.local"
APART_FROM_GIT = ("var/", ".dvc/cache/", ".dvc/tmp/", DVC_SETTINGS)
"""What is never taken for an edit of the repository, also where git does not ignore it."""
PRIVATE_KEY = "*.key"
SECRET = "it is a secret or may hold one; keep a copy elsewhere"  # noqa: S105  says why a file is left out
DATABASES = (".db", ".db-journal", ".db-wal", ".db-shm")
"""Endings of files of `var/` that are not copied as files."""
CHANGE_KEYS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "modify", "modified", "updated")
"""What systems of fsspec call the tag of a content, or the moment of its last change."""
TEMPORARY = re.compile(r"\.lock|\.tmp-.*|\..*\.new|[0-9a-f]{16}\.new", re.DOTALL)
"""Names that retrim gives to locks, and to files that it is writing."""


@dataclass(frozen=True)
class SourceFile:
    """A file that is to be in a backup.

    Args:
        place: Where it lies, as seen from the workspace.
        state: What tells one content of it from another; empty where its system says nothing of that.
        path: Its path, where it lies on this machine.
    """

    place: str
    open: Callable[[], BinaryIO]
    mode: int
    state: str
    path: Path | None = None


Part = Callable[[], Iterator[SourceFile]]
"""Lists the files of a part of the workspace; again where one of them goes while it is copied."""


def requests_and_predictions(workspace: Workspace) -> list[Part]:
    """Answers not stored yet, then predictions: a server moves them in that order."""
    serve = partial(_in_folder, workspace.paths.var / "serve", "var/serve")
    return [serve, partial(_at, workspace, workspace.env.predictions, "predictions")]


def arrived_files(workspace: Workspace) -> Iterator[SourceFile]:
    """Inbox, quarantine and landing zone, as they are at one moment: nothing lands while they are listed."""
    paths = workspace.paths
    with workspace.landing.locked_here():
        files = [
            *(file for file in _in_folder(paths.inbox, "var/inbox") if "/taken/" not in file.place),
            *_in_folder(paths.quarantine, "var/quarantine"),
            *(file for file in _in_folder(paths.landing, "var/landing") if "/.index/" not in file.place),
        ]
    return iter(files)


def other_parts(workspace: Workspace) -> list[Part]:
    """All other folders of `var/`, public keys, the files of MLflow, and DVC's cache whole, also where it is shared."""
    keys = workspace.paths.keys
    return [
        lambda: (file for file, path in _others(workspace) if not git.looks_secret(path)),
        lambda: (file for file in _in_folder(keys, "var/keys") if file.place.endswith(".pub")),
        partial(_at, workspace, workspace.env.mlflow_artifacts, "mlflow"),
        lambda: _in_folder(dvc_cache.cache_folder(workspace.paths.root), ".dvc/cache"),
    ]


def files_of_variables(workspace: Workspace) -> set[Path]:
    """Whole paths of files that variables such as `RETRIM_ALERTS_FILE` name: each holds a secret."""
    alerts = workspace.env.alerts_file
    files = [*value_files(), *([] if alerts is None else [alerts])]
    return {(base / file).resolve() for file in files for base in (workspace.paths.root, Path.cwd())}


def is_secret(path: Path) -> bool:
    """Whether a file of the working folder looks like a key or a password."""
    return _is_plain_file(path) and git.looks_secret(path)


def left_out(workspace: Workspace, changed: list[str]) -> Iterator[LeftOut]:
    """What is not in a backup of this workspace, of what is there."""
    paths = workspace.paths
    for name, why in NOT_KEPT.items():
        if name != ASIDE and (paths.var / name).exists():
            yield LeftOut(what=f"var/{name}", why=why)
    if (paths.inbox / "taken").is_dir():
        yield LeftOut(what="var/inbox/taken", why="files that have landed already")
    if dvc.has_remote(paths.root):
        yield LeftOut(what="the DVC remote", why="it is a separate copy; the local cache is in the backup")
    yield LeftOut(what=".git/config", why="addresses of remotes may hold a password; set remotes again")
    named = [path for path in files_of_variables(workspace) if path.is_relative_to(paths.root.resolve())]
    secret = [*paths.keys.glob(PRIVATE_KEY), paths.root / DVC_SETTINGS]
    secret += [paths.root.resolve() / name for name in changed if is_secret(paths.root / name)]
    secret += [path for _, path in _others(workspace) if git.looks_secret(path)]
    files = {path.resolve() for path in (*named, *secret) if path.is_file()}
    for file in sorted(files):
        yield LeftOut(what=os.path.relpath(file, paths.root.resolve()), why=SECRET)
    for name in changed:
        if (paths.root / name).is_symlink():
            yield LeftOut(what=name, why="it is a symbolic link; commit it, and git keeps it")


def in_working_folder(workspace: Workspace, names: list[str]) -> Iterator[SourceFile]:
    """Files of the working folder by name."""
    for name in names:
        with suppress(FileNotFoundError):
            if _is_plain_file(workspace.paths.root / name):
                yield _source_file(workspace.paths.root / name, name)


def _is_plain_file(path: Path) -> bool:
    """Whether a file lies there itself, and not a link to one, which may lie outside of the workspace."""
    return path.is_file() and not path.is_symlink()


def _at(workspace: Workspace, where: str | None, name: str) -> Iterator[SourceFile]:
    """What lies in a folder of `var/`, or of this model where the environment names another place."""
    if where is None:
        return _in_folder(workspace.paths.var / name, f"var/{name}")
    files = _at_address(where, f"var/{name}") if is_address(where) else _in_folder(Path(where), f"var/{name}")
    folders = (workspace.model, f"model={workspace.model}")  # others may share the place
    return (file for file in files if file.place.split("/")[2].partition("~")[0] in folders)


def _others(workspace: Workspace) -> Iterator[tuple[SourceFile, Path]]:
    """Files of `var/` that belong to no part of their own, with where each lies."""
    var = workspace.paths.var
    for path in sorted(var.iterdir()):
        if path.is_dir() and path.name not in {*NOT_KEPT, *APART}:
            for file in _in_folder(path, f"var/{path.name}"):
                yield file, workspace.paths.root / file.place
        elif _is_plain_file(path) and not path.name.endswith((".lock", *DATABASES)):
            yield _source_file(path, f"var/{path.name}"), path


def _in_folder(folder: Path, place: str) -> Iterator[SourceFile]:
    """Files of a folder but locks, and those that are being written."""
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent) / name
            if TEMPORARY.fullmatch(name) or path.is_symlink():
                continue
            with suppress(FileNotFoundError):
                yield _source_file(path, f"{place}/{path.relative_to(folder).as_posix()}")


def _source_file(path: Path, place: str) -> SourceFile:
    facts = path.stat()
    state = f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ino}"
    return SourceFile(place, lambda: path.open("rb"), facts.st_mode & 0o777, state, path)


def content_state(facts: Mapping[str, Any]) -> str:
    """What tells one content of a file from another, of what a system of fsspec says of it; empty: nothing."""
    change = next((facts[key] for key in CHANGE_KEYS if facts.get(key)), None)
    return "" if change is None else f"{facts.get('size')} {change}"


def _at_address(where: str, place: str) -> Iterator[SourceFile]:
    system, root = open_system(address_of(where))
    system.invalidate_cache()
    if not system.exists(root):
        return
    for name, facts in sorted(system.find(root, detail=True).items()):
        below = name.removeprefix(root).strip("/")
        yield SourceFile(f"{place}/{below}", partial(system.open, name, "rb"), 0o600, content_state(facts))
