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

    An entry that is missing in between breaks the chain at its own number. The last ones, taken away with their
    seals, are missed only by who has kept a later seal. Entries before the first seal were made before there were
    any: the chain begins after them.

    Args:
        entries: In order, each with its number under `sequence`, from 1.
        seals: By number.
    """
    before = FIRST
    if not seals:
        return None
    for number in range(min(seals), max([len(entries), *seals]) + 1):
        entry = entries[number - 1] if number <= len(entries) else None
        if entry is None or entry["sequence"] != number or seals.get(number) != seal(before, entry):
            return number
        before = seals[number]
    return None
