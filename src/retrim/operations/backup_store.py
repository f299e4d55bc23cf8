"""Where backups lie: a folder, or any address of fsspec. A content lies there once, whatever names it.

    <place>/objects/<two digits>/<SHA-256>         the content of files
    <place>/backups/<moment>-<16 digits>.json      a backup: its record, written last; the digits are those of its bytes
    <place>/locks/<16 digits>.json                 at an address: who writes there now; a folder's lock is the system's

A killed backup has no record, so it is none. What it brought lies there, and the next one finds it.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import pandas as pd

from retrim.errors import BadInputError, BusyError, RetrimError
from retrim.files import flush, flush_all, make_private_folder, open_private
from retrim.lineage.address_lock import AddressLock
from retrim.operations.backup_record import FORMAT, Backup, BackupMaker
from retrim.reading.address import Address, address_of, is_address, is_here, open_system, without_secrets
from retrim.stats.codec import from_record, to_json, to_record

NAMED = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{16})\.json", re.ASCII)
OBJECT = re.compile(r"[0-9a-f]{64}", re.ASCII)
STAMP = "%Y%m%dT%H%M%SZ"
PIECE = 1 << 20


@dataclass(frozen=True)
class StoredObject:
    """A content: its SHA-256, and its bytes."""

    digest: str
    size: int


class BackupStore:
    """The backups at a place.

    Args:
        where: A folder or an address.
    """

    def __init__(self, where: str) -> None:
        self._address = address_of(where) if is_address(where) else Address(where, where, ())
        whole = where if is_address(where) else f"file://{Path(where).absolute()}"
        self._system, path = open_system(address_of(whole))
        self._root = path.rstrip("/")
        self._is_here = is_here(self._system)
        self._new: list[Path] = []
        self._lock: AddressLock | None = None

    @property
    def shown(self) -> str:
        """The address without secrets."""
        return self._address.shown

    @property
    def folder(self) -> Path | None:
        """The folder, where it is one of this machine."""
        return Path(self._root) if self._is_here else None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps other backups out, as of a copy of the workspace: each would remove what the other brought.

        Raises:
            BusyError: One is in progress.
        """
        if not self._is_here:
            with ExitStack() as held:
                with self._told("written"):
                    self._lock = held.enter_context(AddressLock(self._system, self._root, self.shown).held())
                try:
                    yield
                finally:
                    self._lock = None
            return
        with self._told("written"):
            make_private_folder(Path(self._root))
            lock = open_private(Path(self._root) / ".lock")
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BusyError(
                    f"another backup is writing to {self.shown}; wait until that backup ends, or choose a "
                    "different place"
                ) from error
            yield

    @cached_property
    def objects(self) -> dict[str, int]:
        """Bytes of each content that lies here, as listed once; kept up while contents are added."""
        return self._objects_now()

    def _objects_now(self) -> dict[str, int]:
        with self._told("read"):
            return {
                name.rpartition("/")[2]: size
                for name, size in self._listed("objects").items()
                if OBJECT.fullmatch(name.rpartition("/")[2])
            }

    def has(self, digest: str, size: int) -> bool:
        return self.objects.get(digest) == size

    def put(self, source: BinaryIO, name: str) -> StoredObject:
        """Lays a content here, whole or not at all, if it is not here yet.

        Raises:
            RetrimError: It cannot be read, or the place cannot be written.
        """
        with self._told("written"), self._staged() as staged:
            with open_private(staged) as file:
                found = _copied(_pieces(source, name), file)
            if not self.has(found.digest, found.size):
                self._lay(staged, self._path_of(found.digest))
                self.objects[found.digest] = found.size
        return found

    def get(self, digest: str, to: Path) -> None:
        """Writes a content into a file.

        Raises:
            RetrimError: It is not here, or not what its name says.
            OSError: The file cannot be written.
        """
        try:
            with open_private(to) as file:
                found = _copied(self._pieces_of(digest), file)
        except OSError as error:  # a full disk names no file
            raise OSError(error.errno, error.strerror, str(to)) from error
        if found.digest != digest:
            raise RetrimError(
                f"{self.shown}/{self._within(digest)} is damaged: its SHA-256 is {found.digest[:16]}, not the "
                "SHA-256 in its name"
            )

    def _pieces_of(self, digest: str) -> Iterator[bytes]:
        with self._told("read"), self._system.open(self._path_of(digest), "rb") as source:
            while piece := source.read(PIECE):
                yield piece

    def add(self, backup: Backup) -> str:
        """Writes the record of a backup, once all that it names has reached the disk; gives its name.

        Raises:
            RetrimError: Something that it names is not here, or the place cannot be written.
        """
        self._require_lock()
        there = self._objects_now()
        lost = [file.place for file in backup.every_file() if there.get(file.digest) != file.size]
        if lost:
            raise RetrimError(
                f"files of this backup, such as {lost[0]}, disappeared from {self.shown} during the backup, because "
                "another backup also writes there; use a separate place for each workspace, and try again"
            )
        content = to_json(to_record(backup))
        name = f"{backup.at.tz_convert('UTC').strftime(STAMP)}-{hashlib.sha256(content).hexdigest()[:16]}.json"
        with self._told("written"), self._staged() as staged:
            with open_private(staged) as file:
                file.write(content)
            if self._is_here:
                flush_all(self._new, below=Path(self._root))
            self._lay(staged, f"{self._root}/backups/{name}")
            if self._is_here:
                flush(Path(self._root) / "backups")
        return name

    def names(self) -> list[str]:
        """Names of the backups, oldest first."""
        with self._told("read"):
            return sorted(
                name for name in (path.rpartition("/")[2] for path in self._listed("backups")) if _is_one(name)
            )

    def newest(self) -> pd.Timestamp | None:
        """The moment of the newest backup; None where there is none."""
        names = self.names()
        return pd.Timestamp(names[-1].partition("-")[0]) if names else None

    def read(self, name: str) -> Backup:
        """A backup by its name.

        Raises:
            RetrimError: Its record is damaged, or a newer retrim wrote it.
        """
        place = f"{self.shown}/backups/{name}"
        with self._told("read"), self._system.open(f"{self._root}/backups/{name}", "rb") as file:
            content = file.read()
        if not name.endswith(f"-{hashlib.sha256(content).hexdigest()[:16]}.json"):
            raise RetrimError(f"{place} is damaged: its content does not match the hash in its name; remove this file")
        record = json.loads(content)
        made = from_record(BackupMaker, record)
        if made.format > FORMAT:
            raise RetrimError(
                f"{place} was written by retrim {made.retrim}; install that version of retrim to restore it"
            )
        return from_record(Backup, record)

    def chosen(self, until: pd.Timestamp | None) -> str:
        """The newest backup, or the newest whose cut is at or before a moment.

        Raises:
            BadInputError: There is none.
        """
        names = self.names()
        fitting = [name for name in names if until is None or pd.Timestamp(name.partition("-")[0]) <= until]
        if fitting:
            return fitting[-1]
        if names:
            raise BadInputError(
                f"{self.shown} has no backup from {until} or earlier; choose a later time: the oldest backup is from "
                f"{names[0][:16]}"
            )
        raise BadInputError(
            f"{self.shown} contains no backup; pass the folder or address that the backups were written to"
        )

    def prune(self, keep: int, made: str | None = None) -> tuple[list[str], int]:
        """Removes all but the newest backups, then the contents that none of those names.

        Returns:
            Names of the backups that went, and how many contents.

        Raises:
            RetrimError: The record of one that stays cannot be read: what it names is not known, and nothing goes.
        """
        self._require_lock()
        names = self.names()
        gone = [name for name in names if name not in names[-keep:] and name != made]
        named = {file.digest for name in names if name not in gone for file in self.read(name).every_file()}
        with self._told("written"):
            for name in gone:
                self._system.rm(f"{self._root}/backups/{name}")
            unnamed = [digest for digest in self.objects if digest not in named]
            for digest in unnamed:
                self._system.rm(self._path_of(digest))
                del self.objects[digest]
        return gone, len(unnamed)

    def _require_lock(self) -> None:
        """Checks that a lock that was taken is still there: a machine that slept may have lost it.

        Raises:
            BusyError: It is gone.
        """
        if self._lock is None:
            return
        with self._told("read"):
            there = self._lock.is_there()
        if not there:
            raise BusyError(
                f"another backup has started at {self.shown}, because this backup showed no activity for 15 minutes; "
                "nothing was changed. Wait until the other backup ends, then try again"
            )

    def _listed(self, within: str) -> dict[str, int]:
        """Bytes of each file in a folder of the place; empty where there is none."""
        self._system.invalidate_cache()
        folder = f"{self._root}/{within}"
        if not self._system.exists(folder):
            return {}
        return {name: int(facts["size"]) for name, facts in self._system.find(folder, detail=True).items()}

    def _lay(self, staged: Path, path: str) -> None:
        if not self._is_here:
            self._system.put_file(str(staged), path)
            return
        target = Path(path)
        make_private_folder(target.parent)
        staged.replace(target)
        self._new.append(target)

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        """A file that becomes one of here: beside it, where it is on this machine."""
        if self._is_here:
            folder = Path(self._root) / ".staged"
            make_private_folder(folder)
            file = folder / str(os.getpid())
            try:
                yield file
            finally:
                file.unlink(missing_ok=True)
            return
        with TemporaryDirectory(prefix="retrim-backup-") as made:
            yield Path(made) / "staged"

    def _path_of(self, digest: str) -> str:
        return f"{self._root}/{self._within(digest)}"

    def _within(self, digest: str) -> str:
        return f"objects/{digest[:2]}/{digest}"

    def _told(self, what: str) -> AbstractContextManager[None]:
        fails = f"the backups at {self.shown} cannot be {what}"
        cure = "check the disk, its permissions, and the protocol credentials in the environment"
        return without_secrets(self._address, fails, cure)


def _is_one(name: str) -> bool:
    return NAMED.fullmatch(name) is not None


def _pieces(source: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        while piece := source.read(PIECE):
            yield piece
    except Exception as error:  # noqa: BLE001  each kind of address has errors of its own, which may hold its secrets
        why = getattr(error, "strerror", None) or type(error).__name__
        raise RetrimError(f"{name} cannot be read ({why}); check the disk or the address that it lies at") from None


def _copied(pieces: Iterable[bytes], target: BinaryIO) -> StoredObject:
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        target.write(piece)
    return StoredObject(digest.hexdigest(), size)


def clear_staged(store: BackupStore) -> None:
    """Removes what a killed backup was writing; only for one who knows that no other is in progress."""
    if store.folder is not None:
        with suppress(OSError):
            shutil.rmtree(store.folder / ".staged")
