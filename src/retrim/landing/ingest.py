"""Lands a batch, or sets it aside: the way in for every row and every label, whole or not at all.

Each use case may be killed between any two of its writes and run again: what had landed is known by its digest.
"""

import logging
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from retrim.adapters.great_expectations import read_suite
from retrim.adapters.landing_zone import AtAddress, Landing
from retrim.batches.concern import BatchParams
from retrim.batches.verdict import VerdictKind
from retrim.errors import BadInputError, RefusedError
from retrim.files import WorkspacePaths, file_digest, name_of
from retrim.landing.as_of_view import refuse_changes
from retrim.landing.examine import AFTER_ARRIVAL, CURE, Incoming, examine, hold_to_suite, landed_alike, look_at_batch
from retrim.landing.quarantine import Quarantine, QuarantinedBatch, State
from retrim.landing.withdraw import A_SECOND, refuse_withdrawn
from retrim.lineage.workspace import clock, require_who_and_why
from retrim.reading.chunks import Chunk, ChunkPart
from retrim.reading.landed import BatchFile, Kind, batch_id
from retrim.reading.table import KEY, read_bytes
from retrim.stats.codec import to_record
from retrim.table.data import LABEL_TIME, DataParams
from retrim.table.fault import Fault, Suite
from retrim.table.reading import PLAIN, ReadingParams

log = logging.getLogger(__name__)
Outcome = Literal["landed", "already", "quarantined"]


def arrival(
    landing: Landing, now: pd.Timestamp | None, *, correction: bool, first_came: pd.Timestamp | None = None
) -> pd.Timestamp:
    """The arrival time of what is about to land. Hold the landing zone's lock.

    Args:
        now: UTC; None: when it first came, else by the clock.
        first_came: When it first came and was quarantined; then it may be before others. None: it comes now.

    Raises:
        BadInputError: It has no time zone; or it comes now, and is before the last arrival, or for a correction at the
            same time.
    """
    if first_came is not None:
        now = first_came if now is None else now
    last = None if first_came is not None else max((file.arrived for file in landing.batches()), default=None)
    if now is None:
        now = clock()
        while correction and last is not None and now < last <= now + 2 * A_SECOND:  # each has a second of its own
            time.sleep(0.05)
            now = clock()
        if last is not None and now <= last <= now + A_SECOND:
            now = last + A_SECOND if correction else last
    if now.tzinfo is None:
        raise BadInputError(f"the arrival time {now} has no time zone; write it in UTC")
    if last is not None and (now < last or (correction and now == last)):
        raise BadInputError(
            f"the arrival time {now} is not after that of the last batch, {last}; specify a later time; if the "
            "clock was fast when that batch arrived, see `retrim doctor`"
        )
    return now


@dataclass(frozen=True)
class Landed:
    """The result of landing a batch.

    Args:
        outcome: `already`: the same bytes, or all their rows, had landed before, so nothing was done.
        digest: SHA-256 of the file's bytes.
        rows: Rows of the batch; 0 if it could not be read.
        path: The landed file, or the folder in quarantine.
        faults: Why the batch was quarantined or is suspicious; for a released batch, the faults that were overridden.
        verdict: Verdict of this inspection; None if the batch was not inspected.
        part: For a chunk of a large file: which one. Its faults name rows of that file.
        notes: Expectations that were skipped because their column is gone; how many rows a correction added.
        size: Bytes that were read.
    """

    outcome: Outcome
    kind: Kind
    digest: str
    rows: int
    path: Path
    faults: tuple[Fault, ...]
    verdict: VerdictKind | None
    part: ChunkPart | None = None
    notes: tuple[str, ...] = ()
    size: int = 0

    @classmethod
    def already(cls, batch: BatchFile, *, size: int = 0) -> "Landed":
        return cls("already", batch.kind, batch.digest, batch.rows, batch.path, (), None, size=size)

    @property
    def batch(self) -> str:
        return batch_id(self.digest)

    def as_record(self) -> dict[str, Any]:
        return {
            "outcome": self.outcome,
            "batch": self.batch,
            "kind": self.kind,
            "digest": self.digest,
            "rows": self.rows,
            "path": str(self.path),
            "faults": [to_record(fault) for fault in self.faults],
            "verdict": self.verdict,
            "notes": list(self.notes),
            **({} if self.part is None else self.part.as_record()),
        }


