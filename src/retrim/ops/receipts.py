"""Receipts as files: read strictly, and checked against their seals and the keys that count here."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from retrim.adapters.signing import PublicKey, signer_of
from retrim.core.proof import FORMAT, KIND
from retrim.errors import BadInputError, RefusedError
from retrim.ops.house import House

PROOF = "proof"  # kind of row of a release envelope
MOST_BYTES = 10_000_000  # of a receipt: one has some kB


@dataclass(frozen=True)
class ValidReceipt:
    """A receipt that is what was signed, by a key that counts.

    Args:
        receipt: Its fields.
        signer: The key's fingerprint.
        whose: Why it counts: ours, trusted, or given.
    """

    receipt: dict[str, Any]
    signer: str
    whose: str

    def as_record(self) -> dict[str, Any]:
        return {
            "valid": True,
            "signer": self.signer,
            "whose": self.whose,
            "model": self.receipt["model"],
            "version": self.receipt["version"],
            "identical": self.receipt["identical"],
            "largest_difference": self.receipt["predictions"]["largest_difference"],
            "proved_at": self.receipt["proved_at"],
        }


def verify_receipt(house: House | None, file: Path, *, key: str | None) -> ValidReceipt:
    """Checks a receipt.

    Args:
        house: Whose own key and trusted keys count; None outside of a workspace.
        file: The receipt.
        key: A public key as text, or the name of a file that holds it: then that one alone counts.

    Raises:
        BadInputError: The file is no receipt, or its format is newer.
        RefusedError: A field is not what was signed, or the key does not count here.
    """
    receipt = read_record(file)
    signer = signer_of(receipt)
    whose = whose_key(house, signer, key=key)
    if receipt.get("kind") != KIND:
        raise BadInputError(f"{file} is signed and no receipt of a rebuild: it is a {receipt.get('kind')!r}")
    found = ValidReceipt(receipt, signer.fingerprint, whose)
    try:
        if receipt["format"] > FORMAT:
            raise BadInputError(
                f"{file} has format {receipt['format']}; this retrim reads up to {FORMAT}: use a newer one"
            )
        found.as_record()
    except (KeyError, TypeError) as error:
        raise BadInputError(f"{file} is signed and lacks what a receipt says ({error}); ask who signed it") from error
    return found


def whose_key(house: House | None, signer: PublicKey, *, key: str | None) -> str:
    """Why a key counts: it was given, it is ours, or it is trusted.

    Raises:
        BadInputError: What was given is no public key.
        RefusedError: It does not count.
    """
    if key is not None:
        given = read_key(key)
        if given != signer:
            raise RefusedError(
                f"signed by {signer.fingerprint[:16]}, not by the key that was given, {given.fingerprint[:16]}"
            )
        return "given"
    if house is not None:
        if house.keys.made and house.keys.public == signer:
            return "ours"
        if signer in trusted_keys(house):
            return "trusted"
    raise RefusedError(
        f"signed by {signer}, which is neither the key of this workspace nor in proof.trusted_keys of params.yaml; "
        f"compare its fingerprint ({signer.fingerprint}) with whoever signed, then give it with --key or trust it"
    )


def last_proofs(house: House) -> dict[int, dict[str, str | None]]:
    """By version: `proved`, when it was last found identical, and `differed`, when it was found different since."""
    found: dict[int, dict[str, str | None]] = {}
    for row in house.store.envelopes(house.model, kind=PROOF):
        last = found.setdefault(row.version, {"proved": None, "differed": None})
        last |= {"proved": row.at, "differed": None} if row.record["identical"] else {"differed": row.at}
    return found


def trusted_keys(house: House) -> list[PublicKey]:
    """The keys of `proof.trusted_keys`.

    Raises:
        BadInputError: One of them is none.
    """
    return [PublicKey.read(text) for text in house.params.proof.trusted_keys]


def read_key(text: str) -> PublicKey:
    """A public key from its text, or from a file that holds it.

    Raises:
        BadInputError: It is none.
    """
    path = Path(text)
    if not text.startswith("ed25519:") and path.is_file() and path.stat().st_size < MOST_BYTES:
        return PublicKey.read(path.read_text(encoding="utf-8", errors="replace"))
    return PublicKey.read(text)


def read_record(file: Path) -> dict[str, Any]:
    """A JSON record from a file; a key that stands twice is refused, as one of the two would be read by nobody.

    Raises:
        BadInputError: It cannot be read as such.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise BadInputError(f"{file} has {file.stat().st_size} bytes, a receipt {MOST_BYTES} at most; name another")
        return parse_record(file.read_bytes(), str(file))
    except OSError as error:
        raise BadInputError(f"{file} cannot be read: {error.strerror}; name a receipt of var/receipts/") from error


def parse_record(content: bytes, name: str) -> dict[str, Any]:
    """The same from bytes that were called `name`.

    Raises:
        BadInputError: They are no such record.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise BadInputError(f"{name} has a key that stands twice in one record; ask for the file again")
        return found

    try:
        record = json.loads(content, object_pairs_hook=once, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"{name} cannot be read as JSON; it may be torn: ask for the file again") from error
    if not isinstance(record, dict):
        raise BadInputError(f"{name} holds a {type(record).__name__}; a record is needed")
    return record


def _no_number(text: str) -> Any:
    raise ValueError(text)
