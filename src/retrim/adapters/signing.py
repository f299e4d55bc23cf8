"""Ed25519 signatures: a key of this workspace, made at first use, and what was signed with it or another.

Attestations are in-toto statements in DSSE envelopes, so that tools of others read and verify them.

Source:
    Bernstein, Duif, Lange, Schwabe and Yang (2012), High-speed high-security signatures, J. Cryptogr. Eng. 2; RFC 8032;
    in-toto Attestation Framework, Statement v1; DSSE: Dead Simple Signing Envelope, v1.

Files in one file: an uncompressed tar with one spelling, so that same files are same bytes and nothing can hide.

Nothing is ever unpacked by the names of an archive: its files are read into memory, and the archive is written anew
from them and compared byte for byte. So a link, a device, an odd header or bytes behind the end are refused.

Keys and passwords, sealed with a passphrase, so that they can lie beside the data that they protect.

Source:
    Percival and Josefsson (2016), The scrypt Password-Based Key Derivation Function, RFC 7914; NIST SP 800-38D (GCM).
"""

import base64
import binascii
import io
import json
import os
import re
import stat
import tarfile
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Base64Bytes, JsonValue

from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.stats.codec import from_record, key, to_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from securesystemslib.signer import SSlibKey

SCHEME = "ed25519"
RAW_BYTES = 32  # of a public key
PAYLOAD, STATEMENT = "application/vnd.in-toto+json", "https://in-toto.io/Statement/v1"
SIGNER = "signer"
"""The field of a predicate that holds the public key it was signed with; the envelope names its fingerprint alone."""