def land_batch(
    path: Path | Chunk,
    kind: Kind = "rows",
    *,
    workspace: WorkspacePaths,
    data: DataParams,
    now: pd.Timestamp | None,
    correction: bool,
    batches: BatchParams | None = None,
    reading: ReadingParams = PLAIN,
    at: AtAddress | None = None,
) -> Landed:
    """Lands the file at `path` as rows, or as labels of rows that landed before, arrived `now`; or quarantines it.

    Args:
        now: UTC; not before that of the last batch, and after it for a correction. None: by the clock when its turn has
            come, so that of two that land at once neither is too early.
        batches: How rows that keep their contract are looked at; None, and corrections: by the contract alone.
        at: Where the landing zone is of record; None: in the workspace.

    Raises:
        BadInputError: There is no such file, the suite cannot be used, the arrival time goes backwards, or a table
            without a key is to be corrected.
    """
    if correction and not data.key and kind == "rows":
        raise BadInputError("rows without a key cannot be corrected; set the key columns in params.yaml (data.key)")
    suite, incoming = read_suite(workspace.root / data.suite), _incoming(path, kind, correction=correction)
    landing, quarantine = Landing(workspace.landing, at), Quarantine(workspace.quarantine)
    with landing.locked():
        entry, before = quarantine.find(incoming.digest), landing.find(incoming.digest)
        if before is not None:
            refuse_withdrawn(before, landing.withdrawals().get(before.batch))
            _close_landed(quarantine, entry, before.released, by="", now=now or clock())
            return Landed.already(before, size=len(incoming.content))
        first_came = _came(entry, kind, correction=correction)
        refuse_changes(landing, data)
        begun = arrival(landing, now, correction=correction, first_came=first_came)
        look = None if correction or kind == "labels" else batches
        frame, faults, verdict, notes = _judged(
            incoming, suite, data, reading, look, landing=landing, begun=begun, now=now
        )
        if (alike := _resent(frame, kind, faults, data, landing=landing)) is not None:
            return Landed.already(alike, size=len(incoming.content))
        closed = now or clock()
        # Late, so that a check just now has not seen it.
        now = arrival(landing, now, correction=correction, first_came=first_came)
        about: dict[str, Any] = {"faults": faults, "verdict": verdict, "size": len(incoming.content)}
        if frame is None or (faults and verdict == "broken"):
            folder = _set_aside(incoming, faults, quarantine, arrived=first_came or now)
            rows = 0 if frame is None else len(frame)
            return Landed("quarantined", kind, incoming.digest, rows, folder, notes=notes, **about)
        if correction and (new := int((~landing.known(frame[KEY], kind=kind, surely=False)).sum())):
            more = f"{new} of {len(frame)} {kind} had not landed before; they were added, as there was nothing to"
            notes = (*notes, f"{more} correct")
        why = "; ".join(f"{fault}; {fault.cure}" for fault in faults) if verdict == "suspicious" else ""
        path = _write(landing, incoming, frame, data, now=now, suspicious=why)
        _close_landed(quarantine, entry, "", by="", now=closed)
    log.info("batch landed", extra={"batch": batch_id(incoming.digest), "rows": len(frame)})
    return Landed("landed", kind, incoming.digest, len(frame), path, notes=notes, **about)


def _resent(
    frame: pd.DataFrame | None, kind: Kind, faults: tuple[Fault, ...], data: DataParams, *, landing: Landing
) -> BatchFile | None:
    """The landed batch with the same rows, where all keys have landed; None: there is none."""
    if frame is None or kind != "rows" or not any((f.column, f.count) == (KEY, len(frame)) for f in faults):
        return None
    return landed_alike(frame, data, landing=landing)


