"""Keys and passwords, sealed with a passphrase, so that they can lie beside the data that they protect.

Source:
    Percival and Josefsson (2016), The scrypt Password-Based Key Derivation Function, RFC 7914; NIST SP 800-38D (GCM).
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping

from retrim.errors import BadInputError, RetrimError
from retrim.stats.codec import to_json

HEAD = b"retrim keys 1\n"
SALT, NONCE = 16, 12
COST, BLOCK, LANES = 1 << 16, 8, 1
"""Of scrypt: 64 MB and a fifth of a second for each guess."""


def seal(files: Mapping[str, bytes], word: str) -> bytes:
    """Files by name as bytes that tell nothing without the passphrase; other bytes each time."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    salt, nonce = os.urandom(SALT), os.urandom(NONCE)
    plain = to_json({name: base64.b64encode(content).decode() for name, content in files.items()})
    return HEAD + salt + nonce + AESGCM(_key(word, salt)).encrypt(nonce, plain, HEAD)


def unseal(sealed: bytes, word: str) -> dict[str, bytes]:
    """The files that `seal` was given.

    Raises:
        BadInputError: The passphrase is another, or the bytes were altered: which, cannot be told.
        RetrimError: They were sealed by a newer retrim.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    if not sealed.startswith(HEAD):
        raise RetrimError("the keys were sealed in a way that this retrim does not know; restore with a newer retrim")
    body = sealed[len(HEAD) :]
    salt, nonce, hidden = body[:SALT], body[SALT : SALT + NONCE], body[SALT + NONCE :]
    try:
        plain = AESGCM(_key(word, salt)).decrypt(nonce, hidden, HEAD)
        return {name: base64.b64decode(text) for name, text in json.loads(plain).items()}
    except (InvalidTag, ValueError, binascii.Error) as error:
        raise BadInputError(
            "the passphrase is not the one that the keys were sealed with; set RETRIM_BACKUP_PASSPHRASE or "
            "RETRIM_BACKUP_PASSPHRASE_FILE, or unset both to restore without the keys"
        ) from error


def _key(word: str, salt: bytes) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=COST, r=BLOCK, p=LANES).derive(word.encode())
