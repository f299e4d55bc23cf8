"""The inbox `var/inbox/`: the schedule lands what is dropped there, as labels where its name begins with `labels`.
A file is claimed by a rename before it is read, so what a producer puts under its name meanwhile is another file. The
lock dies with its process, and what that had claimed is taken by the next; what kills that too is quarantined unread.
A file that is open to write elsewhere is left alone, and of one that was written after it was read the rest lands.

    var/inbox/trips.csv                   what a producer put there, whole
    var/inbox/.claimed/trips.csv          what is being landed: nobody but retrim claims files
    var/inbox/.claimed/.again/trips.csv   what is being landed once more, as that killed a process before
    var/inbox/taken/trips.csv             what landed, or lies in quarantine
"""

import fcntl
import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import count
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from retrim.adapters.sql_table import is_database, read_query, refuse_query
from retrim.errors import BadInputError, RetrimError
from retrim.files import WorkspacePaths, make_private_folder
from retrim.landing.growing import (
    ReadFile,
    ReadFiles,
    digest_of_first,
    is_being_written,
    standing_of,
    write_rest,
)
from retrim.landing.ingest import Landed, quarantine_unread
from retrim.landing.quarantine import Quarantine
from retrim.landing.take_in import large_file, take_in, with_alert
from retrim.lineage.workspace import Workspace, clock
from retrim.parquet import writable
from retrim.reading.address import address_of, fetch, is_address
from retrim.reading.landed import Kind
from retrim.table.fault import whole_file

log = logging.getLogger(__name__)
LABELS, TAKEN, CLAIMED, AGAIN = "labels", "taken", ".claimed", ".again"
ATTEMPTS = 2
"""Processes that may be killed while a file is read, before it is set aside unread."""


def take_from_inbox(workspace: Workspace, *, now: pd.Timestamp | None) -> Iterator[Landed]:
    """Lands every file of the inbox and moves it to `taken/`: rows in order of name, then labels, which need rows.

    A name that begins with `.` is left alone, and so are a link and a file that another process writes. A file that can
    be neither landed nor quarantined stays, and the others land.

    Raises:
        RetrimError: Once all others were taken: which files stay, and why.
    """
    inbox = workspace.paths.inbox
    if now is not None:  # A person may have landed something since this was due; arrivals go forward.
        now = max([now, *(file.arrived for file in workspace.landing.batches())])
    stay: dict[str, Exception] = {}
    with _alone(inbox):
        read = ReadFiles.of(inbox)
        _put_back_grown(inbox, read)
        for name, attempts in _in_turn(inbox):
            path = None
            try:
                path = _claim(inbox, name, attempts)
                if path is None:
                    continue
                if attempts < ATTEMPTS:
                    yield from _take_file(workspace, path, read, now=now)
                    if read.is_changed(path):
                        raise BadInputError(
                            f"{name} was written while it was read; the next ingest takes the rest of it"
                        )
                else:
                    yield _set_aside(workspace, path, now=now)
                _move_to_taken(inbox, path)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is that file's alone
                log.warning("file stays in the inbox", extra={"file": name, "error": str(error)})
                stay[name] = error
                _put_back(inbox, path)
            except BaseException:  # Ctrl-C and the like: the file has killed nobody
                _put_back(inbox, path)
                raise
    if stay:
        raise _why(inbox, stay)


def _take_file(workspace: Workspace, path: Path, read: ReadFiles, *, now: pd.Timestamp | None) -> Iterator[Landed]:
    """Lands a claimed file, or what came after the rows of it that have landed; notes what was read."""
    labels, before = path.name.startswith(LABELS), path.stat()
    known = read.find(path)
    standing = [] if known is None else standing_of(known, workspace.landing)
    landed: list[Landed] = []
    if known is None or not standing:
        large = large_file(workspace, path)
        for batch in take_in(workspace, path, now=now, labels=labels, correction=False, large=large):
            landed.append(batch)
            yield batch
        size = before.st_size if large is not None else landed[0].size
    else:
        make_private_folder(workspace.paths.tmp)
        with tempfile.TemporaryDirectory(prefix="rest-", dir=workspace.paths.tmp) as folder:
            rest = Path(folder) / path.name
            size = known.size + write_rest(path, known, rest, standing=standing, reading=workspace.params.reading)
            if rest.exists():
                large = large_file(workspace, rest)
                for batch in take_in(workspace, rest, now=now, labels=labels, correction=False, large=large):
                    landed.append(batch)
                    yield batch
    fresh = [batch.digest for batch in landed if batch.outcome != "quarantined"]
    if known is not None and not standing and fresh:
        _drop_beginning(workspace, path, known, now=now)
    digest = digest_of_first(path, size)
    read.keep(ReadFile(before.st_ino, size, digest, before.st_mtime_ns, (*standing, *fresh)))


def _drop_beginning(workspace: Workspace, path: Path, known: ReadFile, *, now: pd.Timestamp | None) -> None:
    """Drops the beginning of a file from quarantine, once the whole file has landed."""
    quarantine = Quarantine(workspace.paths.quarantine)
    with workspace.landing.locked_here():
        entry = quarantine.find(known.digest)
        if entry is not None and entry.state == "held":
            reason = f"{path.name} was not whole yet when it was read; it has landed since"
            quarantine.close(entry, state="dropped", by="retrim", reason=reason, now=now or clock())


