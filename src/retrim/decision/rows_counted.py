"""Which landed rows have been counted, by which check: bits by batch and number of the row in its file.

A landed file never changes, so a batch and a row number name a landed row for good, and no key has to be kept. Each
landed row is counted, waits, or is exempt, and no row is any of it twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from retrim.stats.codec import Counted, written

Kind = Literal["met", "tested", "target", "measured", "deposited", "exempt"]
"""What a check did with rows of a batch: saw the batch first; tested the rows, or their labels, for drift; measured the
champion's loss on them; deposited them; found that the champion had been made or judged with them."""
COUNTS: tuple[Kind, ...] = ("tested", "target", "measured", "deposited")
"""What happens to a row once."""
TO_COME, REPLACES, LEFT_OUT, WITHDRAWN = -1, -2, -3, -4
"""Of a landed row that is in no row of the table: it has yet to arrive; it replaces a row
that landed before; `data.rows` leaves it out; its batch was withdrawn."""


@dataclass(frozen=True)
class LedgerEntry:
    """What one check did with rows of one batch.

    Args:
        check: Id of the check; empty while it is not recorded.
        rows: A bit for each row of the file, the lowest first; empty where the kind is of the whole batch.
    """

    check: str
    kind: Kind
    batch: str
    rows: bytes


@dataclass(frozen=True)
class RowNumbering:
    """How the rows of landed files are numbered through.

    Args:
        batches: The files of rows in their order.
        starts: Number of the first row of each, and how many rows there are in all, shape (batches + 1,).
    """

    batches: tuple[str, ...]
    starts: np.ndarray

    def __len__(self) -> int:
        return int(self.starts[-1])

    def pack(self, rows: np.ndarray) -> dict[str, bytes]:
        """The bits of the rows that are True in `rows`, shape (n,), by batch; batches without one are left out."""
        some = np.unique(np.searchsorted(self.starts, np.flatnonzero(rows), side="right") - 1)
        return {self.batches[number]: pack(rows[self.starts[number] : self.starts[number + 1]]) for number in some}

    def unpack(self, bits: Iterable[tuple[str, bytes]]) -> np.ndarray:
        """Which rows have a bit, shape (n,)."""
        return self.times(bits) > 0

    def times(self, bits: Iterable[tuple[str, bytes]]) -> np.ndarray:
        """How often each row has a bit, shape (n,). A batch that is not there any more has no rows."""
        rows = np.zeros(len(self), dtype="int32")
        places = {batch: number for number, batch in enumerate(self.batches)}
        for batch, packed in bits:
            number = places.get(batch)
            if number is not None:
                start, end = self.starts[number], self.starts[number + 1]
                rows[start:end] += unpack(packed, int(end - start))
        return rows


@dataclass(frozen=True)
class RowMembers:
    """Which landed row each row of the table is.

    Args:
        row_of: The table's row of each landed row, shape (landed rows,); `TO_COME`, `REPLACES`, `LEFT_OUT` or
            `WITHDRAWN` where it is in none.
        rows: How many rows the table has.
        visible: Batches that had arrived, of rows and of labels.
    """

    numbering: RowNumbering
    row_of: np.ndarray
    rows: int
    visible: tuple[str, ...]

    def among(self, others: Mapping[str, tuple[int, int]]) -> "RowMembers":
        """The same with batches of rows that are not in the table: how many rows each has, and what these are."""
        sizes = {
            batch: int(size) for batch, size in zip(self.numbering.batches, np.diff(self.numbering.starts), strict=True)
        }
        codes = [np.full(size, code, dtype="int32") for size, code in others.values()]
        numbering = numbering_of(sizes | {batch: size for batch, (size, _) in others.items()})
        return replace(self, numbering=numbering, row_of=np.concatenate([self.row_of, *codes]))

    def table_rows(self, landed: np.ndarray) -> np.ndarray:
        """Which rows of the table are made of any of the landed rows that are True in `landed`, shape (n,)."""
        rows = np.zeros(self.rows, dtype=bool)
        rows[self.row_of[landed & (self.row_of >= 0)]] = True
        return rows

    def landed_rows(self, table: np.ndarray) -> np.ndarray:
        """The landed rows that the rows of the table are made of which are True in `table`, shape (n,)."""
        if not self.rows:
            return np.zeros(len(self.row_of), dtype=bool)
        rows: np.ndarray = (self.row_of >= 0) & table[np.maximum(self.row_of, 0)]
        return rows


