"""A workspace brought back from a backup, in another folder or on another machine.

It is made beside the folder and renamed: so it is there whole, or not at all. Each file is held against its SHA-256
while it is written. A database says where the files of MLflow are: it is told of the new places.
"""

import fcntl
import glob
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd

from retrim.adapters import dvc, git
from retrim.adapters.database import (
    MARK,
    empty_postgresql,
    load_postgresql,
    move_places,
    require_empty,
    unmark_postgresql,
)
from retrim.adapters.signing import unseal
from retrim.adapters.store import Store
from retrim.adapters.wheel import NOTE
from retrim.errors import BadInputError, RetrimError
from retrim.files import flush, flush_all, make_private_folder, write_private
from retrim.lineage.workspace import report_progress
from retrim.operations.backup import DUMPED, MLFLOW, STORE
from retrim.operations.backup_parts import DVC_SETTINGS, GIT_SETTINGS
from retrim.operations.backup_record import Backup, BackupFile, BackupListed, BackupRestored
from retrim.operations.backup_store import BackupStore
from retrim.reading.address import is_address
from retrim.retraining.run_directory import UNPUSHED
from retrim.settings import Env

SHOWN = 5
"""Missing files that an error names."""


def list_backups(where: str) -> list[BackupListed]:
    """The backups at a place, newest first."""
    store, listed = BackupStore(where), []
    for name in reversed(store.names()):
        backup = store.read(name)
        files = backup.every_file()
        size = sum(each.size for each in files)
        keys = backup.keys is not None
        listed.append(BackupListed(name=name, model=backup.model, at=backup.at, files=len(files), size=size, keys=keys))
    return listed


def restore_backup(
    where: str, folder: Path, *, until: pd.Timestamp | None, word: str | None, env: Env
) -> BackupRestored:
    """Makes a workspace of a backup.

    Args:
        until: The newest backup whose cut is at or before this moment; None: the newest.
        word: The passphrase that its keys were sealed with; None: it is restored without them.

    Raises:
        BadInputError: The folder is not empty, there is no such backup, or the passphrase is another.
        RefusedError: A database that is to be filled is not empty.
        RetrimError: A file of the backup is missing or damaged; names it.
    """
    began, store, folder = time.monotonic(), BackupStore(where), folder.absolute()
    name = store.chosen(until)
    backup = store.read(name)
    _require_whole(store, name, backup)
    with _made_beside(folder, env) as fresh:
        keys = _lay_all(store, backup, fresh, word)
        _begin_anew(fresh)
        moved, to_do = _fill(backup, fresh, folder, env)
        to_do += _left_to_do(env, keys=keys)
    for address in _to_fill(folder, env).values():
        with suppress(RetrimError):  # without its folder beside the workspace the mark says nothing
            unmark_postgresql(address, _mark_of(fresh))
    return BackupRestored(
        name=name,
        at=backup.at,
        folder=str(folder),
        files=len(backup.every_file()),
        size=sum(each.size for each in backup.every_file()),
        keys=keys,
        moved=moved,
        to_do=tuple(to_do),
        seconds=round(time.monotonic() - began, 2),
    )


def _require_whole(store: BackupStore, name: str, backup: Backup) -> None:
    """Checks that every file of a backup is in the place, before anything is written."""
    lost = [each for each in backup.every_file() if not store.has(each.digest, each.size)]
    if lost:
        named = ", ".join(f"{each.place} (object {each.digest[:16]})" for each in lost[:SHOWN])
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        raise RetrimError(
            f"backup {name} at {store.shown} has missing or truncated files: {named}{more}; restore an older backup "
            "(--list shows the backups, --at TIME chooses one)"
        )


