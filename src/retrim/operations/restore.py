"""A workspace brought back from a backup, in another folder or on another machine.

It is made beside the folder and renamed: so it is there whole, or not at all. Each file is held against its SHA-256
while it is written. A database in PostgreSQL is filled last, and only where it is empty: retrim drops no table.
"""

import fcntl
import glob
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd

from retrim.adapters import dvc, git
from retrim.adapters.database import load_postgresql, move_places, require_empty
from retrim.adapters.store import Store
from retrim.adapters.wheel import NOTE
from retrim.environment import Env
from retrim.errors import BadInputError, RetrimError
from retrim.files import flush, flush_all, make_private_folder
from retrim.lineage.workspace import report_progress
from retrim.operations.backup import DUMPED, MLFLOW, STORE
from retrim.operations.backup_record import Backup, BackupListed, BackupRestored
from retrim.operations.backup_store import BackupStore
from retrim.reading.address import is_address
from retrim.retraining.run_directory import UNPUSHED

SHOWN = 5
"""Missing files that an error names."""
ANOTHER = "restore an older backup (--list shows the backups, --at TIME chooses one)"
OR_WITHOUT = f"{ANOTHER}, or leave a file out: --without FILE for each (retrim backup --verify names all of them)"
KEY_TO_DO = (
    "keys and passwords are not in backups; put your copy of var/keys/signing.key in place, or do nothing: a new key "
    "is then created, and signatures of the old key stay valid"
)
SEPARATE = {
    "RETRIM_LANDING": "batches that landed there since the backup are fetched, and those of this copy are added",
    "RETRIM_PREDICTIONS_TABLE": "predictions of this copy are added to the same table",
}
"""What other workspaces may share, by variable."""


def list_backups(where: str) -> list[BackupListed]:
    """The backups at a place, newest first."""
    store = BackupStore(where)
    return [BackupListed.of(name, store.read(name)) for name in reversed(store.names())]


def restore_backup(
    where: str, folder: Path, *, until: pd.Timestamp | None, env: Env, without: Collection[str] = ()
) -> BackupRestored:
    """Makes a workspace of the newest backup, or the newest whose cut is at or before a moment.

    Args:
        without: Files to leave out, as the backup names them: neither the repository nor a database.

    Raises:
        BadInputError: The folder is not empty, or there is no such backup, or no such file in it.
        RefusedError: A database that is to be filled is not empty.
        RetrimError: A file of the backup is missing or damaged; names it.
    """
    began, store, folder = time.monotonic(), BackupStore(where), folder.absolute()
    name = store.chosen(until)
    backup = store.read(name)
    backup = _leave_out(backup, without)
    _require_whole(store, name, backup)
    with _made_beside(folder) as fresh:
        _lay_all(store, backup, fresh)
        if (fresh / NOTE).is_file():
            dvc.run_dvc(fresh, "checkout", NOTE)  # the code of a wheel
        shutil.rmtree(fresh / ".dvc" / "tmp", ignore_errors=True)
        moved, to_do = _fill(backup, fresh, folder, env)
    return BackupRestored.of(
        name,
        backup,
        folder=str(folder),
        moved=moved,
        to_do=(
            *(f"{place} was left out; put it in place, or check what needs it" for place in without),
            *to_do,
            *_left_to_do(env),
        ),
        seconds=round(time.monotonic() - began, 2),
    )


def _leave_out(backup: Backup, without: Collection[str]) -> Backup:
    files, changed = (
        tuple(file for file in listed if file.place not in without) for listed in (backup.files, backup.git.changed)
    )
    unknown = set(without) - {file.place for file in (*backup.files, *backup.git.changed)}
    if unknown:
        raise BadInputError(
            f"--without {min(unknown)}: the backup has no such file that can be left out; pass the path as the error "
            f"names it. Without the repository or a database nothing can be restored: {ANOTHER}"
        )
    return replace(backup, files=files, git=replace(backup.git, changed=changed))


def _require_whole(store: BackupStore, name: str, backup: Backup) -> None:
    """Checks that every file of a backup is in the place, before anything is written."""
    lost = [file.named for file in backup.every_file() if not store.has(file)]
    if lost:
        more = f" and {len(lost) - SHOWN} more" if len(lost) > SHOWN else ""
        named = ", ".join(lost[:SHOWN])
        raise RetrimError(f"backup {name} at {store.shown} has missing or truncated files: {named}{more}; {OR_WITHOUT}")


