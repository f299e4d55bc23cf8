"""A file that is handed in: it lands as a batch, or, where it is large, as several, piece by piece.

Each piece is a batch of its own: looked at, landed or set aside alone, and not done again when the file comes again.

The inbox `var/inbox/`: the schedule lands what is dropped there, as labels where its name begins with `labels`.

    var/inbox/trips.csv                   what a producer put there, whole
    var/inbox/.claimed/trips.csv          what is being landed: nobody but retrim claims files
    var/inbox/.claimed/.again/trips.csv   what is being landed once more, as that killed a process before
    var/inbox/taken/trips.csv             what landed, or lies in quarantine

A file is claimed by a rename before it is read. So what a producer puts under its name meanwhile is another file, and
is taken next time. The lock dies with its process, and what that had claimed is taken by the next; what kills that
too is quarantined unread, so that it stops no other file.

A rename does not stop a producer that goes on writing. So a file that is open to write elsewhere is left alone, and one
that was written after it was read is taken again: what has landed stays, and the rest lands.

A batch that was due and has not landed is told.

A file that lies elsewhere, at hand for as long as it lands.
"""

import fcntl
import logging
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count, pairwise
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from retrim.adapters.landing_zone import Landing
from retrim.adapters.sql_table import is_database, read_query, refuse_query
from retrim.decision.alerts import AlertKind
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
from retrim.landing.ingest import Landed, land_batch, quarantine_unread
from retrim.landing.quarantine import Quarantine
from retrim.landing.withdraw import A_SECOND, refuse_withdrawn
from retrim.lineage.workspace import Workspace, clock, record_alert, tell_suspicious
from retrim.reading.address import address_of, fetch, is_address
from retrim.reading.chunks import Chunk, LargeFile, large_at
from retrim.reading.landed import Kind
from retrim.reading.table import writable
from retrim.stats.codec import Duration, Instant, written
from retrim.table.data import DataParams
from retrim.table.fault import whole_file

TOLD = 3
"""Faults of a batch that its alert names."""


def take_in(
    workspace: Workspace,
    path: Path,
    *,
    now: pd.Timestamp | None,
    labels: bool,
    correction: bool,
    large: LargeFile | None,
) -> Iterator[Landed]:
    """Lands a file as rows or as labels, looked at as params.yaml says; `now` as for `land`.

    Pieces arrive together, at `now`; those of a correction a second after one another. Where the first piece is no such
    table as declared, nor are the others, and they are left out.

    Args:
        now: When it arrives; None: by the clock.

    Raises:
        BadInputError: As for `land`; or the file was changed meanwhile, or has landed in part, cut otherwise.
    """
    if large is None:
        yield _told(workspace, _take_in(workspace, path, now=now, labels=labels, correction=correction), now=now)
        return
    landed = workspace.landing.batches()
    whole = next((batch for batch in landed if batch.digest == large.of), None)
    withdrawals = workspace.landing.withdrawals()
    if whole is not None:
        refuse_withdrawn(whole, withdrawals.get(whole.batch))
        yield Landed.already(whole)
        return
    for batch in landed:
        if batch.of == large.of and batch.digest not in large.digests:
            raise BadInputError(
                f"{path} landed before in different chunks (such as batch {batch.batch}), because "
                "batches.piece_mb or pyarrow has changed since; undo that change, or land the missing rows in a "
                "separate file"
            )
        if batch.of == large.of:
            refuse_withdrawn(batch, withdrawals.get(batch.batch))
    if not labels:
        _refuse_equal_pieces(path, large, workspace.params.data, landed={batch.digest for batch in landed})
    for piece in large.pieces():
        part = piece.part
        at = now + (part.number - 1) * A_SECOND if correction and now is not None else now
        taken = _take_in(workspace, piece, now=at, labels=labels, correction=correction)
        del piece  # so that two are never held at once
        taken = replace(taken, faults=tuple(fault.shifted(part.first) for fault in taken.faults), part=part)
        yield _told(workspace, taken, now=at)
        if part.number == 1 and taken.outcome == "quarantined" and _is_no_table(taken):
            return


def _refuse_equal_pieces(path: Path, large: LargeFile, data: DataParams, *, landed: set[str]) -> None:
    """Refuses a file two of whose pieces have the same bytes: they land once. With a key their rows are the same ones.

    Raises:
        BadInputError: It has such pieces, which have not all landed before.
    """
    again = len(large.digests) - len(set(large.digests))
    if again and not data.key and not landed.issuperset(large.digests):
        raise BadInputError(
            f"{path} has {again} chunks that are equal to an earlier chunk, and equal chunks land only once; "
            "remove repeated rows, or raise batches.piece_mb, so that the chunks differ or the file lands as a "
            "whole"
        )


def _told(workspace: Workspace, landed: Landed, *, now: pd.Timestamp | None) -> Landed:
    """The batch, with an alert if it was quarantined."""
    if landed.outcome == "quarantined":
        faults = "; ".join(str(fault) for fault in landed.faults[:TOLD])
        text = f"batch {landed.batch}: {faults}"
        record_alert(workspace, AlertKind.BATCH_QUARANTINED, text, now=now or clock(), about=landed.batch)
    return landed


