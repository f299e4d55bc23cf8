"""What of a workspace is in a backup, and what is not, with the reason."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from retrim.adapters import dvc, git
from retrim.lineage.workspace import Workspace
from retrim.operations.backup_record import LeftOut
from retrim.reading.address import address_of, is_address, open_system
from retrim.settings import value_files

GIT_SETTINGS, DVC_SETTINGS = ".git/config", ".dvc/config.local"
ASIDE = "backup"
NOT_KEPT = {
    "up": "state and logs of earlier processes",
    "runs": "run directories and locks; a run in progress is finished or started again by the next check",
    "tmp": "temporary copies made by a running command",
    "trials": "logs from which a killed search resumes",
    "prefect": "Prefect's records of runs; the schedule creates new ones, with a new login",
    "environments": "Python environments, which are rebuilt from the versions' lock files",
    "predict": "parts of interrupted predictions; the same command starts over",
    "demo": "a separate workspace",
    "policy": "fits of policy backtests, which can be repeated",
    "exports": "exported versions, which can be exported again",
    "init": "settings from before the table was last described",
    "upgrade": "files that an upgrade replaced",
    "ui": "logs of the web pages",
    ASIDE: "temporary copies made by a running backup",
}
"""By folder of `var/`. What is not named here, nor is a lock, is in a backup."""
APART = ("inbox", "quarantine", "landing", "serve", "predictions", "mlflow", "keys")
"""Folders of `var/` that are copied as parts of their own."""
APART_FROM_GIT = ("var/", ".dvc/cache/", ".dvc/tmp/", DVC_SETTINGS)
"""What is never taken for an edit of the repository, also where git does not ignore it."""
PRIVATE_KEY = "*.key"
DATABASES = (".db", ".db-journal", ".db-wal", ".db-shm")
"""Endings of files of `var/` that are not copied as files."""
TOLD_BY = ("ETag", "etag", "mtime", "LastModified", "last_modified", "modify", "modified", "updated")
"""What systems of fsspec call the tag of a content, or the moment of its last change."""
TEMPORARY = re.compile(r"\.lock|\.tmp-.*|\..*\.new|[0-9a-f]{16}\.new", re.DOTALL)
"""Names that retrim gives to locks, and to files that it is writing."""


@dataclass(frozen=True)
class FoundFile:
    """A file that is to be in a backup.

    Args:
        place: Where it lies, as seen from the workspace.
        opened: Opens it for reading.
        mode: Its rights.
        state: What tells one content of it from another, as its system says; empty where it says nothing of that.
        path: Its path, where it lies on this machine.
    """

    place: str
    opened: Callable[[], BinaryIO]
    mode: int
    state: str
    path: Path | None = None


Listed = Callable[[], Iterator[FoundFile]]


def requests_and_predictions(workspace: Workspace) -> list[Listed]:
    """Answers not stored yet, then predictions: a server moves them in that order."""
    serve = partial(_in_folder, workspace.paths.var / "serve", "var/serve")
    return [serve, partial(_at, workspace, workspace.env.predictions, "predictions")]


def what_came(workspace: Workspace) -> list[Listed]:
    """Inbox, quarantine and landing zone, as they are at one moment: nothing lands while they are listed."""

    def listed() -> Iterator[FoundFile]:
        paths = workspace.paths
        with workspace.landing.locked_here():
            found = [
                *(each for each in _in_folder(paths.inbox, "var/inbox") if "/taken/" not in each.place),
                *_in_folder(paths.quarantine, "var/quarantine"),
                *(each for each in _in_folder(paths.landing, "var/landing") if "/.index/" not in each.place),
            ]
        return iter(found)

    return [listed]


def the_rest(workspace: Workspace) -> list[Listed]:
    """All other folders of `var/`, public keys, the files of MLflow, and DVC's cache."""
    return [
        lambda: (each for each, path in _others(workspace) if not git.looks_secret(path)),
        partial(_public_keys, workspace),
        partial(_at, workspace, workspace.env.mlflow_artifacts, "mlflow"),
        partial(_cache, workspace),
    ]


def files_of_variables(workspace: Workspace) -> set[Path]:
    """Files that variables such as `RETRIM_ALERTS_FILE` name: each holds a secret, whatever it looks like."""
    told = workspace.env.alerts_file
    return {
        *_resolved(workspace, *value_files(), *([] if told is None else [told])),
        *passphrase_files(workspace),
    }


def passphrase_files(workspace: Workspace) -> set[Path]:
    """The file with the passphrase of backups, which none of them contains."""
    file = workspace.env.backup_passphrase_file
    return set() if file is None else _resolved(workspace, file)


def _resolved(workspace: Workspace, *files: Path) -> set[Path]:
    """Whole paths: of a relative one, both in the workspace and in the working directory."""
    return {(base / file).resolve() for file in files for base in (workspace.paths.root, Path.cwd())}


def is_one_of(path: Path | None, files: set[Path]) -> bool:
    """Whether a path leads to one of these files, whose paths are whole."""
    if path is None or not (path.is_symlink() or path.name in {file.name for file in files}):
        return False
    return path.resolve() in files