@contextmanager
def _made_beside(folder: Path) -> Iterator[Path]:
    """A folder that takes the place of another at the end, whole; where that does not come, it goes."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        raise BadInputError(f"{folder} is not an empty folder; choose an empty folder or a new one")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in folder.parent.glob(f".{glob.escape(folder.name)}.restoring-*"):
            with suppress(FileNotFoundError, BlockingIOError), _locked(left):
                shutil.rmtree(left)  # of a restore that was killed
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
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


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


def _lay_all(store: BackupStore, backup: Backup, fresh: Path) -> None:
    """Writes repository, databases and files into a folder."""
    bundle = fresh / ".bundle"
    _get(store, backup.git.bundle.place, backup.git.bundle.digest, bundle)
    git.unbundle(fresh, bundle, backup.git.refs, backup.git.head)
    bundle.unlink()
    for name in backup.git.removed:
        _below(fresh, name).unlink(missing_ok=True)
    make_private_folder(fresh / "var")
    files = (*backup.git.changed, *backup.databases, *backup.files)
    for number, file in enumerate(files):
        if number % 100 == 0:
            report_progress("restoring files", number, len(files))
        target = _below(fresh, file.place)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        _get(store, file.place, file.digest, target)
        target.chmod(file.mode & 0o777)
    for name, mode in backup.folders.items():
        if (inside := _below(fresh, name)).is_dir():
            inside.chmod(mode & 0o777 | 0o700)


def _get(store: BackupStore, place: str, digest: str, to: Path) -> None:
    try:
        store.get(digest, to)
    except RetrimError as error:
        raise RetrimError(f"{place} cannot be restored: {error}; nothing was written; {OR_WITHOUT}") from error


def _below(folder: Path, place: str) -> Path:
    """Where a file lies in a folder; a record that leads out of it, or into what git runs, is refused."""
    parts, target = Path(place).parts, folder / place
    leads_out = not parts or Path(place).is_absolute() or ".." in parts
    if leads_out or ".git" in parts or not target.parent.resolve().is_relative_to(folder.resolve()):
        raise RetrimError(
            f"the backup contains the file {place!r}, which is outside the workspace or in .git; {ANOTHER}"
        )
    return target


def _fill(backup: Backup, fresh: Path, folder: Path, env: Env) -> tuple[int, list[str]]:
    """Fills PostgreSQL, and tells the databases where files lie now, and that run directories are gone.

    Returns:
        How many places changed in MLflow's database, and what is left to a person.
    """
    artifacts, old = backup.artifacts, Path(backup.root)
    places = {artifacts if is_address(artifacts) else Path(artifacts).as_uri(): (folder / "var" / "mlflow").as_uri()}
    places |= {old.as_uri(): folder.as_uri(), str(old): str(folder)}
    addresses = {STORE: env.store_url, MLFLOW: env.mlflow_url}
    dumped = [place for place in addresses if (fresh / f"{place}{DUMPED}").is_file()]
    to_fill = {place: address for place in dumped if (address := addresses[place]) is not None}
    for address in to_fill.values():  # all of them, before one is filled
        require_empty(address)
    for place, address in to_fill.items():
        load_postgresql(fresh / f"{place}{DUMPED}", address)
    filled = to_fill | {place: f"sqlite:///{fresh / place}" for place in addresses if (fresh / place).is_file()}
    if STORE in filled:
        _forget_what_is_not_here(filled[STORE])
    variables = {STORE: "RETRIM_STORE_URL", MLFLOW: "RETRIM_MLFLOW_URL"}
    to_do = [
        f"{place}{DUMPED} was written by pg_dump; to load it into a database, restore again with {variables[place]} "
        "set to an empty PostgreSQL database"
        for place in dumped
        if place not in to_fill
    ]
    return move_places(filled[MLFLOW], places) if MLFLOW in filled else 0, to_do


def _forget_what_is_not_here(address: str) -> None:
    """Run directories, which are not in a backup, and alerts that the original sends."""
    store = Store(address)
    store.forget_untold()
    for run in store.all_runs(state=UNPUSHED):
        detail = replace(run.detail, run_directory=None)
        store.end_run(run.id, state=UNPUSHED, ended=str(run.ended), version=None, detail=detail)
    store.close()


def _left_to_do(env: Env) -> Iterator[str]:
    yield KEY_TO_DO
    places = {
        "RETRIM_STORE_URL": env.store_url,
        "RETRIM_MLFLOW_URL": env.mlflow_url,
        "RETRIM_MLFLOW_ARTIFACTS": env.mlflow_artifacts,
        "RETRIM_PREDICTIONS": env.predictions,
    }
    named = ", ".join(name for name, place in places.items() if place is not None)
    if named:
        yield (f"{named}: commands use the places set there instead of var/; unset each variable that is out of date")
    shared = {"RETRIM_LANDING": env.landing, "RETRIM_PREDICTIONS_TABLE": env.predictions_table}
    for name, place in shared.items():
        if place is not None:
            yield f"{name}: {SEPARATE[name]}; to keep this copy separate, unset {name}"
