"""A log whose entries are chained: each is sealed together with the seal before it, so that one changed byte shows.

Source:
    Haber and Stornetta (1991), How to time-stamp a digital document, Journal of Cryptology 3.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from retrim.core.canonical import to_json

FIRST = "0" * 64
"""What stands before the first entry."""


def seal(before: str, entry: Mapping[str, Any]) -> str:
    """The seal of an entry: SHA-256 of the seal before it and of its canonical JSON, 64 hex digits."""
    return sha256(before.encode() + to_json(dict(entry))).hexdigest()


def first_broken(entries: Sequence[Mapping[str, Any]], seals: Mapping[int, str]) -> int | None:
    """The number of the first entry that is not what was sealed; None where all are.

    An entry that is missing in between breaks the chain at its own number, and so does one whose seal is
    missing. The last ones, taken away with their seals, are missed only by who has kept a later seal. Entries
    before the first seal were made before there were any: the chain begins after them.

    Args:
        entries: Each with its number under `sequence`, from 1.
        seals: By number.
    """
    if not seals:
        return None
    by_number = {entry["sequence"]: entry for entry in entries}
    if misplaced := seals.keys() - by_number.keys():
        return _misplaced(set(misplaced), set(by_number.keys() - seals.keys()), most=max(len(by_number), len(seals)))
    before = FIRST
    for number in sorted(seals):
        if number != min(seals) and number - 1 not in seals:
            return number - 1
        if seals[number] != seal(before, by_number[number]):
            return number
        before = seals[number]
    later = [number for number in by_number if number > max(seals)]
    return min(later, default=None)


def _misplaced(seals: set[int], entries: set[int], *, most: int) -> int:
    """The entry that is gone or bears another number; or whose seal does, as numbers go from 1 to `most`.

    Args:
        seals: Numbers of seals without an entry.
        entries: Numbers of entries without a seal; those before the first seal are among them.
        most: Entries or seals, whichever are more.
    """
    if not entries:
        return min(seals)
    return max((number for number in seals | entries if 1 <= number <= most), default=min(seals))
