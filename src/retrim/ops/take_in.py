"""A file that is handed in: it lands as a batch, or, where it is large, as several, piece by piece.

Each piece is a batch of its own: looked at, landed or set aside alone, and not done again when the file comes again.
"""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.datasets.large import Large, Piece, large_at
from retrim.errors import BadInputError
from retrim.ops.alerts import tell_suspicious
from retrim.ops.arrival import A_SECOND, clock
from retrim.ops.house import House
from retrim.ops.ingest import Landed, land, land_labels
from retrim.ops.withdraw import refuse_withdrawn


def take_in(
    house: House, path: Path, *, now: pd.Timestamp | None, labels: bool, correction: bool, large: Large | None
) -> Iterator[Landed]:
    """Lands a file as rows or as labels, looked at as params.yaml says; `now` as for `land`.

    Pieces arrive together, at `now`; those of a correction a second after one another. Where the first piece is no such
    table as declared, nor are the others, and they are left out.

    Args:
        house: Where it lands.
        path: The file.
        now: When it arrives; None: by the clock.
        labels: Whether it holds labels of rows that have landed.
        correction: Whether it may replace what has landed.
        large: What `large_file` gave.

    Raises:
        BadInputError: As for `land`; or the file was changed meanwhile, or has landed in part, cut otherwise.
    """
    if large is None:
        yield _take_in(house, path, now=now, labels=labels, correction=correction)
        return
    landed = house.landing.batches()
    whole = next((batch for batch in landed if batch.digest == large.of), None)
    withdrawals = house.landing.withdrawals()
    if whole is not None:
        refuse_withdrawn(whole, withdrawals.get(whole.batch))
        yield Landed("already", whole.kind, whole.digest, whole.rows, whole.path, (), None)
        return
    for batch in landed:
        if batch.of == large.of and batch.digest not in large.digests:
            raise BadInputError(
                f"{path} has landed in other pieces (such as batch {batch.batch}): batches.piece_mb was another then, "
                "or pyarrow is another now; set it back, or land the rows that are missing in a file of their own"
            )
        if batch.of == large.of:
            refuse_withdrawn(batch, withdrawals.get(batch.batch))
    for piece in large.pieces():
        part = piece.part
        if correction and now is None:
            _wait_for_turn(house.landing)
        at = now + (part.number - 1) * A_SECOND if correction and now is not None else now
        taken = _take_in(house, piece, now=at, labels=labels, correction=correction)
        del piece  # so that two are never held at once
        yield replace(taken, faults=tuple(fault.shifted(part.first) for fault in taken.faults), part=part)
        if part.number == 1 and taken.outcome == "quarantined" and _is_no_table(taken):
            return


def large_file(house: House, path: Path) -> Large | None:
    """The file as pieces, if it is larger than `batches.piece_mb`; None: it lands as one batch.

    Raises:
        BadInputError: It is large and damaged.
    """
    return large_at(path, piece_mb=house.params.batches.piece_mb, reading=house.params.reading)


def _take_in(house: House, source: Path | Piece, *, now: pd.Timestamp | None, labels: bool, correction: bool) -> Landed:
    params = house.params
    how: dict[str, Any] = {"workspace": house.workspace, "data": params.data, "reading": params.reading}
    if labels:
        return land_labels(source, now=now, correction=correction, **how)
    landed = land(source, now=now, correction=correction, batches=params.batches, **how)
    if landed.verdict in (None, "suspicious"):  # None: it had landed, perhaps without a word
        tell_suspicious(house, now=now or clock())
    return landed


def _is_no_table(taken: Landed) -> bool:
    """Whether a fault is one of the whole: other columns, another encoding."""
    unnamed = (fault for fault in taken.faults if fault.examples and fault.examples[0].row is None)
    return any(not fault.releasable for fault in unnamed)


def _wait_for_turn(landing: Landing) -> None:
    """Corrections arrive a second after one another, so one that is quick waits until its second has come."""
    last = max((batch.arrived for batch in landing.batches()), default=None)
    while last is not None and clock() < last <= clock() + 2 * A_SECOND:
        time.sleep(0.05)
