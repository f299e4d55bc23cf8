"""A log that proves itself: each row is signed together with the digest of the row before, and so are count and end.

Source:
    Haber and Stornetta (1991), How to time-stamp a digital document, Journal of Cryptology 3.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from retrim.decision.stored_rows import ReleaseHeadRow, ReleaseRow
from retrim.stats.codec import to_json

FIRST = "0" * 64
"""What the first row follows."""

SignatureFault = Callable[[str, bytes, str], str | None]
"""What is wrong with a signature, given the signer's public key, what was signed and the signature; None: nothing."""


@dataclass(frozen=True)
class BrokenLog:
    """Where a log is not what was signed.

    Args:
        row: Number of the first row that is not; None where it is the signed head.
        what: What is wrong with it, as the end of a sentence.
    """

    row: int | None
    what: str


def signed_bytes(row: ReleaseRow | ReleaseHeadRow) -> bytes:
    """What is signed of a row, or of a head: the canonical JSON of all its fields but the signature."""
    return to_json({name: value for name, value in vars(row).items() if name != "signature"})


def digest_of_row(row: ReleaseRow) -> str:
    """SHA-256 of the canonical JSON of a signed row, its signature included; 64 hex digits."""
    return sha256(to_json(vars(row))).hexdigest()


def head_of(last: ReleaseRow, *, signer: str) -> ReleaseHeadRow:
    """The head that goes with a last row, before it is signed: how many rows there are, and the digest of the last."""
    return ReleaseHeadRow(last.model, last.sequence, digest_of_row(last), signer)


def first_broken(
    rows: Sequence[ReleaseRow],
    head: ReleaseHeadRow | None,
    copies: Mapping[int, str | None],
    *,
    fault: SignatureFault,
) -> BrokenLog | None:
    """The first row that was changed, moved, added or taken away, or else the head if that was; None if none was.

    A row without a copy is no fault: the copy is written after the row, and a kill may come between.

    Args:
        head: Count and digest of the last row, signed; None where there is none.
        copies: Digests of the copies of rows, kept elsewhere, by number; None for one that cannot be read.
    """
    by_number = {row.sequence: row for row in rows}
    head_fault = _head_fault(head, fault)
    counted = 0 if head is None or head_fault else head.sequence
    follows = FIRST
    for number in range(1, max(len(rows), counted, *copies, 0) + 1):
        row = by_number.get(number)
        if row is None:
            return BrokenLog(number, "is gone")
        wrong = fault(row.signer, signed_bytes(row), row.signature)
        if wrong is None and row.follows != follows:
            wrong = "does not follow the row before it"
        if wrong is None and number in copies and copies[number] != digest_of_row(row):
            wrong = "differs from the copy that was kept"
        if wrong is not None:
            return BrokenLog(number, wrong)
        follows = digest_of_row(row)
    if head_fault:
        return BrokenLog(None, head_fault)
    if head is None:
        return BrokenLog(None, "is gone") if rows else None
    if (head.sequence, head.digest) != (len(rows), follows):
        return BrokenLog(
            None, f"was signed over {head.sequence} rows, and does not match the {len(rows)} rows of the log"
        )
    return None


def _head_fault(head: ReleaseHeadRow | None, fault: SignatureFault) -> str | None:
    return None if head is None else fault(head.signer, signed_bytes(head), head.signature)