def secret_files(workspace: Workspace, changed: list[str]) -> dict[str, bytes]:
    """Keys, passwords and settings that may hold one, by where they lie."""
    paths, apart = workspace.paths, passphrase_files(workspace)
    root = paths.root.resolve()
    files = [*sorted(paths.keys.glob(PRIVATE_KEY)), paths.ui_password, paths.root / DVC_SETTINGS]
    inside = [file.relative_to(root) for file in files_of_variables(workspace) if file.is_relative_to(root)]
    files += [paths.root / file for file in sorted(inside) if ".git" not in file.parts]
    files += [paths.root / name for name in changed if is_secret(paths.root / name)]
    files += [path for _, path in _others(workspace) if git.looks_secret(path)]
    files = [path for path in files if path.is_file() and not is_one_of(path, apart)]
    found = {path.relative_to(paths.root).as_posix(): path.read_bytes() for path in files}
    own = git.own_settings(paths.root)
    return {**found, **({GIT_SETTINGS: own.encode()} if own else {})}


def is_secret(path: Path) -> bool:
    """Whether a file of the working folder looks like a key or a password."""
    return _is_own_file(path) and git.looks_secret(path)


def left_out(workspace: Workspace, changed: list[str]) -> list[LeftOut]:
    """What is not in a backup of this workspace, of what is there."""
    there = [
        LeftOut(what=f"var/{name}", why=why)
        for name, why in NOT_KEPT.items()
        if name != ASIDE and (workspace.paths.var / name).exists()
    ]
    taken = workspace.paths.inbox / "taken"
    if taken.is_dir():
        there.append(LeftOut(what="var/inbox/taken", why="files that have landed already"))
    if dvc.has_remote(workspace.paths.root):
        there.append(LeftOut(what="the DVC remote", why="it is a separate copy; the local cache is in the backup"))
    root = workspace.paths.root.resolve()
    there += [
        LeftOut(what=file.relative_to(root).as_posix(), why="it holds the passphrase; keep a copy elsewhere")
        for file in sorted(passphrase_files(workspace))
        if file.is_file() and file.is_relative_to(root)
    ]
    links = [name for name in changed if (workspace.paths.root / name).is_symlink()]
    return [*there, *(LeftOut(what=name, why="it is a symbolic link; commit it, and git keeps it") for name in links)]


def in_working_folder(workspace: Workspace, names: list[str]) -> Iterator[FoundFile]:
    """Files of the working folder by name."""
    for name in names:
        with suppress(FileNotFoundError):
            if _is_own_file(workspace.paths.root / name):
                yield _found(workspace.paths.root / name, name)


def _is_own_file(path: Path) -> bool:
    """Whether a file lies there itself, and not a link to one, which may lie outside of the workspace."""
    return path.is_file() and not path.is_symlink()


def _at(workspace: Workspace, where: str | None, name: str) -> Iterator[FoundFile]:
    """What lies in a folder of `var/`, or of this model where the environment names another place."""
    if where is None:
        return _in_folder(workspace.paths.var / name, f"var/{name}")
    read = _at_address(where, f"var/{name}") if is_address(where) else _in_folder(Path(where), f"var/{name}")
    own = (workspace.model, f"model={workspace.model}")  # others may share the place
    return (each for each in read if each.place.split("/")[2].partition("~")[0] in own)


def _others(workspace: Workspace) -> Iterator[tuple[FoundFile, Path]]:
    """Files of `var/` that belong to no part of their own, with where each lies."""
    var = workspace.paths.var
    for path in sorted(var.iterdir()):
        if path.is_dir() and path.name not in {*NOT_KEPT, *APART}:
            for each in _in_folder(path, f"var/{path.name}"):
                yield each, workspace.paths.root / each.place
        elif path.is_file() and not path.name.endswith((".lock", *DATABASES)):
            yield _found(path, f"var/{path.name}"), path


def _public_keys(workspace: Workspace) -> Iterator[FoundFile]:
    return (each for each in _in_folder(workspace.paths.keys, "var/keys") if each.place.endswith(".pub"))


def _cache(workspace: Workspace) -> Iterator[FoundFile]:
    """DVC's cache; of one that lies elsewhere, and that others may share, the same: it is not told whose is what."""
    return _in_folder(dvc.cache_folder(workspace.paths.root), ".dvc/cache")


def _in_folder(folder: Path, place: str) -> Iterator[FoundFile]:
    """Files of a folder but locks, and those that are being written."""
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            path = Path(parent) / name
            if TEMPORARY.fullmatch(name) or path.is_symlink():
                continue
            with suppress(FileNotFoundError):
                yield _found(path, f"{place}/{path.relative_to(folder).as_posix()}")


def _found(path: Path, place: str) -> FoundFile:
    facts = path.stat()
    state = f"{facts.st_size} {facts.st_mtime_ns} {facts.st_ino}"
    return FoundFile(place, partial(_opened, path), facts.st_mode & 0o777, state, path)


def _opened(path: Path) -> BinaryIO:
    return path.open("rb")


def content_state(facts: Mapping[str, Any]) -> str:
    """What tells one content of a file from another, of what a system of fsspec says of it; empty: nothing."""
    told = next((facts[key] for key in TOLD_BY if facts.get(key)), None)
    return "" if told is None else f"{facts.get('size')} {told}"


def _at_address(where: str, place: str) -> Iterator[FoundFile]:
    system, root = open_system(address_of(where))
    system.invalidate_cache()
    if not system.exists(root):
        return
    for name, facts in sorted(system.find(root, detail=True).items()):
        state = content_state(facts)
        yield FoundFile(f"{place}/{name.removeprefix(root).strip('/')}", partial(system.open, name, "rb"), 0o600, state)
