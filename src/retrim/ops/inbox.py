"""The inbox `var/inbox/`: the schedule lands what is dropped there, as labels where its name begins with `labels`.

    var/inbox/trips.csv            what a producer put there, whole
    var/inbox/.claimed/trips.csv   what is being landed: nobody but retrim writes there
    var/inbox/taken/trips.csv      what landed, or lies in quarantine

A file is claimed by a rename before it is read. So what a producer puts under its name meanwhile is another file, and
is taken next time. The lock dies with its process, and what that had claimed is taken by the next.
"""

import fcntl
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import pandas as pd

from retrim.errors import BadInputError, RetrimError
from retrim.ops.house import House
from retrim.ops.ingest import Landed
from retrim.ops.take_in import large_file, take_in

log = logging.getLogger(__name__)
LABELS, TAKEN, CLAIMED = "labels", "taken", ".claimed"


def take(house: House, *, now: pd.Timestamp | None) -> Iterator[Landed]:
    """Lands every file of the inbox and moves it to `taken/`: rows in order of name, then labels, which need rows.

    A large file gives a batch a piece, and is moved after the last. A name that begins with `.` is left alone, and so
    is a link. A file that can be neither landed nor quarantined stays, and the others land.

    Args:
        house: Where they land.
        now: When they arrive; None: by the clock, each when its turn has come.

    Raises:
        RetrimError: Once all others were taken: which files stay, and why.
    """
    inbox = house.workspace.inbox
    if now is not None:  # A person may have landed something since this was due; arrivals go forward.
        now = max([now, *(file.arrived for file in house.landing.batches())])
    stay: dict[str, Exception] = {}
    with _alone(inbox):
        for name, left in _in_turn(inbox):
            try:
                path = inbox / CLAIMED / name if left else _claim(inbox, name)
                if path is None:
                    continue
                large, labels = large_file(house, path), name.startswith(LABELS)
                yield from take_in(house, path, now=now, labels=labels, correction=False, large=large)
                _move_to_taken(inbox, name)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is that file's alone
                log.warning("file stays in the inbox", extra={"file": name, "error": str(error)})
                stay[name] = error
                _put_back(inbox, name)
    if stay:
        raise _why(inbox, stay)


@contextmanager
def _alone(inbox: Path) -> Iterator[None]:
    """Keeps other processes from the inbox, so that what is claimed and nobody works on was left by a dead one."""
    for folder in (inbox / CLAIMED, inbox / TAKEN):
        if folder.is_symlink():
            raise BadInputError(f"{folder} is a link, and files are moved there; make it a folder")
    inbox.mkdir(parents=True, exist_ok=True)
    with inbox.with_name(f"{inbox.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):  # not there, or not empty: a kill or a refusal left something
                (inbox / CLAIMED).rmdir()


def _in_turn(inbox: Path) -> list[tuple[str, bool]]:
    """Names of files, and whether a dead process had claimed them: rows first, each in order of name."""
    claimed = inbox / CLAIMED
    left = [path.name for path in claimed.iterdir()] if claimed.is_dir() else []
    there = [path.name for path in inbox.iterdir() if path.is_symlink() or path.is_file()]
    found = [*((name, True) for name in left), *((name, False) for name in there if not name.startswith("."))]
    return sorted(found, key=lambda one: (one[0].startswith(LABELS), one[0], not one[1]))


def _claim(inbox: Path, name: str) -> Path | None:
    """Moves a file to where no producer writes; None if it has gone.

    Raises:
        BadInputError: It is a link.
    """
    claimed = inbox / CLAIMED / name
    claimed.parent.mkdir(exist_ok=True)
    if claimed.exists():  # one of its name could not even be put back: this one waits
        return None
    if (inbox / name).is_symlink():
        raise BadInputError(f"{inbox / name} is a link, which is not followed; put the file itself there")
    try:
        (inbox / name).rename(claimed)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(claimed.lstat().st_mode):  # it became one between two looks
        raise BadInputError(f"{inbox / name} is no plain file; put the file itself there")
    return claimed


def _move_to_taken(inbox: Path, name: str) -> None:
    """Moves a claimed file to `taken/`, under a free name: nobody else moves files there."""
    taken = inbox / TAKEN
    taken.mkdir(exist_ok=True)
    free = next(each for each in _names(name) if not (taken / each).is_symlink() and not (taken / each).exists())
    (inbox / CLAIMED / name).rename(taken / free)


def _put_back(inbox: Path, name: str) -> None:
    """Moves a claimed file back, under a free name: a producer may have put the next one there. A link makes sure."""
    claimed = inbox / CLAIMED / name
    for each in _names(name):
        try:
            os.link(claimed, inbox / each, follow_symlinks=False)
        except FileExistsError:
            continue
        except OSError:  # never claimed; or no such links here: then it stays claimed, and the next run takes it
            return
        claimed.unlink()
        return


def _names(name: str) -> Iterator[str]:
    """`trips.csv`, `trips.2.csv`, `trips.3.csv`, ..."""
    yield name
    path = Path(name)
    suffixes = "".join(path.suffixes[-2:])
    for number in count(2):
        yield f"{name.removesuffix(suffixes)}.{number}{suffixes}"


def _why(inbox: Path, stay: dict[str, Exception]) -> RetrimError:
    """The error that says which files stay and why; the file's own where that is enough."""
    first = next(iter(stay.values()))
    if len(stay) == 1 and isinstance(first, RetrimError):
        return first
    told = "; ".join(
        f"{name} ({error if isinstance(error, RetrimError) else f'{type(error).__name__}: {error}'})"
        for name, error in stay.items()
    )
    error = RetrimError(f"not everything could be landed; what stays in {inbox} is tried again next time: {told}")
    error.__cause__ = first
    return error
