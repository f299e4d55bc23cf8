"""Lands a batch, or sets it aside: the way in for every row and every label.

A batch lands whole or not at all. Each use case may be killed between any two of its
writes and run again: what had landed is found by its digest, what had not is done.
"""

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.adapters.quarantine import Entry, Quarantine, State
from retrim.adapters.validation import for_columns, read_suite, validate
from retrim.adapters.validation_columns import fit_suite
from retrim.core.batches import BatchParams
from retrim.core.batches import Kind as Verdict
from retrim.core.fault import Fault
from retrim.core.made import APART
from retrim.core.reading import PLAIN, ReadingParams
from retrim.core.table import LABEL_TIME, DataParams
from retrim.datasets.landed import Kind, batch_id
from retrim.datasets.large import Part, Piece
from retrim.datasets.table import read_bytes
from retrim.errors import BadInputError, RefusedError
from retrim.files import name_of
from retrim.ops.arrival import arrival, clock
from retrim.ops.batch_look import look_at_batch
from retrim.ops.changed_table import landed_columns, refuse_changes
from retrim.ops.examine import examine
from retrim.ops.person import require_who_and_why
from retrim.ops.withdraw import refuse_withdrawn
from retrim.paths import Workspace

log = logging.getLogger(__name__)
Outcome = Literal["landed", "already", "quarantined"]


@dataclass(frozen=True)
class Landed:
    """What became of a batch.

    Args:
        outcome: Landed; already there, so nothing was done; or quarantined.
        kind: Rows or labels.
        digest: sha256 of the file's bytes.
        rows: Rows it has; 0 when it could not be read.
        path: The landed file, or the folder in quarantine.
        faults: Why it was quarantined, or is suspicious though it landed; what was overridden, when it was released.
        verdict: ok, drifted, suspicious or broken, as it was looked at now; None where it was not.
        part: Of a piece of a large file: which it is; its faults name rows of that file.
        notes: What the suite was not asked, as its column is gone.
    """

    outcome: Outcome
    kind: Kind
    digest: str
    rows: int
    path: Path
    faults: tuple[Fault, ...]
    verdict: Verdict | None
    part: Part | None = None
    notes: tuple[str, ...] = ()

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
            "faults": [fault.as_record() for fault in self.faults],
            "verdict": self.verdict,
            "notes": list(self.notes),
            **({} if self.part is None else self.part.as_record()),
        }


def land(
    path: Path | Piece,
    *,
    workspace: Workspace,
    data: DataParams,
    now: pd.Timestamp | None,
    correction: bool,
    batches: BatchParams | None = None,
    reading: ReadingParams = PLAIN,
) -> Landed:
    """Lands the file at `path` as rows, arrived `now`, or quarantines it.

    Args:
        path: CSV, gzipped CSV or Parquet; or a piece of a large file, which is at hand.
        workspace: Where landing zone, quarantine and suite lie.
        data: What the table is.
        now: Arrival time, UTC; not before that of the last batch, and after it for a correction. None: by the
            clock when its turn has come, so that of two that land at once neither is too early.
        correction: Whether its rows may replace rows with the same keys.
        batches: How a batch that keeps its contract is looked at; None, and corrections: by the contract alone.
        reading: How files spell what their cells say.

    Raises:
        BadInputError: There is no such file, the suite cannot be used, the arrival time goes
            backwards, or a table without a key is to be corrected.
    """
    look = None if correction else batches
    how = (data, reading)
    return _land(path, "rows", workspace=workspace, how=how, now=now, correction=correction, batches=look)


def land_labels(
    path: Path | Piece,
    *,
    workspace: Workspace,
    data: DataParams,
    now: pd.Timestamp | None,
    correction: bool,
    reading: ReadingParams = PLAIN,
) -> Landed:
    """The same for labels of rows that landed before. A correction may replace labels that are known."""
    how = (data, reading)
    return _land(path, "labels", workspace=workspace, how=how, now=now, correction=correction, batches=None)


