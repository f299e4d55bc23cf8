"""Where backups lie: a folder, or any address of fsspec. A content lies there once, whatever names it. Nothing is ever
removed or written anew, so several may write at once; a killed backup has no record, so it is none.

    <place>/objects/<two digits>/<SHA-256>         the content of files
    <place>/backups/<moment>-<16 digits>.json      a backup: its record, written last; the digits are those of its bytes
"""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import pandas as pd

from retrim.errors import BadInputError, RetrimError
from retrim.files import flush, flush_all, make_private_folder, open_private
from retrim.operations.backup_record import FORMAT, Backup, BackupFile
from retrim.reading.address import Address, address_of, is_address, is_here, open_system, without_secrets
from retrim.stats.codec import from_record, to_json, to_record

RECORD_NAME = re.compile(r"(\d{8}T\d{6}Z)-([0-9a-f]{16})\.json", re.ASCII)
OBJECT_NAME = re.compile(r"[0-9a-f]{64}", re.ASCII)
STAMP = "%Y%m%dT%H%M%SZ"
PIECE = 1 << 20
TURNS = 28
"""Days within which every content is read again."""
STAGED_SECONDS = 24 * 3600
"""What is staged for so long is of a backup that was killed: one file is copied in less."""


class BackupStore:
    """The backups at a folder or an address.

    Attributes:
        shown: The address without secrets.
        added: Bytes of each content that was laid here, by digest.
    """

    def __init__(self, where: str) -> None:
        self._address = address_of(where) if is_address(where) else Address(where, where, ())
        self.shown = self._address.shown
        self.added: dict[str, int] = {}
        self._system, path = open_system(address_of(where if is_address(where) else f"file://{Path(where).absolute()}"))
        self._root = path.rstrip("/")
        self._is_here = is_here(self._system)
        self._sound: dict[str, bool] = {}

    @cached_property
    def _objects(self) -> dict[str, int]:
        """Bytes of each content that lies here, listed once; kept up while contents are added."""
        sizes = {path.rpartition("/")[2]: size for path, size in self._listed("objects").items()}
        return {name: size for name, size in sizes.items() if OBJECT_NAME.fullmatch(name)}

    def has(self, file: BackupFile) -> bool:
        """Whether a content of that digest and length is here, and was not found damaged."""
        return self._holds(file.digest, file.size)

    def _holds(self, digest: str, size: int) -> bool:
        return self._objects.get(digest) == size and self._sound.get(digest, True)

    def put(self, source: BinaryIO, place: str, state: str = "") -> BackupFile:
        """Lays a content here, whole or not at all, if it is not here yet.

        Raises:
            RetrimError: It cannot be read, or the place cannot be written.
        """
        with self._wrapped("written"), self._staged() as staged:
            with open_private(staged) as file:
                digest, size = _copy(_pieces(source, place), file)
            if not self._holds(digest, size):
                self._lay(staged, self._path_of(digest))
                self._objects[digest] = self.added[digest] = size
                self._sound[digest] = True
        return BackupFile(place=place, digest=digest, size=size, state=state)

    def get(self, digest: str, to: Path) -> None:
        """Writes a content into a file.

        Raises:
            RetrimError: It is not here, or not what its name says.
            OSError: The file cannot be written.
        """
        try:
            with open_private(to) as file:
                actual, _ = _copy(self._pieces_of(digest), file)
        except OSError as error:  # a full disk names no file
            raise OSError(error.errno, error.strerror, str(to)) from error
        if actual != digest:
            raise RetrimError(
                f"{self.shown}/objects/{digest[:2]}/{digest} is damaged: its SHA-256 is {actual[:16]}, not the "
                "SHA-256 in its name"
            )

    def is_sound(self, file: BackupFile) -> bool:
        """Whether a content is here and is what its name says; it is read once, however many backups name it."""
        if file.digest not in self._sound:
            self._sound[file.digest] = self.has(file) and _copy(self._pieces_of(file.digest))[0] == file.digest
        return self._sound[file.digest]

    def look_again(self, now: pd.Timestamp) -> None:
        """Reads the contents whose turn came since the newest backup, each once in `TURNS` days; the damaged are laid
        anew by the next `put`.
        """
        newest = self.newest()
        days = range(0) if newest is None else range(newest.toordinal(), now.tz_convert("UTC").toordinal())
        turns = {day % TURNS for day in days[-TURNS:]}
        for digest in [name for name in self._objects if int(name[:8], 16) % TURNS in turns]:
            try:
                self._sound[digest] = _copy(self._pieces_of(digest))[0] == digest
            except RetrimError:  # a disk that cannot read it
                self._sound[digest] = False

    @property
    def damaged(self) -> list[str]:
        """Contents that were found damaged and not laid anew."""
        return sorted(digest for digest, sound in self._sound.items() if not sound)

    def _pieces_of(self, digest: str) -> Iterator[bytes]:
        with self._wrapped("read"), self._system.open(self._path_of(digest), "rb") as source:
            while piece := source.read(PIECE):
                yield piece

    def add(self, backup: Backup) -> str:
        """Writes the record of a backup, once all that it names has reached the disk; gives its name.

        Raises:
            RetrimError: The place cannot be written.
        """
        content = to_json(to_record(backup))
        name = f"{backup.at.tz_convert('UTC').strftime(STAMP)}-{hashlib.sha256(content).hexdigest()[:16]}.json"
        with self._wrapped("written"), self._staged() as staged:
            with open_private(staged) as file:
                file.write(content)
            if self._is_here:
                flush_all([Path(self._path_of(digest)) for digest in self.added], below=Path(self._root))
                flush(staged)
            self._lay(staged, f"{self._root}/backups/{name}")
            if self._is_here:
                flush(Path(self._root) / "backups")
        return name

    def names(self) -> list[str]:
        """Names of the backups, oldest first."""
        names = (path.rpartition("/")[2] for path in self._listed("backups"))
        return sorted(name for name in names if RECORD_NAME.fullmatch(name))

    def newest(self) -> pd.Timestamp | None:
        """The moment of the newest backup; None where there is none."""
        names = self.names()
        return _moment(names[-1]) if names else None

    def read(self, name: str) -> Backup:
        """A backup by its name.

        Raises:
            RetrimError: Its record is damaged, or another retrim wrote it.
        """
        place = f"{self.shown}/backups/{name}"
        with self._wrapped("read"):
            content = self._system.cat_file(f"{self._root}/backups/{name}")
        if not name.endswith(f"-{hashlib.sha256(content).hexdigest()[:16]}.json"):
            raise RetrimError(f"{place} is damaged: its content does not match the hash in its name; remove this file")
        record = json.loads(content)
        if record["format"] != FORMAT:
            raise RetrimError(f"{place} was written by retrim {record['retrim']}; restore it with that version")
        return from_record(Backup, record)

    def chosen(self, until: pd.Timestamp | None) -> str:
        """The newest backup, or the newest whose cut is at or before a moment.

        Raises:
            BadInputError: There is none.
        """
        names = self.names()
        if not names:
            raise BadInputError(
                f"{self.shown} contains no backup; pass the folder or address that the backups were written to"
            )
        fitting = [name for name in names if until is None or _moment(name) <= until]
        if not fitting:
            raise BadInputError(
                f"{self.shown} has no backup from {until} or earlier; choose a later time: the oldest backup is from "
                f"{names[0][:16]}"
            )
        return fitting[-1]

    def clear_staged(self) -> None:
        """Removes what killed backups were writing."""
        for folder in (Path(self._root) / ".staged").glob("*") if self._is_here else ():
            with suppress(OSError):
                if folder.stat().st_mtime < time.time() - STAGED_SECONDS:
                    shutil.rmtree(folder)

    def _listed(self, within: str) -> dict[str, int]:
        """Bytes of each file in a folder of the place; empty where there is none."""
        folder = f"{self._root}/{within}"
        with self._wrapped("read"):
            self._system.invalidate_cache()
            if not self._system.exists(folder):
                return {}
            return {path: int(facts["size"]) for path, facts in self._system.find(folder, detail=True).items()}

    def _lay(self, staged: Path, path: str) -> None:
        if self._is_here:
            make_private_folder(Path(path).parent)
            staged.replace(path)
        else:
            self._system.put_file(str(staged), path)

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        """A file that becomes one of here: beside it, where it is on this machine."""
        folder = Path(self._root) / ".staged" if self._is_here else None
        if folder is not None:
            make_private_folder(folder)
        with TemporaryDirectory(prefix="retrim-backup-", dir=folder) as room:
            yield Path(room) / "staged"

    def _path_of(self, digest: str) -> str:
        return f"{self._root}/objects/{digest[:2]}/{digest}"

    def _wrapped(self, what: str) -> AbstractContextManager[None]:
        fails = f"the backups at {self.shown} cannot be {what}"
        cure = "check the disk, its permissions, and the protocol credentials in the environment"
        return without_secrets(self._address, fails, cure)


def _moment(name: str) -> pd.Timestamp:
    return pd.Timestamp(name.partition("-")[0])


def _pieces(source: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        while piece := source.read(PIECE):
            yield piece
    except Exception as error:  # noqa: BLE001  each kind of address has errors of its own, which may hold its secrets
        why = getattr(error, "strerror", None) or type(error).__name__
        raise RetrimError(f"{name} cannot be read ({why}); check the disk or the address that it lies at") from None


def _copy(pieces: Iterator[bytes], target: BinaryIO | None = None) -> tuple[str, int]:
    """Writes a content, if there is a target; gives its SHA-256 and its bytes."""
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        if target is not None:
            target.write(piece)
    return digest.hexdigest(), size
