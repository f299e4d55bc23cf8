"""Records sealed field by field: a signature over the seals says whose they are, and a broken seal names its field."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from retrim.core.canonical import to_json

SEALS, SIGNATURE = "seals", "signature"
OUTSIDE = {SEALS, SIGNATURE}
"""What is no field of a sealed record: it stands around the fields."""


def seals_of(fields: Mapping[str, Any]) -> dict[str, str]:
    """The seal of each field: SHA-256 of its canonical JSON, 64 hex digits."""
    return {name: sha256(to_json(value)).hexdigest() for name, value in fields.items() if name not in OUTSIDE}


def bytes_to_sign(seals: Mapping[str, str]) -> bytes:
    """What is signed: the canonical JSON of all seals, so of every field by name and content."""
    return to_json(dict(seals))


def broken_seals(record: Mapping[str, Any]) -> list[str]:
    """Names of fields that are not what was sealed, that were added, or that are gone; sorted."""
    found, sealed = seals_of(record), record.get(SEALS)
    kept = sealed if isinstance(sealed, Mapping) else {}
    return sorted(name for name in found.keys() | kept.keys() if found.get(name) != kept.get(name))