def _set_aside(incoming: Incoming, faults: tuple[Fault, ...], quarantine: Quarantine, *, arrived: pd.Timestamp) -> Path:
    entry = QuarantinedBatch(
        digest=incoming.digest,
        kind=incoming.kind,
        correction=incoming.correction,
        file=incoming.name,
        of=incoming.of,
        beside=incoming.beside,
        size=len(incoming.content),
        arrived=arrived,
        faults=faults,
    )
    log.info("batch quarantined", extra={"batch": entry.batch, "faults": len(faults)})
    return quarantine.put(entry, incoming.content)


def _incoming(path: Path | Chunk, kind: Kind, *, correction: bool) -> Incoming:
    if isinstance(path, Chunk):
        part = path.part
        beside = (part.first, part.after)
        return Incoming(path.content, path.name, kind, correction, part.of, beside, path.columns)
    return Incoming(read_bytes(path), name_of(path), kind, correction)


def _came(entry: QuarantinedBatch | None, kind: Kind, *, correction: bool) -> pd.Timestamp | None:
    """When what waits in quarantine, and is offered again, came first; None: it comes now."""
    if entry is None or (entry.state, entry.kind, entry.correction) != ("held", kind, correction):
        return None
    slow_clock = any(AFTER_ARRIVAL in fault.rule for fault in entry.faults)
    return None if slow_clock else entry.arrived


def _judged(
    incoming: Incoming,
    suite: Suite,
    data: DataParams,
    reading: ReadingParams,
    batches: BatchParams | None,
    *,
    landing: Landing,
    begun: pd.Timestamp,
    now: pd.Timestamp | None,
) -> tuple[pd.DataFrame | None, tuple[Fault, ...], VerdictKind | None, tuple[str, ...]]:
    """Rows of a file (None: it cannot be read), its faults, the verdict, and expectations left out."""
    frame, faults, warnings = examine(incoming, data, reading, landing=landing, now=begun)
    notes: tuple[str, ...] = ()
    if frame is not None and all(fault.releasable for fault in faults):
        more, warned, notes = hold_to_suite(frame, incoming.kind, suite, landing=landing, data=data)
        faults, warnings = faults + more, warnings + warned
    verdict: VerdictKind | None = "broken" if frame is None or faults else None
    if frame is not None and not faults and batches is not None and batches.skip != "all":
        verdict, faults = look_at_batch(
            frame, landing=landing, now=now or clock(), of=incoming.of, data=data, params=batches, reading=reading
        )
    if warnings:
        verdict = "broken" if verdict == "broken" else "suspicious"
        faults += tuple(replace(fault, releasable=True, cure=CURE["suspicious"]) for fault in warnings)
    return frame, faults, verdict, notes


def _write(
    landing: Landing,
    incoming: Incoming,
    frame: pd.DataFrame,
    data: DataParams,
    *,
    now: pd.Timestamp,
    released: str = "",
    suspicious: str = "",
) -> Path:
    is_labels = incoming.kind == "labels"
    if is_labels:  # a source that does not say when a label was known learned it when it sent it
        frame = frame.assign(**{LABEL_TIME: frame[LABEL_TIME].fillna(now)})
    elif not frame[data.time].is_monotonic_increasing:  # who reads a span of time reads few parts of the file then
        frame = frame.sort_values(data.time, kind="stable", ignore_index=True)
    return landing.land(
        incoming.kind,
        frame,
        digest=incoming.digest,
        arrived=now,
        correction=incoming.correction,
        released=released,
        of=incoming.of,
        data=data,
        suspicious="" if is_labels else suspicious,
    )


