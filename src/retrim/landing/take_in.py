"""A file that is handed in lands as a batch, or, where it is large, as several, piece by piece."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from retrim.decision.alerts import AlertKind
from retrim.errors import BadInputError
from retrim.landing.ingest import Landed, land_batch
from retrim.landing.withdraw import A_SECOND, refuse_withdrawn
from retrim.lineage.workspace import Workspace, clock, record_alert, tell_suspicious
from retrim.reading.chunks import PIECE_MB, Chunk, LargeFile, large_at
from retrim.table.data import DataParams

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
    """Lands a file as rows or as labels, looked at as params.yaml says; `now` as for `land_batch`.

    Pieces arrive together, at `now`; those of a correction a second after one another. Where the first piece is no such
    table as declared, nor are the others, and they are left out.

    Raises:
        BadInputError: As for `land_batch`; or the file was changed meanwhile, or has landed in part, cut otherwise.
    """
    if large is None:
        yield with_alert(workspace, _take_in(workspace, path, now=now, labels=labels, correction=correction), now=now)
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
                "retrim or pyarrow cuts files otherwise since; land the missing rows in a separate file"
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
        yield with_alert(workspace, taken, now=at)
        if part.number == 1 and taken.outcome == "quarantined" and _is_no_table(taken):
            return


def _refuse_equal_pieces(path: Path, large: LargeFile, data: DataParams, *, landed: set[str]) -> None:
    """Refuses a file two of whose pieces have the same bytes: these land once. With a key their rows are the same."""
    again = len(large.digests) - len(set(large.digests))
    if again and not data.key and not landed.issuperset(large.digests):
        raise BadInputError(
            f"{path} has {again} chunks that are equal to an earlier chunk, and equal chunks land only once; "
            f"remove repeated rows, set data.key, or send the file in parts of less than {PIECE_MB:g} MB"
        )


def with_alert(workspace: Workspace, landed: Landed, *, now: pd.Timestamp | None) -> Landed:
    """The batch, with an alert if it was quarantined."""
    if landed.outcome == "quarantined":
        faults = "; ".join(str(fault) for fault in landed.faults[:TOLD])
        text = f"batch {landed.batch}: {faults}"
        record_alert(workspace, AlertKind.BATCH_QUARANTINED, text, now=now or clock(), about=landed.batch)
    return landed


def large_file(workspace: Workspace, path: Path) -> LargeFile | None:
    """The file as pieces, if it is larger than `PIECE_MB`; None: it lands as one batch."""
    return large_at(path, piece_mb=PIECE_MB, reading=workspace.params.reading)


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
