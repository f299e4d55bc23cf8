"""A backup of a workspace while it is in use: complete, of one moment, and nothing twice.

No lock keeps anybody from working. The order does it: what names is copied before what it names, and nothing that is
named is ever removed but by `retrim versions gc`, which waits for a backup, as a backup waits for it. So a version that
the store names has its commit, its data and its bundle; a run that was under way is found as after a power cut, and
recovery ends it. The copies of the release log in git are those that were there before the store was copied, for a
store that is older than its copies is refused.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from shutil import rmtree

import pandas as pd

import retrim
from retrim.adapters import git
from retrim.adapters.database import copy_sqlite, dump_postgresql, is_sqlite
from retrim.adapters.mlflow_server import is_server
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import make_private_folder
from retrim.lineage.locks import held_locks, using_cache
from retrim.lineage.workspace import Workspace, clock, report_progress
from retrim.operations import backup_parts as parts
from retrim.operations.backup_record import Backup, BackupFile, BackupMade, BackupVerified, GitState, LeftOut
from retrim.operations.backup_store import BackupStore
from retrim.reading.address import address_of, is_address, place_of

TRIES = 5
"""Times that a part is listed whose files go while they are copied, as old pages in MLflow do."""
STORE, MLFLOW = "var/retrim.db", "var/mlflow.db"
BEHIND_SERVER = (
    "only the MLflow server has it, so the server's operator has to back it up, with the server's files. To include "
    "it, set RETRIM_MLFLOW_URL to the address of the database for this command"
)
DUMPED = ".dump"
"""Behind the place of a database that `pg_dump` wrote."""


def make_backup(workspace: Workspace, where: str, *, now: pd.Timestamp) -> BackupMade:
    """Adds a backup to a place.

    Raises:
        BusyError: Another backup of this workspace is in progress.
        RefusedError: The place holds backups of another workspace, or a database cannot be copied from here.
        RetrimError: The place cannot be written.
    """
    began, store = time.monotonic(), BackupStore(where)
    _require_apart(workspace, where)
    with held_locks(workspace, "backup"), using_cache(workspace):
        store.clear_staged()
        store.look_again(now)
        maker = _Maker(workspace, store, _newest_there(workspace, store))
        aside = workspace.paths.var / parts.ASIDE
        rmtree(aside, ignore_errors=True)
        make_private_folder(aside)
        try:
            backup, left_out = maker.make(aside, now)
        finally:
            rmtree(aside, ignore_errors=True)
        name = store.add(backup)
    return BackupMade.of(
        name,
        backup,
        where=store.shown,
        new_files=len(store.added),
        new_bytes=sum(store.added.values()),
        left_out=left_out,
        damaged=tuple(f"objects/{digest[:2]}/{digest}" for digest in store.damaged),
        seconds=round(time.monotonic() - began, 2),
    )


def back_up_here(workspace: Workspace, where: str | None) -> BackupMade:
    """A backup as of now; where no place is given, in the model's folder below `RETRIM_BACKUP`."""
    return make_backup(workspace, _given_or_set(workspace, where), now=clock())


def verify_backups(workspace: Workspace, where: str | None) -> list[BackupVerified]:
    """Reads every file of every backup at a place; oldest first."""
    store = BackupStore(_given_or_set(workspace, where))
    verified = []
    for name in store.names():
        backup = store.read(name)
        damaged = tuple(file.named for file in backup.every_file() if not store.is_sound(file))
        verified.append(BackupVerified.of(name, backup, damaged=damaged))
    return verified


def _given_or_set(workspace: Workspace, where: str | None) -> str:
    place = where or place_of_backups(workspace)
    if place is None:
        raise BadInputError("no destination for the backup is set; pass a folder or an address, or set RETRIM_BACKUP")
    return place


def place_of_backups(workspace: Workspace) -> str | None:
    """The folder of the model below the place that the environment names; None where it names none."""
    under = workspace.env.backup
    return None if under is None else f"{under.rstrip('/')}/{workspace.model}"


def _require_apart(workspace: Workspace, where: str) -> None:
    """Checks that a folder for backups is not part of what is backed up."""
    if Path(place_of(where)).is_relative_to(workspace.paths.root.resolve()):
        raise BadInputError(
            f"{where} is inside the workspace to back up; choose a folder outside the workspace, preferably on a "
            "different disk"
        )


def _newest_there(workspace: Workspace, store: BackupStore) -> Backup | None:
    """The newest backup at the place: what did not change since is not copied again."""
    names = store.names()
    if not names:
        return None
    newest = store.read(names[-1])
    here = git.first_commit(workspace.paths.root)
    if newest.model != workspace.model or (None not in (here, newest.repository) and here != newest.repository):
        raise RefusedError(
            f"{store.shown} contains backups of {newest.model} from a different repository; choose a place that only "
            f"{workspace.model} uses"
        )
    return newest


def _modes(root: Path, places: Iterable[str]) -> dict[str, int]:
    """Permission bits of the folders below a workspace that hold these files."""
    folders = {str(folder) for place in places for folder in Path(place).parents if folder != Path()}
    return {name: (root / name).stat().st_mode & 0o777 for name in sorted(folders) if (root / name).is_dir()}


