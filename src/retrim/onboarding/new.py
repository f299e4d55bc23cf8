"""`retrim new`: a workspace with its own repository and the wheel of the code that runs."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd

from retrim import templates
from retrim.adapters import environment, git
from retrim.adapters.database import copy_sqlite
from retrim.adapters.dvc import run_dvc
from retrim.adapters.wheel import CODE, GRAPH, LOCK, NOTE, Wheel, named_wheel, running_wheel
from retrim.decision.history import UNFINISHED
from retrim.environment import Env
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import WorkspacePaths, make_private_folder, write_file
from retrim.lineage.locks import alone_in, alone_with_cache, is_alive
from retrim.lineage.own_code import lock_of
from retrim.lineage.workspace import Workspace
from retrim.onboarding.ci import add_ci, lay_ci
from retrim.release.release import check_stored
from retrim.release.versions import find_live_version
from retrim.settings import load_params

WHAT = "settings, stages, lock and the wheel of retrim"
"""What is laid, in the words of the command and of the documents."""
FILES = {
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvc/config": "[core]\n    analytics = false\n    check_update = false\n    autostage = false\n",
    ".dvcignore": "# What DVC need not look at.\nvar\n.venv\n",
    ".gitignore": ".venv/\nvar/\n__pycache__/\n.env\n",
    "data/.gitignore": "/candidate\n/champion\n/code\n/previous\n/raw\n/table.parquet\n/view.parquet\n",
    "params.yaml": (files(templates) / "params.yaml").read_text(encoding="utf-8"),
}
PARAMS = "params.yaml"
CHANGED = (NOTE, LOCK, GRAPH)
STORE = "retrim.db"


@dataclass(frozen=True)
class NewWorkspace:
    """A new workspace.

    Args:
        root: Folder of the workspace.
        code: File name of the wheel that holds its code; null if the code is in src/.
        commit: Hash of the first commit.
        files: Files in that commit.
    """

    root: Path
    code: str | None
    commit: str
    files: int


def lay_workspace(folder: Path, *, ci: bool = False) -> NewWorkspace:
    """Lays a workspace in `folder`, committed in a repository of its own: what `WHAT` says.

    It is made beside `folder` and moved there once it is whole. Two at once lay one after the other.

    Raises:
        BadInputError: The folder holds something, or is none.
        RefusedError: The folder lies inside a repository, the code that runs is not whole, or a file of CI is there
            with other content.
    """
    folder = folder.resolve()
    if ci and (folder / PARAMS).is_file() and (folder / GRAPH).is_file():
        return NewWorkspace(folder, *add_ci(WorkspacePaths(folder)))
    _refuse_taken(folder)
    _refuse_nested(folder)
    wheel = running_wheel()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone_in(folder.parent):  # others wait, and lay their own after it
        _refuse_taken(folder)  # by another, in the meantime
        fresh = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)  # what one that was killed has left
        try:
            fresh.mkdir()
            commit, count = _lay(fresh, wheel, ci=ci)
            _move(fresh, folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    return NewWorkspace(folder, wheel.name, commit, count)


def _lay(folder: Path, wheel: Wheel, *, ci: bool) -> tuple[str, int]:
    for name, text in FILES.items():
        write_file(folder / name, text.encode())
    if ci:
        lay_ci(folder)
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


def _refuse_taken(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInputError(f"{folder} exists and is not empty; choose a new folder")


def _refuse_nested(folder: Path) -> None:
    above = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not above.is_dir():
        raise BadInputError(f"{above} is a file; choose a new folder")
    try:
        top = git.git(above, "rev-parse", "--show-toplevel")
    except RetrimError:
        return
    raise RefusedError(
        f"{folder} is inside the repository {top}, but a workspace needs its own repository; choose a folder outside "
        "the repository"
    )


@dataclass(frozen=True)
class Upgrade:
    """The result of an upgrade.

    Args:
        before: Version of the wheel before the upgrade.
        after: Version of the wheel after it.
        changed: Files that were written and committed; empty if there was nothing to do.
        backup: Folder with the previous files and store, relative to the workspace; None if nothing was changed.
        store_copied: Whether that folder contains the store. A database that is not a file must be backed up with its
            own tools.
        champion: The live version; None if there is none.
        answers: Result of the champion's release checks with the new code.
        as_before: Whether the champion answers its reference rows as before; true if nothing is live.
        packages: Packages whose installed version differs from the lock.
    """

    before: str
    after: str
    changed: tuple[str, ...]
    backup: str | None
    store_copied: bool
    champion: int | None
    answers: str
    as_before: bool
    packages: tuple[str, ...]


def upgrade_workspace(paths: WorkspacePaths, *, now: pd.Timestamp) -> Upgrade:
    """Lays the wheel of the code that runs, and commits it with lock and stages.

    The store takes its newest shape when it is opened. The champion is asked its reference rows by the code that runs.
    Killed, it is finished by the next one.

    Raises:
        RefusedError: The code of the workspace lies in its src/; a run is not finished, or the schedule runs; a file
            that would be changed has edits that are not committed.
        BadInputError: params.yaml is not valid for the code that runs.
    """
    root, wheel = paths.root, running_wheel()
    lock = lock_of(paths)
    named = named_wheel(lock)
    if named is None:
        raise RefusedError(
            "this workspace has its own copy of retrim's code in src/, and nothing was changed; upgrade that "
            "copy with git"
        )
    workspace = Workspace(paths, load_params(paths.params), Env())
    make_private_folder(paths.var)
    before = named.version
    _refuse_edited(root, _written(wheel), before)
    with alone_with_cache(workspace):
        if is_alive(workspace, "schedule"):
            raise RefusedError("the schedule runs here with the old code; stop it, upgrade, and start it again")
        changed = CHANGED if _is_stale(root, wheel) else ()
        backup, copied = _back_up(workspace, now, changed) if changed else (None, False)  # before the store is opened
        if changed and any(workspace.store.runs(workspace.model, state=state) for state in UNFINISHED):
            raise RefusedError(
                f"a run of this workspace is not finished, and only retrim {before}, which started it, can finish it; "
                f"run `retrim check` of retrim {before} in the environment that `retrim versions reproduce N "
                "--environment` builds for the live version, then upgrade"
            )
        if changed:
            lay_code(root, wheel)
            git.commit(root, list(changed), f"upgrade: retrim {before} to {wheel.version}")
        live = find_live_version(workspace)
        checks = None if live is None else check_stored(workspace, live.version, again=True)
    return Upgrade(
        before=before,
        after=wheel.version,
        changed=changed,
        backup=backup,
        store_copied=copied,
        champion=None if live is None else live.version,
        answers="no version is live" if checks is None else checks.reason,
        as_before=checks is None or checks.passed,
        packages=environment.other_versions(root / LOCK),
    )


def _written(wheel: Wheel) -> dict[str, bytes]:
    return {LOCK: wheel.workspace_lock.encode(), GRAPH: wheel.graph}


def _is_stale(root: Path, wheel: Wheel) -> bool:
    """Whether the workspace is not that of the wheel, or not committed as it is."""
    laid = all(_text(root / name).encode() == content for name, content in _written(wheel).items())
    return not laid or any(_is_edited(root, name) for name in CHANGED)


def _is_edited(root: Path, name: str) -> bool:
    return git.git(root, "status", "--porcelain", "--", name) != ""


def _refuse_edited(root: Path, written: Mapping[str, bytes], before: str) -> None:
    """Refuses edits that nobody committed, but for what an upgrade that was killed has written."""
    edited = [name for name in written if _is_edited(root, name) and _text(root / name).encode() != written[name]]
    if edited:
        raise RefusedError(
            f"{', '.join(edited)}: the upgrade from retrim {before} would lose or commit uncommitted changes; commit "
            "them first, then run the command again"
        )


def _back_up(workspace: Workspace, now: pd.Timestamp, changed: Sequence[str]) -> tuple[str, bool]:
    """Copies what an upgrade may change to var/upgrade/; says where, and whether the store is among it."""
    root = workspace.paths.root
    folder = workspace.paths.var / "upgrade" / f"{now:%Y%m%dT%H%M%SZ}"
    for name in changed:
        write_file(folder / name, (root / name).read_bytes())
    return str(folder.relative_to(root)), copy_sqlite(workspace.store_url, folder / STORE)


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8") if path.is_file() else ""  # with its line ends
