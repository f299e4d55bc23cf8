"""Sealed keys tell nothing without the passphrase."""

import pytest

from retrim.adapters.signing import seal, unseal
from retrim.errors import BadInputError, RetrimError

FILES = {"var/keys/signing.key": b"-----BEGIN PRIVATE KEY-----", "odd name \xe9": bytes(range(256))}


def test_files_come_back_with_the_passphrase() -> None:
    assert unseal(seal(FILES, "a word"), "a word") == FILES


def test_another_passphrase_is_refused() -> None:
    with pytest.raises(BadInputError, match="RETRIM_BACKUP_PASSPHRASE"):
        unseal(seal(FILES, "a word"), "another")


def test_altered_bytes_are_refused() -> None:
    sealed = seal(FILES, "a word")

    with pytest.raises(BadInputError):
        unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), "a word")


def test_bytes_of_another_form_ask_for_a_newer_retrim() -> None:
    with pytest.raises(RetrimError, match="newer version"):
        unseal(b"retrim keys 2\n" + bytes(100), "a word")


def test_neither_names_nor_contents_are_seen() -> None:
    sealed = seal(FILES, "a word")

    assert b"PRIVATE" not in sealed
    assert b"signing" not in sealed


def test_the_same_files_are_sealed_otherwise_each_time() -> None:
    assert seal(FILES, "a word") != seal(FILES, "a word")
