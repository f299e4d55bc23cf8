"""A backup of a workspace while it is in use: complete, of one moment, and nothing twice.

No lock keeps anybody from working. The order does it: what names is copied before what it names, and nothing that is
named is ever removed but by `retrim versions gc`, which waits for a backup, as a backup waits for it. So a version that
the store names has its commit, its data and its bundle; a run that was under way is found as after a power cut, and
recovery ends it. The copies of the release log in git are those that were there before the store was copied, for a
store that is older than its copies is refused.
"""

import time
from collections.abc import Iterable, Mapping
from functools import partial
from io import BytesIO
from pathlib import Path
from shutil import rmtree
from typing import BinaryIO

import pandas as pd

import retrim
from retrim.adapters import git
from retrim.adapters.database import copy_sqlite, dump_postgresql, is_sqlite
from retrim.adapters.mlflow_server import is_server
from retrim.adapters.signing import seal
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import make_private_folder
from retrim.lineage.locks import held_locks, using_cache
from retrim.lineage.workspace import Workspace, clock, report_progress
from retrim.operations import backup_parts as parts
from retrim.operations.backup_record import Backup, BackupFile, BackupMade, BackupVerified, GitState, LeftOut
from retrim.operations.backup_store import BackupStore, clear_staged
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


def make_backup(workspace: Workspace, where: str, *, word: str | None, now: pd.Timestamp) -> BackupMade:
    """Adds a backup to a place.

    Args:
        word: The passphrase for keys and passwords; None: they are left apart.

    Raises:
        BusyError: Another backup of this workspace is in progress.
        RefusedError: The place holds backups of another workspace, or a database cannot be copied from here.
        RetrimError: The place cannot be written.
    """
    began, store = time.monotonic(), BackupStore(where)
    _require_apart(workspace, where)
    with held_locks(workspace, "backup"), using_cache(workspace):
        clear_staged(store)
        maker = _Maker(workspace, store, _before(workspace, store))
        aside = workspace.paths.var / parts.ASIDE
        rmtree(aside, ignore_errors=True)
        make_private_folder(aside)
        try:
            backup = maker.make(aside, word=word, now=now)
        finally:
            rmtree(aside, ignore_errors=True)
        name = store.add(backup)
    return BackupMade(
        name=name,
        where=store.shown,
        backup=backup,
        new_files=maker.new_files,
        new_bytes=maker.new_bytes,
        seconds=round(time.monotonic() - began, 2),
    )


def back_up_here(workspace: Workspace, where: str | None) -> BackupMade:
    """A backup as of now.

    Args:
        where: A folder or an address; None: that of the model below the one in `RETRIM_BACKUP`.

    Raises:
        BadInputError: No place is named.
        As `make_backup`.
    """
    return make_backup(workspace, _place(workspace, where), word=workspace.env.passphrase(), now=clock())


def verify_backups(workspace: Workspace, where: str | None) -> list[BackupVerified]:
    """Reads every file of every backup at a place; oldest first."""
    store = BackupStore(_place(workspace, where))
    verified = []
    for name in store.names():
        backup = store.read(name)
        files = backup.every_file()
        damaged = tuple(f"{file.place} (object {file.digest[:16]})" for file in files if not store.is_sound(file))
        verified.append(BackupVerified(name=name, at=backup.at, files=len(files), damaged=damaged))
    return verified


def _place(workspace: Workspace, where: str | None) -> str:
    place = where or place_of_backups(workspace)
    if place is None:
        raise BadInputError("no destination for the backup is set; pass a folder or an address, or set RETRIM_BACKUP")
    return place


def place_of_backups(workspace: Workspace) -> str | None:
    """The folder of the model below the place that the environment names; None where it names none."""
    under = workspace.env.backup
    return None if under is None else f"{under.rstrip('/')}/{workspace.model}"


def _whole(where: str) -> str:
    """An address, or the whole path of a folder."""
    return where if is_address(where) else str(Path(where).resolve())


def _require_apart(workspace: Workspace, where: str) -> None:
    """Checks that a folder for backups is not part of what is backed up."""
    if Path(place_of(where)).is_relative_to(workspace.paths.root.resolve()):
        raise BadInputError(
            f"{where} is inside the workspace to back up; choose a folder outside the workspace, preferably on a "
            "different disk"
        )


def _before(workspace: Workspace, store: BackupStore) -> Backup | None:
    """The newest backup at the place, by which it is known what did not change since."""
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