@dataclass(frozen=True)
class PublicKey:
    """A public key, written `ed25519:` and its 32 bytes in base 64."""

    raw: bytes

    @classmethod
    def read(cls, text: str) -> "PublicKey":
        """A key as it is written.

        Raises:
            BadInputError: It is none.
        """
        scheme, _, encoded = text.strip().partition(":")
        with suppress(binascii.Error, ValueError):
            raw = base64.b64decode(encoded, validate=True)
            if scheme == SCHEME and len(raw) == RAW_BYTES:
                return cls(raw)
        raise BadInputError(f"{text.strip()[:80]!r} is not a public key; use a key that `retrim versions key` prints")

    def __str__(self) -> str:
        return f"{SCHEME}:{base64.b64encode(self.raw).decode()}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key's bytes, 64 hex digits: short enough to be read out."""
        return sha256(self.raw).hexdigest()

    def as_key(self) -> "SSlibKey":
        """The key as securesystemslib takes it, by its fingerprint."""
        from securesystemslib.signer import SSlibKey

        return SSlibKey(self.fingerprint, SCHEME, SCHEME, {"public": self.raw.hex()})

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Whether the key's owner signed these bytes."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, content)
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True)
class Keys:
    """The key pair of a workspace.

    Args:
        folder: Where the private key lies, `signing.key`; made at first use, for its owner alone.
    """

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "signing.key"

    @property
    def made(self) -> bool:
        """Whether there is a key already."""
        return self.file.exists()

    @property
    def public(self) -> PublicKey:
        """Its public half.

        Raises:
            As `attest`.
        """
        return _public(self._private())

    def sign(self, content: bytes) -> str:
        """The key's signature of some bytes, in base 64.

        Raises:
            As `attest`.
        """
        return base64.b64encode(self._private().sign(content)).decode()

    def known(self) -> list[PublicKey]:
        """The public keys that lie here: this workspace's own, also those it had before, and what `know` laid beside.

        Raises:
            BadInputError: One of the files holds none.
        """
        return [PublicKey.read(path.read_text(encoding="utf-8")) for path in sorted(self.folder.glob("*.pub"))]

    def know(self, keys: Iterable[PublicKey]) -> None:
        """Lays public keys here, so that what they signed counts."""
        for public in keys:
            path = self.folder / f"{public.fingerprint[:16]}.pub"
            if not path.exists():
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
                fresh.write_text(f"{public}\n", encoding="utf-8")
                fresh.replace(path)

    def attest(self, kind: str, subject: Mapping[str, str], fields: Mapping[str, Any]) -> dict[str, JsonValue]:
        """A signed statement about files: the JSON form of a DSSE envelope. Same statement and key, same record.

        Args:
            kind: The predicate's type, a URI.
            subject: SHA-256 of each file by its name, 64 hex digits; at least one.
            fields: The predicate, which gets the public key beside.

        Raises:
            RefusedError: Others can read the private key.
            RetrimError: It cannot be read, or is not an Ed25519 key.
        """
        from securesystemslib.dsse import Envelope
        from securesystemslib.signer import CryptoSigner

        private = self._private()
        public = _public(private)
        statement = {
            "_type": STATEMENT,
            "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sorted(subject.items())],
            "predicateType": kind,
            "predicate": {**fields, SIGNER: str(public)},
        }
        envelope = Envelope(to_json(statement), PAYLOAD, {})
        envelope.sign(CryptoSigner(private, public.as_key()))
        return dict(envelope.to_dict())

    def _private(self) -> "Ed25519PrivateKey":
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        if not self.made:
            self._make()
        if stat.S_IMODE(self.file.stat().st_mode) & 0o077:
            raise RefusedError(
                f"other users can read the private key {self.file}; run `chmod 600` on the file, or remove it to get a "
                "new key"
            )
        try:
            found = load_pem_private_key(self.file.read_bytes(), password=None)
        except (ValueError, TypeError) as error:  # the message may quote the file: it is not passed on
            raise RetrimError(f"the private key {self.file} cannot be read; restore it from a backup") from error
        if not isinstance(found, Ed25519PrivateKey):
            raise RetrimError(f"the private key {self.file} is not an Ed25519 key; remove it to get a new key")
        self.know([_public(found)])  # it outlives the private one: what that has signed still counts
        return found

    def _make(self) -> None:
        """Makes the key whole or not at all; one that another process made in the meantime stays."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        text = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = self.folder / f".signing.key.{os.getpid()}.new"
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(fresh, self.file)  # unlike a rename it does not take the place of what is there
        fresh.unlink()


@dataclass(frozen=True)
class Attestation:
    """What was signed.

    Args:
        kind: The predicate's type, a URI.
        subject: SHA-256 of each file by its name.
        fields: The predicate.
        signer: The key that signed it.
    """

    kind: str
    subject: Mapping[str, str]
    fields: dict[str, JsonValue]
    signer: PublicKey


@dataclass(frozen=True)
class FileDigest:
    """Of a file that a statement is about."""

    sha256: str


@dataclass(frozen=True)
class Subject:
    """A file that a statement is about."""

    name: str
    digest: FileDigest


@dataclass(frozen=True)
class SignedPayload:
    """Of an envelope of DSSE, what was signed."""

    payload: Base64Bytes


@dataclass(frozen=True)
class Statement:
    """An in-toto statement."""

    form: Annotated[str, key("_type")]
    subject: tuple[Subject, ...]
    kind: Annotated[str, key("predicateType")]
    predicate: dict[str, JsonValue]


def attested(record: Mapping[str, Any]) -> dict[str, JsonValue]:
    """The predicate of an attestation that lies in our own store; its signature is not looked at."""
    return from_record(Statement, json.loads(from_record(SignedPayload, record).payload)).predicate


def read_attestation(record: Mapping[str, Any]) -> Attestation:
    """What an attestation says, after its signature was checked; whether the signer counts is the caller's question.

    Raises:
        RefusedError: It is not what was signed by the key that it names.
        BadInputError: It is no attestation as `Keys.attest` makes them.
    """
    from securesystemslib.dsse import Envelope
    from securesystemslib.exceptions import VerificationError

    try:
        envelope = Envelope.from_dict(deepcopy(dict(record)))
        written = json.loads(envelope.payload)
        # One spelling each: nothing stands twice, and nothing stands beside what was signed.
        plain = envelope.to_dict() == record and to_json(written) == envelope.payload
        statement = from_record(Statement, written)
        subject = {each.name: each.digest.sha256 for each in statement.subject}
        signer = PublicKey.read(str(statement.predicate[SIGNER]))
        if not plain or envelope.payload_type != PAYLOAD or statement.form != STATEMENT:
            raise ValueError(envelope.payload_type)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError, RetrimError) as error:
        raise BadInputError(
            "the file is not an attestation: its payload, signature or key is missing or unreadable; choose a file in "
            "var/attestations/"
        ) from error
    try:
        envelope.verify([signer.as_key()], 1)
    except (VerificationError, ValueError) as error:
        raise RefusedError(
            f"the signature does not match the content and the key in the file ({signer.fingerprint[:16]}), so the "
            "content was altered or a different key signed it; get a new copy from the workspace that created the file"
        ) from error
    return Attestation(statement.kind, subject, statement.predicate, signer)


def signature_fault(key: str, content: bytes, signature: str, *, known: Collection[PublicKey]) -> str | None:
    """What is wrong with the signature of some bytes: it is none of the key named, or that is not known; None: nothing.

    Args:
        key: The signer's public key, as it is written.
        content: What was signed.
        signature: In base 64, in the one spelling that `sign` gives.
        known: Keys that count.
    """
    changed = "does not match its signature"
    try:
        named, raw = PublicKey.read(key), base64.b64decode(signature, validate=True)
    except (BadInputError, ValueError, TypeError):
        return changed
    if base64.b64encode(raw).decode() != signature or not named.signed(content, raw):
        return changed
    if named not in known:
        return (
            f"was signed with {named}, which is not a trusted key here; if this is a clone of the signer's workspace, "
            "add the key to proof.trusted_keys"
        )
    return None


def _public(private: "Ed25519PrivateKey") -> PublicKey:
    return PublicKey(private.public_key().public_bytes_raw())


NAME = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
MOST_FILES = 10_000
MEGABYTE = 1_000_000


def is_plain(name: str) -> bool:
    """Whether a name stays where it is put: relative, no way up, plain letters."""
    return NAME.fullmatch(name) is not None and not any(set(part) == {"."} for part in name.split("/"))


def pack(files: Mapping[str, bytes]) -> bytes:
    """An archive of files by relative name, sorted; no times, owners or rights of this machine.

    Raises:
        BadInputError: A name is not plain, or too long for the format.
    """
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            if not is_plain(name):
                raise BadInputError(f"{name!r} is not a valid file name in an archive; use letters, digits and . _ -")
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            try:
                archive.addfile(entry, io.BytesIO(content))
            except ValueError as error:
                raise BadInputError(
                    f"the name {name!r} is too long for an archive; use at most 100 characters for the file name, and "
                    "155 for its folder"
                ) from error
    return made.getvalue()


def unpack(file: Path, *, most_mb: float) -> dict[str, bytes]:
    """The files of an archive by relative name.

    Args:
        file: The archive.
        most_mb: Megabytes it may have.

    Raises:
        BadInputError: It cannot be read, is too large, or holds what is not a plain file.
        RefusedError: It is not spelled as `pack` spells it: it was cut, altered or added to.
    """
    try:
        size = file.stat().st_size
        if size > most_mb * MEGABYTE:
            raise BadInputError(
                f"{file.name} is {size / MEGABYTE:.1f} MB, but at most {most_mb:g} MB can be read; raise proof.most_mb "
                "to read it"
            )
        content = file.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"{file} cannot be read: {error.strerror}; choose a file that `retrim versions export` wrote"
        ) from error
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for entry in archive:
                # A sparse file says itself how large it is, whatever the archive holds: it would be read into memory.
                plain = entry.isreg() and not entry.issparse() and is_plain(entry.name)
                if not plain or entry.name in found or len(found) >= MOST_FILES:
                    raise BadInputError(
                        f"{file.name} contains {entry.name[:80]!r}, which is not a plain file or occurs twice; get a "
                        "new copy of the export from its sender"
                    )
                read = archive.extractfile(entry)
                assert read is not None
                found[entry.name] = read.read()
    except (tarfile.TarError, ValueError, LookupError, EOFError, ArithmeticError, RecursionError, OSError) as error:
        raise BadInputError(
            f"{file.name} cannot be read as an export ({error}); get a new copy of the export from its sender"
        ) from error
    try:
        same = pack(found) == content
    except BadInputError:  # a name that no archive of ours can hold
        same = False
    if not same:
        raise RefusedError(
            f"{file.name} was truncated, altered or extended; get a new copy of the export from its sender"
        )
    return found


SEALED = b"retrim keys 1\n"
SALT, NONCE = 16, 12
COST, BLOCK, LANES = 1 << 16, 8, 1
"""Of scrypt: 64 MB and a fifth of a second for each guess."""


def seal(files: Mapping[str, bytes], word: str) -> bytes:
    """Files by name as bytes that tell nothing without the passphrase; other bytes each time."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(SALT), os.urandom(NONCE)
    plain = to_json({name: base64.b64encode(content).decode() for name, content in files.items()})
    return SEALED + salt + nonce + AESGCM(_derived(word, salt)).encrypt(nonce, plain, SEALED)


def unseal(sealed: bytes, word: str) -> dict[str, bytes]:
    """The files that `seal` was given.

    Raises:
        BadInputError: The passphrase is another, or the bytes were altered: which, cannot be told.
        RetrimError: They were sealed by a newer retrim.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not sealed.startswith(SEALED):
        raise RetrimError(
            "the keys in the backup were encrypted in a way that this version of retrim does not support; install a "
            "newer version to restore them"
        )
    body = sealed[len(SEALED) :]
    salt, nonce, hidden = body[:SALT], body[SALT : SALT + NONCE], body[SALT + NONCE :]
    try:
        plain = AESGCM(_derived(word, salt)).decrypt(nonce, hidden, SEALED)
        return {name: base64.b64decode(text) for name, text in json.loads(plain).items()}
    except (InvalidTag, ValueError, binascii.Error) as error:
        raise BadInputError(
            "the keys in the backup were encrypted with a different passphrase; set the right passphrase in "
            "RETRIM_BACKUP_PASSPHRASE or RETRIM_BACKUP_PASSPHRASE_FILE, or unset both to restore without the keys"
        ) from error


def _derived(word: str, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=COST, r=BLOCK, p=LANES).derive(word.encode())