@contextmanager
def _made_beside(folder: Path, env: Env) -> Iterator[Path]:
    """A folder that takes the place of another at the end, whole; where that does not come, it goes.

    The databases that were filled for it are emptied before it goes: here, or by the next restore, where this one is
    killed.

    Raises:
        BadInputError: The folder is not empty, or cannot be made.
        RetrimError: A database cannot be emptied.
    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise BadInputError(f"{folder} is not an empty folder; choose an empty folder or a new one")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f".{glob.escape(folder.name)}.restoring-*"):
            with suppress(FileNotFoundError, BlockingIOError), _locked(left):
                _empty_marked(left, env)  # of a restore that was killed
                shutil.rmtree(left)
        fresh = Path(mkdtemp(prefix=f".{folder.name}.restoring-", dir=folder.parent))
    except OSError as error:
        raise BadInputError(
            f"{folder} cannot be created: {error.strerror}; choose a folder that you have permission to create"
        ) from error
    try:
        with _locked(fresh):
            yield fresh
            fresh.chmod(0o755)
            flush_all([path for path in fresh.rglob("*") if path.is_file() and not path.is_symlink()], below=fresh)
            _put_in_place(fresh, folder)
            flush(folder.parent)
    except BaseException as failed:
        try:
            _empty_marked(fresh, env)
        except RetrimError as error:
            raise RetrimError(f"{failed}; in addition, {error}") from failed
        shutil.rmtree(fresh, ignore_errors=True)
        raise


def _mark_of(fresh: Path) -> str:
    """The mark of what is filled for a folder: once that has its place, it is the mark of nothing."""
    return f"{MARK}{fresh.name.rpartition('-')[2]}"


def _to_fill(fresh: Path, env: Env) -> dict[str, str]:
    """Addresses of the databases that are filled for a folder, by the place of what pg_dump wrote."""
    addresses = {STORE: env.store_url, MLFLOW: env.mlflow_url}
    return {
        place: address
        for place, address in addresses.items()
        if address is not None and (fresh / f"{place}{DUMPED}").is_file()
    }


def _empty_marked(fresh: Path, env: Env) -> None:
    for address in _to_fill(fresh, env).values():
        empty_postgresql(address, _mark_of(fresh))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds the lock of a folder; the system frees it when this process dies."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def _put_in_place(fresh: Path, folder: Path) -> None:
    try:
        fresh.replace(folder)
    except OSError as error:
        raise BadInputError(
            f"{folder} cannot be replaced ({error.strerror}), because it is no longer empty or is a mount point; "
            "choose a new folder"
        ) from error


def _lay_all(store: BackupStore, backup: Backup, fresh: Path, word: str | None) -> bool:
    """Writes repository, databases, files and keys into a folder; gives whether the keys were among them."""
    aside = fresh / ".restoring"
    aside.mkdir()
    bundle = aside / "git.bundle"
    _get(store, backup.git.bundle, bundle)
    git.unbundle(fresh, bundle, backup.git.refs, backup.git.head)
    for name in backup.git.removed:
        _below(fresh, name).unlink(missing_ok=True)
    make_private_folder(fresh / "var")
    files = (*backup.git.changed, *backup.databases, *backup.files)
    for number, each in enumerate(files):
        if number % 100 == 0:
            report_progress("restoring files", number, len(files))
        target = _below(fresh, each.place)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        _get(store, each, target)
        target.chmod(each.mode & 0o777)
    opened = backup.keys is not None and word is not None
    if backup.keys is not None and word is not None:
        _get(store, backup.keys, aside / "keys")
        _lay_keys(fresh, unseal((aside / "keys").read_bytes(), word))
    shutil.rmtree(aside)
    return opened


def _get(store: BackupStore, file: BackupFile, to: Path) -> None:
    try:
        store.get(file.digest, to)
    except RetrimError as error:
        raise RetrimError(
            f"{file.place} cannot be restored: {error}; nothing was written. Restore an older backup (--list shows "
            "the backups, --at TIME chooses one)"
        ) from error


def _below(folder: Path, place: str) -> Path:
    """Where a file lies in a folder; a record that leads out of it, or into what git runs, is refused.

    Raises:
        RetrimError: It does, also by a symbolic link that was committed.
    """
    parts, target = Path(place).parts, folder / place
    leads_out = not parts or Path(place).is_absolute() or ".." in parts
    if leads_out or ".git" in parts or not target.parent.resolve().is_relative_to(folder.resolve()):
        raise RetrimError(
            f"the backup contains the file {place!r}, which is outside the workspace or in .git; restore an older "
            "backup (--list shows the backups, --at TIME chooses one)"
        )
    return target


def _lay_keys(fresh: Path, files: Mapping[str, bytes]) -> None:
    for place, content in files.items():
        if place == GIT_SETTINGS:
            git.set_own_settings(fresh, content.decode())
        else:
            write_private(_below(fresh, place), content)
    if DVC_SETTINGS in files:
        dvc.use_own_cache(fresh)


def _forget_run_directories(address: str) -> None:
    """Has a store know that the run directories of before are gone."""
    store = Store(address)
    for run in store.all_runs(state=UNPUSHED):
        detail = replace(run.detail, run_directory=None)
        store.end_run(run.id, state=UNPUSHED, ended=str(run.ended), version=None, detail=detail)
    store.close()


def _begin_anew(fresh: Path) -> None:
    """Takes away what processes of the machine of before left, and lays the code of a wheel."""
    if (fresh / NOTE).is_file():
        dvc.run_dvc(fresh, "checkout", NOTE)
    shutil.rmtree(fresh / ".dvc" / "tmp", ignore_errors=True)


def _fill(backup: Backup, fresh: Path, folder: Path, env: Env) -> tuple[int, list[str]]:
    """Fills PostgreSQL, and tells the databases where files lie now, and which are gone.

    Returns:
        How many places changed, and what is left to a person.
    """
    artifacts, old = backup.artifacts, Path(backup.root)
    places = {artifacts if is_address(artifacts) else Path(artifacts).as_uri(): (folder / "var" / "mlflow").as_uri()}
    places |= {old.as_uri(): folder.as_uri(), str(old): str(folder)}
    moved, to_do, filled = 0, [], []
    to_fill = _to_fill(fresh, env)
    for address in to_fill.values():  # all of them, before one is filled
        require_empty(address)
    for place, variable in ((STORE, "STORE"), (MLFLOW, "MLFLOW")):
        dumped = fresh / f"{place}{DUMPED}"
        if (fresh / place).is_file():
            filled.append((place, f"sqlite:///{fresh / place}"))
        elif place in to_fill:
            load_postgresql(dumped, to_fill[place], _mark_of(fresh))
            filled.append((place, to_fill[place]))
        elif dumped.is_file():
            to_do.append(
                f"{place}{DUMPED} was written by pg_dump; to load it into a database, restore again with "
                f"RETRIM_{variable}_URL set to an empty PostgreSQL database"
            )
    for place, address in filled:
        if place == MLFLOW:
            moved = move_places(address, places)
        else:
            _forget_run_directories(address)
    return moved, to_do


def _left_to_do(env: Env, *, keys: bool) -> Iterator[str]:
    if not keys:
        yield (
            "the keys were not restored; put your copy of var/keys/signing.key in place, or do nothing: a new key is "
            "then created, and signatures of the old key stay valid"
        )
    places = {
        "RETRIM_STORE_URL": env.store_url,
        "RETRIM_MLFLOW_URL": env.mlflow_url,
        "RETRIM_MLFLOW_ARTIFACTS": env.mlflow_artifacts,
        "RETRIM_PREDICTIONS": env.predictions,
    }
    named = [name for name, place in places.items() if place is not None]
    if named:
        what = "commands use the places set there instead of var/; unset each variable that is out of date"
        yield f"{', '.join(named)}: {what}"
    if env.landing is not None:
        yield (
            "RETRIM_LANDING: batches that landed there since the backup are fetched, and new batches from this copy "
            "are added; to keep this copy separate, unset RETRIM_LANDING"
        )
    if env.predictions_table is not None:
        yield (
            "RETRIM_PREDICTIONS_TABLE: predictions of this copy are added to the same table; to keep this copy "
            "separate, unset RETRIM_PREDICTIONS_TABLE"
        )