@dataclass(frozen=True)
class RowCounts:
    """What earlier checks have done with the rows of the table, and so what waits for this one.

    A row that was counted is never counted again, whichever version is live and whatever was corrected since.

    Args:
        members: Which landed rows make a row of the table.
        done: By kind, the rows of the table that were counted, shape (rows,).
        exempt: Rows that a version which was live at a check had been made or judged with, the one that is live now
            among them, shape (rows,).
        used: Those that the version which is live now was made or judged with, shape (rows,).
        entries: What was written so far.
    """

    members: RowMembers
    done: Mapping[Kind, np.ndarray]
    exempt: np.ndarray
    used: np.ndarray
    entries: tuple[LedgerEntry, ...]

    def waiting(self, kind: Kind) -> np.ndarray:
        """Rows of the table that have yet to be counted so, shape (rows,)."""
        rows: np.ndarray = ~(self.done[kind] | self.exempt)
        return rows

    def times(self, kind: Kind) -> np.ndarray:
        """How many checks did this with each landed row, shape (landed rows,)."""
        return self.members.numbering.times((entry.batch, entry.rows) for entry in self.entries if entry.kind == kind)

    def to_write(self, taken: Mapping[Kind, np.ndarray]) -> tuple[LedgerEntry, ...]:
        """What a check writes down.

        Args:
            taken: By kind, the rows of the table that it counted, shape (rows,).
        """
        newly = self.members.landed_rows(self.exempt) & (self.times("exempt") == 0)
        landed = {kind: self.members.landed_rows(rows) for kind, rows in taken.items()} | {"exempt": newly}
        met = {entry.batch for entry in self.entries if entry.kind == "met"}
        return (
            *(LedgerEntry("", "met", batch, b"") for batch in self.members.visible if batch not in met),
            *(
                LedgerEntry("", kind, batch, bits)
                for kind, rows in landed.items()
                for batch, bits in self.members.numbering.pack(rows).items()
            ),
        )


def count_rows(members: RowMembers, entries: Iterable[LedgerEntry], used: np.ndarray) -> RowCounts:
    """What earlier checks have done with the rows of a table.

    Args:
        used: Rows that the live version was made or judged with, shape (rows,).
    """
    entries = tuple(entries)

    def rows_of(kind: Kind) -> np.ndarray:
        bits = ((entry.batch, entry.rows) for entry in entries if entry.kind == kind)
        return members.table_rows(members.numbering.unpack(bits))

    return RowCounts(members, {kind: rows_of(kind) for kind in COUNTS}, rows_of("exempt") | used, used, entries)


def numbering_of(sizes: Mapping[str, int]) -> RowNumbering:
    """The numbering of batches of that many rows, in their order."""
    return RowNumbering(tuple(sizes), np.cumsum([0, *sizes.values()]))


def pack(rows: np.ndarray) -> bytes:
    """A bit a row, the lowest first."""
    return np.packbits(rows, bitorder="little").tobytes()


def unpack(bits: bytes, rows: int) -> np.ndarray:
    """The rows again, shape (rows,)."""
    unpacked: np.ndarray = np.unpackbits(np.frombuffer(bits, dtype="uint8"), count=rows, bitorder="little").astype(bool)
    return unpacked


@dataclass(frozen=True)
class Balance:
    """Rows counted for one purpose.

    Args:
        rows: Rows to account for: landed rows for `tested`, mature rows for every other purpose.
        counted: Rows that checks counted; a row that was counted twice adds two.
        waiting: Rows that the next check that counts, or a later one, will take.
        exempt: Rows that are never counted, by reason.
        missing: Numbers of landed rows that a check should have counted and none did.
        double: Numbers of landed rows that were counted more than once.
    """

    kind: Annotated[Kind, Field(exclude=True)]
    rows: int
    counted: int
    waiting: int
    exempt: Mapping[str, int]
    missing: Counted
    double: Counted

    @written
    def holds(self) -> bool:
        """Whether each row is one of the three, and once."""
        whole = self.rows == self.counted + self.waiting + sum(self.exempt.values())
        return whole and not len(self.missing) and not len(self.double)


def balance(kind: Kind, counts: RowCounts, *, mature: np.ndarray, due: np.ndarray) -> Balance:
    """What has become of the rows that a check counts for one purpose.

    Args:
        mature: Rows of the table whose label was due and known, shape (rows,).
        due: Landed rows that the newest check that counted should have taken, shape (landed rows,).
    """
    members, times = counts.members, counts.times(kind)
    counted, row_of = times > 0, members.row_of
    used = members.landed_rows(counts.exempt) | (counts.times("exempt") > 0)
    reasons = {
        "used": used,
        "left_out": row_of == LEFT_OUT,
        "replaces": row_of == REPLACES,
        "withdrawn": row_of == WITHDRAWN,
    }
    rows = np.ones(len(row_of), dtype=bool) if kind == "tested" else members.landed_rows(mature) | counted
    left, exempt = rows & ~counted, {}
    for reason, some in reasons.items():
        exempt[reason] = int((left & some).sum())
        left &= ~some
    missing = left & due
    return Balance(
        kind,
        int(rows.sum()),
        int(times.sum()),
        int((left & ~missing).sum()),
        exempt,
        np.flatnonzero(missing),
        np.flatnonzero(times > 1),
    )