def large_file(workspace: Workspace, path: Path) -> LargeFile | None:
    """The file as pieces, if it is larger than `batches.piece_mb`; None: it lands as one batch.

    Raises:
        BadInputError: It is large and damaged.
    """
    return large_at(path, piece_mb=workspace.params.batches.piece_mb, reading=workspace.params.reading)


def _take_in(
    workspace: Workspace, source: Path | Chunk, *, now: pd.Timestamp | None, labels: bool, correction: bool
) -> Landed:
    params = workspace.params
    landed = land_batch(
        source,
        "labels" if labels else "rows",
        workspace=workspace.paths,
        data=params.data,
        batches=params.batches,
        reading=params.reading,
        now=now,
        correction=correction,
        at=workspace.landing_address,
    )
    if labels:
        return landed
    if landed.verdict in (None, "suspicious"):  # None: it had landed, perhaps without a word
        tell_suspicious(workspace, now=now or clock())
    return landed


def _is_no_table(taken: Landed) -> bool:
    """Whether a fault is one of the whole: other columns, another encoding."""
    unnamed = (fault for fault in taken.faults if fault.examples and fault.examples[0].row is None)
    return any(not fault.releasable for fault in unnamed)


log = logging.getLogger(__name__)
LABELS, TAKEN, CLAIMED, AGAIN = "labels", "taken", ".claimed", ".again"
ATTEMPTS = 2
"""Processes that may be killed while a file is read, before it is set aside unread."""


def take_from_inbox(workspace: Workspace, *, now: pd.Timestamp | None) -> Iterator[Landed]:
    """Lands every file of the inbox and moves it to `taken/`: rows in order of name, then labels, which need rows.

    A large file gives a batch a piece, and is moved after the last. A name that begins with `.` is left alone, and so
    are a link and a file that another process writes. A file that can be neither landed nor quarantined stays, and the
    others land. What was written to a file after it had been read lands as a batch of its own.

    Args:
        now: When they arrive; None: by the clock, each when its turn has come.

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
            large = large_file(workspace, rest) if rest.exists() else None
            if rest.exists():
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
    return _told(workspace, landed, now=now)


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
    names = _names(claimed.name)
    free = next(name for name in names if not (taken / name).is_symlink() and not (taken / name).exists())
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
    told = "; ".join(
        f"{name} ({error if isinstance(error, RetrimError) else f'{type(error).__name__}: {error}'})"
        for name, error in stay.items()
    )
    error = RetrimError(f"some files could not be landed; those that stay in {inbox} are retried next time: {told}")
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


RECENT, OFTEN = 3, 2
"""Newest gaps between batches that are looked at, and how many of them show another rhythm than the declared one."""


@dataclass(frozen=True)
class Overdue:
    """An overdue batch.

    Args:
        last: When the newest regular batch arrived.
        due: When the next one was due.
        late: Time since it was due.
        quarantined: Regular batches that arrived after the newest one and are in quarantine.
    """

    last: Instant
    due: Instant
    late: Duration
    quarantined: tuple[str, ...]

    @written
    def text(self) -> str:
        """The same in one sentence, with the command to type."""
        due = f"a batch was due on {self.due:%Y-%m-%d %H:%M} UTC"
        if not self.quarantined:
            return f"{due} and has not arrived"
        return f"{due}; the batch that arrived is in quarantine: retrim batch show {self.quarantined[0]}"


def overdue(*, workspace: WorkspacePaths, data: DataParams, now: pd.Timestamp) -> Overdue | None:
    """The batch that is due and has not landed; None while nothing is late or nothing has ever landed.

    The next batch is due `batch_every` after the newest one arrived and late after
    `batch_grace` more; or, where files have come in a longer rhythm, when they used to.
    Corrections, labels and what lies in quarantine do not count.
    """
    regular = Landing(workspace.landing).arrivals()
    if not regular:
        return None
    every, grace = pd.Timedelta(data.batch_every), pd.Timedelta(data.batch_grace)
    last = regular[-1]
    due = last + _usual_gap(regular, every, grace)
    if now <= due + grace:
        return None
    aside = [
        entry.batch
        for entry in Quarantine(workspace.quarantine).entries()
        if (entry.state, entry.kind, entry.correction) == ("held", "rows", False) and last < entry.arrived <= now
    ]
    return Overdue(last, due, now - due, tuple(aside))


def _usual_gap(arrived: list[pd.Timestamp], every: pd.Timedelta, grace: pd.Timedelta) -> pd.Timedelta:
    """The span between batches as they come: the declared one, or the longest of late where that was longer, twice."""
    gaps = [after - before for before, after in pairwise(arrived[-RECENT - 1 :])]
    return max(gaps) if sum(gap > every + grace for gap in gaps) >= OFTEN else every


def tell_overdue(workspace: Workspace, *, now: pd.Timestamp) -> None:
    """An alert for a batch that is due and has not landed, once."""
    late = overdue(workspace=workspace.paths, data=workspace.params.data, now=now)
    if late is not None:
        kind = AlertKind.BATCH_QUARANTINED if late.quarantined else AlertKind.BATCH_OVERDUE
        record_alert(workspace, kind, late.text, now=now, about=late.quarantined[0] if late.quarantined else "")