class _Maker:
    """Copies what belongs to a backup, and counts what was new."""

    def __init__(self, workspace: Workspace, store: BackupStore, before: Backup | None) -> None:
        self.workspace, self.store, self.before = workspace, store, before
        self.new_files = self.new_bytes = 0
        known = () if before is None else (*before.files, *before.git.changed)
        self._apart = parts.files_of_variables(workspace)
        self._known = {(file.place, file.state): file for file in known}

    def make(self, aside: Path, *, word: str | None, now: pd.Timestamp) -> Backup:
        """The record of a backup whose files lie in the place; the order is explained above."""
        workspace, root = self.workspace, self.workspace.paths.root
        artifacts, logged = _whole(workspace.mlflow_artifacts), git.refs(root)
        report_progress("backing up predictions", 0, 4)
        first = parts.requests_and_predictions(workspace)
        self.copy(first)  # most of it, so that the second time takes no time
        files = self.copy(first)
        report_progress("backing up the store", 1, 4)
        databases, left = self._databases(aside)
        files += self.copy(parts.what_came(workspace))
        report_progress("backing up the repository", 2, 4)
        git_state, differing = self._repository(aside, logged)
        report_progress("backing up data and models", 3, 4)
        files += self.copy(parts.the_rest(workspace))
        keys, apart = self._keys(differing, word)
        return Backup(
            model=workspace.model,
            at=now,
            retrim=retrim.__version__,
            root=str(root),
            artifacts=artifacts,
            git=git_state,
            databases=databases,
            files=tuple(files),
            keys=keys,
            left_out=(*apart, *left, *parts.left_out(workspace, differing)),
            repository=git.first_commit(root),
        )

    def copy(self, listed: Iterable[parts.Listed]) -> list[BackupFile]:
        """Copies files; a part of which one goes meanwhile is listed anew."""
        copied: list[BackupFile] = []
        for part in listed:
            copied += self._copied(part)
        return copied

    def _copied(self, part: parts.Listed) -> list[BackupFile]:
        for _ in range(TRIES):
            try:
                return [self._file(each) for each in part() if not parts.is_one_of(each.path, self._apart)]
            except FileNotFoundError as error:
                gone = error
        raise RetrimError(
            f"files were removed during the backup, for example {gone.filename}; stop the process that removes them, "
            "and try again"
        )

    def _file(self, found: parts.FoundFile) -> BackupFile:
        known = self._known.get((found.place, found.state)) if found.state else None
        if known is None or not self.store.has(known.digest, known.size):
            with found.opened() as source:
                known = self._put(source, found.place, state=found.state)
            self._known[found.place, found.state] = known
        return BackupFile(place=known.place, digest=known.digest, size=known.size, mode=found.mode, state=known.state)

    def _put(self, source: BinaryIO, place: str, *, mode: int = 0o600, state: str = "") -> BackupFile:
        before = len(self.store.objects)
        digest, size = self.store.put(source, place)
        if len(self.store.objects) > before:
            self.new_files += 1
            self.new_bytes += size
        return BackupFile(place=place, digest=digest, size=size, mode=mode, state=state)

    def _put_path(self, path: Path, place: str) -> BackupFile:
        with path.open("rb") as source:
            return self._put(source, place)

    def _databases(self, aside: Path) -> tuple[tuple[BackupFile, ...], list[LeftOut]]:
        """The store, and then MLflow's database, each as of one moment."""
        copied, left = [], []
        for address, place in ((self.workspace.store_url, STORE), (self.workspace.mlflow_url, MLFLOW)):
            if is_server(address):
                left.append(LeftOut(what=f"the MLflow database at {address_of(address).shown}", why=BEHIND_SERVER))
                continue
            file = aside / Path(place).name
            if not is_sqlite(address):
                dump_postgresql(address, file)
                copied.append(self._put_path(file, f"{place}{DUMPED}"))
            elif copy_sqlite(address, file):
                copied.append(self._put_path(file, place))
        return tuple(copied), left

    def _repository(self, aside: Path, logged: Mapping[str, str]) -> tuple[GitState, list[str]]:
        """The repository, without copies of the release log that came after the store was copied."""
        root = self.workspace.paths.root
        prefix = f"refs/tags/retrim/{self.workspace.model}/log/"
        before, stands, head = self.before, git.refs(root), git.checked_out(root)
        if (
            before is not None
            and before.git.refs == stands
            and self.store.has(before.git.bundle.digest, before.git.bundle.size)
        ):
            bundle = before.git.bundle
        else:
            stands = git.bundle(root, aside / "git.bundle")
            bundle = self._put_path(aside / "git.bundle", "git.bundle")
        refs = {name: each for name, each in stands.items() if not name.startswith(prefix) or name in logged}
        differing, removed = git.differing(root, stands[git.HEAD])
        differing = [name for name in differing if not name.startswith(parts.APART_FROM_GIT)]
        plain = [name for name in differing if not parts.is_secret(root / name)]
        changed = self.copy([partial(parts.in_working_folder, self.workspace, plain)])
        state = GitState(
            bundle=bundle,
            refs=refs,
            head=head,
            commit=stands[git.HEAD],
            changed=tuple(changed),
            removed=tuple(removed),
        )
        return state, differing

    def _keys(self, differing: list[str], word: str | None) -> tuple[BackupFile | None, list[LeftOut]]:
        """Keys and passwords, sealed; without a passphrase they are named, and left apart."""
        secret = parts.secret_files(self.workspace, differing)
        if word is None or not secret:
            why = "it is a key or a password, and no passphrase was set; keep a copy elsewhere"
            return None, [LeftOut(what=name, why=why) for name in secret]
        return self._put(BytesIO(seal(secret, word)), "keys"), []