class _Maker:
    def __init__(self, workspace: Workspace, store: BackupStore, before: Backup | None) -> None:
        self.workspace, self.store, self.before = workspace, store, before
        earlier = () if before is None else (*before.files, *before.git.changed)
        self._known = {(file.place, file.state): file for file in earlier}
        self._secret = parts.files_of_variables(workspace)
        self._secret_names = {path.name for path in self._secret}

    def make(self, aside: Path, now: pd.Timestamp) -> tuple[Backup, tuple[LeftOut, ...]]:
        """The record of a backup whose files lie in the place, in the order explained above; and what is not in it."""
        workspace, root = self.workspace, self.workspace.paths.root
        artifacts, logged = workspace.mlflow_artifacts, git.refs(root)
        report_progress("backing up predictions", 0, 4)
        moving = parts.requests_and_predictions(workspace)
        self._copy(*moving)  # most of it, so that the second time takes no time
        files = self._copy(*moving)
        report_progress("backing up the store", 1, 4)
        databases, behind_server = self._databases(aside)
        files += self._copy(partial(parts.arrived_files, workspace))
        report_progress("backing up the repository", 2, 4)
        git_state, differing = self._repository(aside, logged)
        report_progress("backing up data and models", 3, 4)
        files += self._copy(*parts.other_parts(workspace))
        backup = Backup(
            model=workspace.model,
            at=now,
            retrim=retrim.__version__,
            root=str(root),
            artifacts=artifacts if is_address(artifacts) else str(Path(artifacts).resolve()),
            git=git_state,
            databases=databases,
            files=tuple(files),
            repository=git.first_commit(root),
            folders=_modes(root, [file.place for file in (*git_state.changed, *files)]),
        )
        return backup, (*behind_server, *parts.left_out(workspace, differing))

    def _copy(self, *listed: parts.Part) -> list[BackupFile]:
        return [file for part in listed for file in self._copy_part(part)]

    def _copy_part(self, part: parts.Part) -> list[BackupFile]:
        """Copies the files of a part; where one goes meanwhile, they are listed anew."""
        for _ in range(TRIES):
            try:
                return [self._copy_file(source) for source in part() if not self._holds_secret(source.path)]
            except FileNotFoundError as error:
                gone = error
        raise RetrimError(
            f"files were removed during the backup, for example {gone.filename}; stop the process that removes them, "
            "and try again"
        )

    def _holds_secret(self, path: Path | None) -> bool:
        return path is not None and path.name in self._secret_names and path.resolve() in self._secret

    def _copy_file(self, source: parts.SourceFile) -> BackupFile:
        known = self._known.get((source.place, source.state)) if source.state else None
        if known is None or not self.store.has(known):
            with source.open() as stream:
                known = self.store.put(stream, source.place, source.state)
            self._known[source.place, source.state] = known
        return replace(known, mode=source.mode)

    def _put(self, path: Path, place: str) -> BackupFile:
        with path.open("rb") as stream:
            return self.store.put(stream, place)

    def _databases(self, aside: Path) -> tuple[tuple[BackupFile, ...], list[LeftOut]]:
        """The store, and then MLflow's database, each as of one moment; what only a server has is left out."""
        copied, left = [], []
        for address, place in ((self.workspace.store_url, STORE), (self.workspace.mlflow_url, MLFLOW)):
            if is_server(address):
                left.append(LeftOut(what=f"the MLflow database at {address_of(address).shown}", why=BEHIND_SERVER))
                continue
            file = aside / Path(place).name
            if not is_sqlite(address):
                dump_postgresql(address, file)
                copied.append(self._put(file, f"{place}{DUMPED}"))
            elif copy_sqlite(address, file):
                copied.append(self._put(file, place))
        return tuple(copied), left

    def _repository(self, aside: Path, logged: Mapping[str, str]) -> tuple[GitState, list[str]]:
        """The repository without copies of the release log that came after the store was copied (these `logged` were
        there before), and the files that differ from its commit.
        """
        root, before = self.workspace.paths.root, self.before
        stands, head = git.refs(root), git.checked_out(root)
        if before is not None and before.git.refs == stands and self.store.has(before.git.bundle):
            bundle = before.git.bundle
        else:
            stands = git.bundle(root, aside / "git.bundle")
            bundle = self._put(aside / "git.bundle", "git.bundle")
        log = f"refs/tags/retrim/{self.workspace.model}/log/"
        differing, removed = git.differing(root, stands[git.HEAD])
        differing = [name for name in differing if not name.startswith(parts.APART_FROM_GIT)]
        plain = [name for name in differing if not parts.is_secret(root / name)]
        state = GitState(
            bundle=bundle,
            refs={name: commit for name, commit in stands.items() if not name.startswith(log) or name in logged},
            head=head,
            commit=stands[git.HEAD],
            changed=tuple(self._copy(partial(parts.in_working_folder, self.workspace, plain))),
            removed=tuple(removed),
        )
        return state, differing