def _set_aside(workspace: Workspace, path: Path, *, now: pd.Timestamp | None) -> Landed:
    """Quarantines a claimed file unread, with an alert."""
    kind: Kind = "labels" if path.name.startswith(LABELS) else "rows"
    rule = f"is read without an end of the process, in {ATTEMPTS} attempts"
    cure = (
        "read it with more memory: retrim ingest FILE, or land it from quarantine: retrim batch release ID --reason "
        "WHY; if nobody needs it, drop it: retrim batch withdraw ID --reason WHY"
    )
    value = f"{path.stat().st_size} bytes, and processes that were killed"
    fault = replace(whole_file(rule, value=value, cure=cure), releasable=True)
    landed = quarantine_unread(path, kind, fault, workspace=workspace.paths, now=now, at=workspace.landing_address)
    return with_alert(workspace, landed, now=now)


@contextmanager
def _alone(inbox: Path) -> Iterator[None]:
    """Keeps other processes from the inbox, so that what is claimed and nobody works on was left by a dead one."""
    for folder in (inbox / CLAIMED, inbox / TAKEN):
        if folder.is_symlink():
            raise BadInputError(
                f"{folder} is a symbolic link, but files are moved there; replace the link with a folder"
            )
    inbox.mkdir(parents=True, exist_ok=True)
    with inbox.with_name(f"{inbox.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            for folder in (inbox / CLAIMED / AGAIN, inbox / CLAIMED):
                with suppress(OSError):  # not there, or not empty: a kill or a refusal left something
                    folder.rmdir()


def _put_back_grown(inbox: Path, read: ReadFiles) -> None:
    """Moves taken files that were written since they were read back to the inbox."""
    taken = inbox / TAKEN
    for path in read.changed_in(taken) if taken.is_dir() else ():
        log.warning("file was written after it was read; the rest is taken", extra={"file": path.name})
        _put_back(inbox, path)


def _in_turn(inbox: Path) -> list[tuple[str, int]]:
    """Names of files, and how many processes died that had claimed them: rows first, each in order of name."""
    left = [inbox / CLAIMED, inbox / CLAIMED / AGAIN]
    claimed = [[path.name for path in folder.glob("[!.]*")] if folder.is_dir() else [] for folder in left]
    there = [path.name for path in inbox.glob("[!.]*") if path.is_symlink() or path.is_file()]
    files = [(name, attempts) for attempts, names in enumerate([there, *claimed]) for name in names]
    return sorted(files, key=lambda one: (one[0].startswith(LABELS), one[0], -one[1]))


def _claim(inbox: Path, name: str, attempts: int) -> Path | None:
    """Moves a file to where no producer writes, and which says how often it was tried; None if it has to wait.

    Raises:
        BadInputError: It is a link.
    """
    folders = [inbox, inbox / CLAIMED, inbox / CLAIMED / AGAIN]
    source = folders[attempts] / name
    claimed = folders[min(attempts + 1, ATTEMPTS)] / name
    if source == claimed:
        return claimed
    claimed.parent.mkdir(parents=True, exist_ok=True)
    if claimed.exists():  # one of its name could not even be put back: this one waits
        return None
    if source.is_symlink():
        raise BadInputError(f"{source} is a symbolic link, which retrim does not follow; put the file itself there")
    try:
        if is_being_written(source):
            log.warning("file is still written, and is taken next time", extra={"file": name})
            return None
        source.rename(claimed)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(claimed.lstat().st_mode):  # it became one between two looks
        _put_back(inbox, claimed)
        raise BadInputError(f"{source} is not a regular file; put the file itself there")
    return claimed


def _move_to_taken(inbox: Path, claimed: Path) -> None:
    """Moves a claimed file to `taken/`, under a free name: nobody else moves files there."""
    taken = inbox / TAKEN
    taken.mkdir(exist_ok=True)
    free = next(name for name in _names(claimed.name) if not os.path.lexists(taken / name))
    claimed.rename(taken / free)


def _put_back(inbox: Path, path: Path | None) -> None:
    """Moves a file back, under a free name: a producer may have put the next one there. A link makes sure."""
    if path is None:
        return
    for name in _names(path.name):
        try:
            os.link(path, inbox / name, follow_symlinks=False)
        except FileExistsError:
            continue
        except OSError:  # no such links here: then it stays where it is, and the next run takes it
            return
        path.unlink()
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
    reasons = "; ".join(
        f"{name} ({error if isinstance(error, RetrimError) else f'{type(error).__name__}: {error}'})"
        for name, error in stay.items()
    )
    error = RetrimError(f"some files could not be landed; those that stay in {inbox} are retried next time: {reasons}")
    error.__cause__ = first
    return error


@contextmanager
def at_hand(workspace: WorkspacePaths, where: str, *, query: str | None, table: str | None) -> Iterator[Path]:
    """The file at a path or an address as a file of this machine; rows of a database as Parquet, in their order.

    Args:
        query: For a database: a statement that gives the rows. Only with ORDER BY has it the same bytes each time.

    Raises:
        BadInputError: It cannot be read, or is more than one file.
    """
    if not is_address(where):
        refuse_query(query, table)
        yield Path(where)
        return
    address = address_of(where)
    make_private_folder(workspace.tmp)
    with tempfile.TemporaryDirectory(prefix="fetched-", dir=workspace.tmp) as folder:
        file = Path(folder) / (re.sub(r"[^\w.-]+", "_", address.name).strip(".")[-100:] or "table")
        if is_database(where):
            file = file.with_suffix(".parquet")
            pq.write_table(writable(read_query(where, query=query, table=table)), file)
        else:
            refuse_query(query, table)
            files = fetch(where)
            if len(files) > 1:
                raise BadInputError(
                    f"{address.shown} matches {len(files)} files, but each file must be a separate batch; land them "
                    "one by one"
                )
            file.write_bytes(files[0][1])
        yield file