def release_quarantined(
    name: str,
    *,
    workspace: WorkspacePaths,
    data: DataParams,
    now: pd.Timestamp,
    by: str,
    reason: str,
    reading: ReadingParams = PLAIN,
    arrived: pd.Timestamp | None = None,
    at: AtAddress | None = None,
) -> Landed:
    """Lands a quarantined batch in spite of its bounds, as arrived at `arrived`, UTC; None: when it first came.

    Raises:
        RefusedError: It has faults that no reason cures, or was dropped.
        BadInputError: No such batch, or nobody or no reason is named.
    """
    require_who_and_why(by=by, reason=reason)
    landing, quarantine = Landing(workspace.landing, at), Quarantine(workspace.quarantine)
    with landing.locked():
        entry = quarantine.get(name)
        before = landing.find(entry.digest)
        if before is not None:
            refuse_withdrawn(before, landing.withdrawals().get(before.batch))
            _close_landed(quarantine, entry, before.released, by=by, now=now)
            return Landed.already(before)
        content = quarantine.content(entry)
        if entry.state != "held" or content is None:
            raise RefusedError(f"batch {entry.batch} was {entry.state} ({entry.reason}); ingest {entry.file} again")
        refuse_changes(landing, data)
        counted_from = arrival(landing, arrived, correction=entry.correction, first_came=entry.arrived)
        elsewhere = data.columns if entry.of else ()
        incoming = Incoming(content, entry.file, entry.kind, entry.correction, entry.of, entry.beside, elsewhere)
        frame, faults, _ = examine(incoming, data, reading, landing=landing, now=counted_from)
        stubborn = [fault for fault in faults if not fault.releasable]
        if stubborn or frame is None:
            listed = "; ".join(f"{fault}: {fault.cure}" for fault in stubborn)
            raise RefusedError(f"batch {entry.batch} cannot be released: {listed}")
        path = _write(landing, incoming, frame, data, now=counted_from, released=reason)
        _close_landed(quarantine, entry, reason, by=by, now=now)
    log.info("batch released", extra={"batch": entry.batch, "by": by, "reason": reason})
    return Landed("landed", entry.kind, entry.digest, len(frame), path, entry.faults, None)


def drop_quarantined(
    name: str, *, workspace: WorkspacePaths, now: pd.Timestamp, by: str, reason: str
) -> QuarantinedBatch:
    """Removes the bytes of a quarantined batch and keeps its report.

    Raises:
        RefusedError: It was released or has landed.
        BadInputError: No such batch, or nobody or no reason is named.
    """
    require_who_and_why(by=by, reason=reason)
    quarantine = Quarantine(workspace.quarantine)
    with Landing(workspace.landing).locked_here():
        entry = quarantine.get(name)
        if entry.state in ("released", "landed"):
            raise RefusedError(
                f"batch {entry.batch} was {entry.state}; correct its rows: retrim ingest FILE --correction"
            )
        entry = quarantine.close(entry, state="dropped", by=by, reason=reason, now=now)
    log.info("batch dropped", extra={"batch": entry.batch, "by": by, "reason": reason})
    return entry


def quarantine_unread(
    path: Path,
    kind: Kind,
    fault: Fault,
    *,
    workspace: WorkspacePaths,
    now: pd.Timestamp | None,
    at: AtAddress | None,
) -> Landed:
    """Sets a file aside without reading it as a table; nothing of it is held in memory."""
    landing, quarantine, digest = Landing(workspace.landing, at), Quarantine(workspace.quarantine), file_digest(path)
    with landing.locked():
        before = landing.find(digest)
        if before is not None:
            return Landed.already(before)
        entry = QuarantinedBatch(
            digest=digest,
            kind=kind,
            correction=False,
            file=name_of(path),
            size=path.stat().st_size,
            arrived=arrival(landing, now, correction=False),
            faults=(fault,),
        )
        folder = quarantine.put(entry, path)
    log.info("batch quarantined", extra={"batch": entry.batch, "faults": 1})
    return Landed("quarantined", kind, digest, 0, folder, (fault,), None)


def _close_landed(
    quarantine: Quarantine, entry: QuarantinedBatch | None, released: str, *, by: str, now: pd.Timestamp
) -> None:
    """Ends an entry whose bytes have landed: released with that reason, or else accepted when they came again."""
    if entry is None:
        return
    state: State = "released" if released else "landed"
    quarantine.close(
        entry, state=state, by=by if released else "", reason=released or "accepted when it was ingested again", now=now
    )
