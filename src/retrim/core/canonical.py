"""Records and folders with one spelling each: same content, same bytes, same hash."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any


def to_json(record: Any) -> bytes:
    """Canonical JSON: sorted keys, no NaN, a newline at the end. Same record, same bytes."""
    return (json.dumps(record, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def digest_of(digests: Mapping[str, str]) -> str:
    """SHA-256 over the files of a folder: relative names and their own SHA-256, sorted by name."""
    lines = [f"{name}\0{digest}\n" for name, digest in sorted(digests.items())]
    return sha256("".join(lines).encode()).hexdigest()
