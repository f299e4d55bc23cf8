"""A file too large to be looked at whole: what is drafted is read off its last rows, and all of them land in pieces."""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from retrim.core.init.notes import Note
from retrim.core.reading import PLAIN, ReadingParams
from retrim.datasets.address import is_address
from retrim.datasets.container import ARROW, GZIP, PARQUET
from retrim.datasets.large import Large, large_at
from retrim.datasets.raw import RawTable, last_of, read_raw
from retrim.errors import BadInputError
from retrim.ops.arrival import clock
from retrim.ops.house import House
from retrim.ops.ingest import Landed, land

LOOKED = 4
"""Pieces of `batches.piece_mb` that are looked at: the last of the file."""
HEAD = 1 << 20
"""Bytes that say how a text is spelled."""


def large_table(where: str, *, piece_mb: float) -> Large | None:
    """The file at `where`, if it is too large to be looked at whole; None of anything else.

    Raises:
        BadInputError: It is large and damaged.
    """
    path = Path(where)
    if is_address(where) or not path.is_file():
        return None
    reading = _spelled(path)
    large = None if reading is None else large_at(path, piece_mb=piece_mb, reading=reading)
    return large if large is not None and len(large.counts) > LOOKED else None


def last_rows(large: Large) -> RawTable:
    """The last pieces of a large file as a table, which knows how many rows lie before."""
    first = len(large.counts) - LOOKED
    named = [(piece.name, piece.content) for piece in large.pieces() if piece.part.number > first]
    return last_of(named, str(large.path), before=sum(large.counts[:first]))


def size_note(raw: RawTable) -> Note:
    """That not all was looked at."""
    seen = f"the file has {raw.rows + raw.before} rows, of which the last {raw.rows} were looked at"
    return Note("size", "", seen, "what is said here is of these, and all rows land", "warn")


def land_pieces(house: House, large: Large, *, by_order: bool) -> Iterator[tuple[pd.Timestamp, Landed]]:
    """Lands the file piece by piece: all now, or a day apart and the last now where the order of rows is their time.

    One whose rows break the suite is set aside, and the others land: the suite was drafted from the last of them.
    """
    now, params = clock(), house.params
    for piece in large.pieces():
        ago = (piece.part.count - piece.part.number) * pd.Timedelta("1D") if by_order else pd.Timedelta(0)
        how: dict[str, Any] = {"workspace": house.workspace, "data": params.data, "reading": params.reading}
        yield now - ago, land(piece, now=now - ago, correction=False, **how)


def _spelled(path: Path) -> ReadingParams | None:
    """How the file spells its text, read off its beginning; None where that is no table: whoever reads it says why."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
        if head.startswith((PARQUET, ARROW)):
            return PLAIN
        if head.startswith(GZIP):
            with gzip.open(path) as text:
                head = text.read(HEAD)
        raw = read_raw(head[: head.rfind(b"\n") + 1], str(path))
    except (BadInputError, OSError, EOFError):
        return None
    return PLAIN.model_copy(update={"encoding": raw.encoding, "separator": raw.separator})