def quarantine_list(workspace: Workspace) -> list[Entry]:
    """Every batch that was ever set aside, with its state, in order of arrival."""
    return Quarantine(workspace.quarantine).entries()


def quarantine_show(workspace: Workspace, name: str) -> Entry:
    """The entry whose batch begins with `name`."""
    return Quarantine(workspace.quarantine).get(name)


def release(
    name: str,
    *,
    workspace: Workspace,
    data: DataParams,
    now: pd.Timestamp,
    by: str,
    reason: str,
    reading: ReadingParams = PLAIN,
    arrived: pd.Timestamp | None = None,
) -> Landed:
    """Lands a quarantined batch in spite of its bounds, whatever has landed since.

    It is released `now`, and arrived at `arrived`, UTC; None: when it first came.

    Raises:
        RefusedError: It has faults that no reason cures, or was dropped.
        BadInputError: No such batch, or nobody or no reason is named.
    """
    require_who_and_why(by=by, reason=reason)
    landing, quarantine = Landing(workspace.landing), Quarantine(workspace.quarantine)
    with landing.locked():
        entry = quarantine.get(name)
        before = landing.find(entry.digest)
        if before is not None:
            refuse_withdrawn(before, landing.withdrawals().get(before.batch))
            _close_landed(quarantine, entry, before.released, by=by, now=now)
            return Landed("already", before.kind, before.digest, before.rows, before.path, (), None)
        content = quarantine.content(entry)
        if entry.state != "held" or content is None:
            raise RefusedError(f"batch {entry.batch} was {entry.state} ({entry.reason}); ingest {entry.file} again")
        refuse_changes(landing, data)
        at = arrival(landing, arrived, correction=entry.correction, came=entry.arrived)
        frame, faults = examine(
            content, entry.kind, landing=landing, how=(data, reading), now=at, correction=entry.correction
        )
        stubborn = [fault for fault in faults if not fault.releasable]
        if stubborn or frame is None:
            listed = "; ".join(f"{fault}: {fault.cure}" for fault in stubborn)
            raise RefusedError(f"batch {entry.batch} cannot be released: {listed}")
        what = (entry.kind, data, entry.of)
        path = _write(landing, what, frame, entry.digest, now=at, correction=entry.correction, released=reason)
        _close_landed(quarantine, entry, reason, by=by, now=now)
    log.info("batch released", extra={"batch": entry.batch, "by": by, "reason": reason})
    return Landed("landed", entry.kind, entry.digest, len(frame), path, entry.faults, None)


def drop(name: str, *, workspace: Workspace, now: pd.Timestamp, by: str, reason: str) -> Entry:
    """Removes the bytes of a quarantined batch and keeps its report.

    Raises:
        RefusedError: It was released or has landed.
        BadInputError: No such batch, or nobody or no reason is named.
    """
    require_who_and_why(by=by, reason=reason)
    quarantine = Quarantine(workspace.quarantine)
    with Landing(workspace.landing).locked():
        entry = quarantine.get(name)
        if entry.state in ("released", "landed"):
            raise RefusedError(
                f"batch {entry.batch} was {entry.state}; correct its rows: retrim ingest FILE --correction"
            )
        entry = quarantine.close(entry, state="dropped", by=by, reason=reason, now=now)
    log.info("batch dropped", extra={"batch": entry.batch, "by": by, "reason": reason})
    return entry


