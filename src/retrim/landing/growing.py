"""Files of the inbox that a producer goes on writing after they were read: what was read of each, and the rest.

A file is known again by its number on the disk and by the bytes that were read, under whatever name it lies.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from retrim.adapters.landing_zone import Landing
from retrim.errors import BadInputError, RetrimError
from retrim.files import open_private, write_private
from retrim.reading.chunks import LONGEST, is_plain, told_of
from retrim.reading.container import ARROW, GZIP, JSON_LINE, OTHER_MARKS, PARQUET
from retrim.reading.landed import batch_id
from retrim.reading.records import csv_ends, first_record
from retrim.stats.codec import from_record, to_json, to_record
from retrim.table.reading import ReadingParams

WATCHED = 200
"""Files read last that are looked at again; none is written for longer."""
HEAD, STEP = 1 << 16, 1 << 20


@dataclass(frozen=True)
class ReadFile:
    """What was read of a file.

    Args:
        size: Bytes that were read, from its beginning.
        digest: SHA-256 of these.
        changed: When it had been written last, in nanoseconds.
        landed: SHA-256 of each batch that landed from it; empty if all is in quarantine.
    """

    inode: int
    size: int
    digest: str
    changed: int
    landed: tuple[str, ...]


def digest_of_first(path: Path, size: int) -> str:
    """SHA-256 of the first bytes of a file."""
    digest, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left and (piece := file.read(min(left, STEP))):
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


@dataclass
class ReadFiles:
    """What was read of the newest files; kept in a file of its own."""

    path: Path
    files: list[ReadFile] = field(default_factory=list)

    @classmethod
    def of(cls, inbox: Path) -> "ReadFiles":
        """As the last run has kept it beside the inbox; where that is lost, none is known."""
        path = inbox.with_name(f"{inbox.name}.read.json")
        with suppress(OSError, ValueError, RetrimError):
            return cls(path, list(from_record(tuple[ReadFile, ...], json.loads(path.read_bytes()))))
        return cls(path)

    def find(self, path: Path) -> ReadFile | None:
        """What was read of a file before, if it still begins with that."""
        known, stat = self._of(path), path.stat()
        same = known is not None and stat.st_size >= known.size and digest_of_first(path, known.size) == known.digest
        return known if same else None

    def is_changed(self, path: Path) -> bool:
        """Whether a file was written since it was read."""
        known, stat = self._of(path), path.stat()
        return known is not None and (known.size, known.changed) != (stat.st_size, stat.st_mtime_ns)

    def _of(self, path: Path) -> ReadFile | None:
        inode = path.stat().st_ino
        return next((file for file in self.files if file.inode == inode), None)

    def changed_in(self, folder: Path) -> list[Path]:
        """The files of a folder that were written since they were read, in order of name."""
        watched = {file.inode for file in self.files}
        with os.scandir(folder) as entries:  # which gives numbers without a look at each file
            paths = [Path(entry.path) for entry in entries if entry.inode() in watched and entry.is_file()]
        return sorted(path for path in paths if self.is_changed(path))

    def keep(self, read: ReadFile) -> None:
        """Notes what was read of a file, in place of what was noted of it before."""
        self.files = [*(file for file in self.files if file.inode != read.inode), read][-WATCHED:]
        write_private(self.path, to_json([to_record(file) for file in self.files]))


def is_being_written(path: Path) -> bool:
    """Whether another process has a file open to write; False where the disk cannot tell."""
    # Not blocking: it may have become a pipe since it was looked at.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)  # which is refused while somebody may write
        except BlockingIOError:
            return True
        except OSError:  # another user's file, or a disk of another machine
            return False
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def standing_of(read: ReadFile, landing: Landing) -> list[str]:
    """The batches that landed from a file and that nobody has withdrawn."""
    digests = {file.digest for file in landing.standing()}
    return [digest for digest in read.landed if digest in digests]


def write_rest(path: Path, read: ReadFile, rest: Path, *, standing: Sequence[str], reading: ReadingParams) -> int:
    """Writes what came after the bytes that were read as a file of its own, with the header; gives its bytes of `path`.

    Raises:
        BadInputError: Its rows cannot be told from those that have landed.
    """
    with path.open("rb") as file:
        head = file.read(HEAD)
        file.seek(read.size - 1)
        last, following = file.read(1), file.read(1)
        if not following:
            return 0
        is_text = is_plain(reading.encoding) and not head.startswith((PARQUET, ARROW, GZIP, *OTHER_MARKS))
        if not is_text or last not in (b"\n", b"\r"):
            batch = batch_id(standing[0])
            raise BadInputError(
                f"{path.name} has grown since its first {read.size} bytes landed as batch {batch}, and not by whole "
                f"lines; withdraw that batch, so that the whole file lands anew: retrim batch withdraw {batch} "
                "--reason WHY"
            )
        header = b""
        if not JSON_LINE.match(head):
            file.seek(0)
            with told_of(path.name):
                header, _ = first_record(file, csv_ends(reading.separator), longest=LONGEST)
        file.seek(read.size)
        with open_private(rest) as target:
            target.write(header)
            shutil.copyfileobj(file, target)
            return target.tell() - len(header)
