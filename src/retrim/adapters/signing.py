"""Ed25519 signatures: a key of this workspace, made at first use, and what was signed with it or another.

Source:
    Bernstein, Duif, Lange, Schwabe and Yang (2012), High-speed high-security signatures, J. Cryptogr. Eng. 2; RFC 8032.
"""

import base64
import binascii
import os
import stat
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from retrim.errors import BadInputError, RefusedError, RetrimError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SCHEME = "ed25519"
RAW_BYTES = 32  # of a public key


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
        raise BadInputError(
            f"{text.strip()[:80]!r} is not a public key; use one that `retrim versions export --key` prints"
        )

    def __str__(self) -> str:
        return f"{SCHEME}:{base64.b64encode(self.raw).decode()}"

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key's bytes, 64 hex digits: short enough to be read out."""
        return sha256(self.raw).hexdigest()

    def signed(self, content: bytes, signature: bytes) -> bool:
        """Whether the key's owner signed these bytes."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.raw).verify(signature, content)
        except (InvalidSignature, ValueError):
            return False
        return True


def read_public_key(file: Path) -> PublicKey:
    """A public key from a file that holds it, as `retrim versions export --key` prints it.

    Raises:
        BadInputError: The file cannot be read, or holds none.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"{file} cannot be read as a public key; choose a file with the output of `retrim versions export --key`"
        ) from error
    return PublicKey.read(text)


@dataclass(frozen=True)
class Keys:
    """The key pair of a workspace: `signing.key` in a folder, made at first use, for its owner alone."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "signing.key"

    @property
    def made(self) -> bool:
        return self.file.exists()

    @property
    def public(self) -> PublicKey:
        """Its public half.

        Raises:
            RefusedError: Others can read the private key.
            RetrimError: It cannot be read, or is not an Ed25519 key.
        """
        return _public(self._private())

    def sign(self, content: bytes) -> str:
        """The key's signature of some bytes, in base 64."""
        return base64.b64encode(self._private().sign(content)).decode()

    def known(self) -> list[PublicKey]:
        """The public keys that lie here: this workspace's, also those it had before, and what `know` laid beside."""
        return [read_public_key(path) for path in sorted(self.folder.glob("*.pub"))]

    def know(self, public: PublicKey) -> None:
        """Lays a public key here, so that what it signed counts."""
        path = self.folder / f"{public.fingerprint[:16]}.pub"
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
            fresh.write_text(f"{public}\n", encoding="utf-8")
            fresh.replace(path)

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
            private = load_pem_private_key(self.file.read_bytes(), password=None)
        except (ValueError, TypeError) as error:  # the message may quote the file: it is not passed on
            raise RetrimError(f"the private key {self.file} cannot be read; restore it from a backup") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise RetrimError(f"the private key {self.file} is not an Ed25519 key; remove it to get a new key")
        self.know(_public(private))  # it outlives the private one: what that has signed still counts
        return private

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


def signature_fault(key: str, content: bytes, signature: str, *, known: Collection[PublicKey]) -> str | None:
    """What is wrong with a signature: it is none of the key named, or that key is not known; None: nothing."""
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
            "run `retrim versions export --key` there and save the key here as var/keys/signer.pub"
        )
    return None


def _public(private: "Ed25519PrivateKey") -> PublicKey:
    return PublicKey(private.public_key().public_bytes_raw())
