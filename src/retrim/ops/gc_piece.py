"""What pruning looks at, piece by piece."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Piece:
    """Something that was looked at.

    Args:
        what: Room, trial log, environment, run cache, cache or MLflow run.
        name: Which.
        frees: Bytes that are free once it is gone.
        why: Why it is kept, or why it goes.
        remove: Removes it; None where it is kept.
    """

    what: str
    name: str
    frees: int
    why: str
    remove: Callable[[], None] | None

    def as_record(self) -> dict[str, Any]:
        return {"what": self.what, "name": self.name, "bytes": self.frees, "why": self.why}


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder that no other name on the disk holds."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            state = path.lstat()
            total += state.st_size if state.st_nlink == 1 and path.is_file() and not path.is_symlink() else 0
    return total


def unlink(path: Path) -> None:
    """Removes a file that may be gone already."""
    path.unlink(missing_ok=True)