def _land(
    path: Path | Piece,
    kind: Kind,
    *,
    workspace: Workspace,
    how: tuple[DataParams, ReadingParams],
    now: pd.Timestamp | None,
    correction: bool,
    batches: BatchParams | None,
) -> Landed:
    data = how[0]
    if correction and not data.key and kind == "rows":
        raise BadInputError("rows without a key cannot be corrected; name key columns in params.yaml (data.key)")
    suite = read_suite(workspace.root / data.suite)
    landing, quarantine = Landing(workspace.landing), Quarantine(workspace.quarantine)
    content, name, of = (
        (path.content, path.name, path.part.of) if isinstance(path, Piece) else (read_bytes(path), name_of(path), "")
    )
    digest = hashlib.sha256(content).hexdigest()
    with landing.locked():
        entry = quarantine.find(digest)
        before = landing.find(digest)
        if before is not None:
            refuse_withdrawn(before, landing.withdrawals().get(before.batch))
            if entry is not None:
                _close_landed(quarantine, entry, before.released, by="", now=now or clock())
            return Landed("already", before.kind, digest, before.rows, before.path, (), None)
        came = None  # what waits in quarantine, and is offered again, came before
        if entry is not None and (entry.state, entry.kind, entry.correction) == ("held", kind, correction):
            came = entry.arrived
        refuse_changes(landing, data)
        begun = arrival(landing, now, correction=correction, came=came)
        made = begun if isinstance(path, Path) else begun - path.part.after * APART  # rows of a file follow one another
        frame, faults = examine(content, kind, landing=landing, how=how, now=made, correction=correction)
        notes: tuple[str, ...] = ()
        if frame is not None and all(fault.releasable for fault in faults):
            fitted = fit_suite(suite, data.suite, columns=frame.columns, **landed_columns(landing, data))
            notes = fitted.notes if kind == "rows" else ()
            faults += validate(frame, fitted.suite if kind == "rows" else for_columns(fitted.suite, frame.columns))
        verdict: Verdict | None = "broken" if frame is None or faults else None
        if frame is not None and not faults and batches is not None and batches.look:
            by_when = now or clock()
            against: dict[str, Any] = {"data": data, "params": batches, "reading": how[1]}
            verdict, faults = look_at_batch(frame, landing=landing, now=by_when, of=of, **against)
        rows = 0 if frame is None else len(frame)
        closed = now or clock()
        now = arrival(landing, now, correction=correction, came=came)  # late: a check just now has not seen it
        if frame is None or (faults and verdict == "broken"):
            entry = Entry(digest, kind, correction, name, of, len(content), came or now, faults, "held", "", "", None)
            folder = quarantine.put(entry, content)
            log.info("batch quarantined", extra={"batch": entry.batch, "faults": len(faults)})
            return Landed("quarantined", kind, digest, rows, folder, faults, verdict, notes=notes)
        why = "; ".join(f"{fault}; {fault.cure}" for fault in faults) if verdict == "suspicious" else ""
        marks: dict[str, Any] = {"correction": correction, "released": "", "suspicious": why}
        landed = _write(landing, (kind, data, of), frame, digest, now=now, **marks)
        if entry is not None:
            _close_landed(quarantine, entry, "", by="", now=closed)
    log.info("batch landed", extra={"batch": batch_id(digest), "rows": rows})
    return Landed("landed", kind, digest, rows, landed, faults, verdict, notes=notes)


def _write(
    landing: Landing,
    what: tuple[Kind, DataParams, str],
    frame: pd.DataFrame,
    digest: str,
    *,
    now: pd.Timestamp,
    correction: bool,
    released: str,
    suspicious: str = "",
) -> Path:
    kind, data, of = what
    facts: dict[str, Any] = {"arrived": now, "correction": correction, "released": released, "of": of, "data": data}
    if kind == "labels":
        # A source that does not say when a label was known learned it when it sent it.
        known = frame[LABEL_TIME].fillna(now)
        labels = frame.assign(**{LABEL_TIME: known})
        return landing.land_labels(labels, digest=digest, **facts)
    # In order of event, so that whoever reads a span of time reads few parts of the file.
    if not frame[data.time].is_monotonic_increasing:
        frame = frame.sort_values(data.time, kind="stable", ignore_index=True)
    return landing.land_rows(frame, digest=digest, suspicious=suspicious, **facts)


def _close_landed(quarantine: Quarantine, entry: Entry, released: str, *, by: str, now: pd.Timestamp) -> None:
    """Ends an entry whose bytes have landed: released with that reason, or else accepted when they came again."""
    state: State = "released" if released else "landed"
    quarantine.close(
        entry, state=state, by=by if released else "", reason=released or "accepted when it was ingested again", now=now
    )
