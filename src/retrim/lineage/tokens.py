"""Who may ask the server: tokens with scopes. Only their hashes are kept, in a file that its owner alone can read.

A token is 32 random bytes, so its plain SHA-256 tells nothing of it.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from secrets import token_urlsafe
from time import monotonic
from typing import Literal, get_args

import pandas as pd

from retrim.adapters.database import iso
from retrim.errors import BadInputError, RetrimError, UnknownNameError
from retrim.files import file_state, write_private
from retrim.lineage.locks import held_locks
from retrim.lineage.workspace import Workspace
from retrim.stats.codec import from_record, to_json, to_record

Scope = Literal["read", "predict", "label", "operate"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
"""read: metrics and the description; predict: predictions and why; label: answers land; operate: jobs."""
LONGEST_NAME = 60
NOTED_SECONDS = 60
"""So old may the noted last use of a token be while it is used."""


@dataclass(frozen=True)
class Token:
    """A stored token.

    Args:
        name: Name of the token's owner.
        scopes: What the token allows.
        digest: SHA-256 of the token.
        made: When the token was made.
    """

    name: str
    scopes: tuple[str, ...]
    digest: str
    made: str


def read_tokens(file: Path) -> dict[str, Token]:
    """The tokens of a workspace, by name. Without a file the server is open to this machine; an empty one closes it.

    Raises:
        BadInputError: The file was altered.
    """
    try:
        read = file.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadInputError(f"{file} cannot be read ({error}); allow the user who runs retrim to read it") from error
    try:
        return {token.name: token for token in (from_record(Token, one) for one in json.loads(read))}
    except (ValueError, KeyError, TypeError, RetrimError) as error:
        raise BadInputError(
            f"{file} does not contain valid tokens ({error}); write [] into the file, and create the tokens again"
        ) from error


def last_uses(file: Path) -> dict[str, pd.Timestamp]:
    """When each token was last used, within `NOTED_SECONDS`, by name; of one that was never used, nothing."""
    used = {name: _note_of_use(file, token) for name, token in read_tokens(file).items()}
    return {
        name: pd.Timestamp(note.stat().st_mtime, unit="s", tz="UTC").floor("s")
        for name, note in used.items()
        if note.exists()
    }


def _note_of_use(file: Path, token: Token) -> Path:
    """An empty file that is as old as the last use; tokens themselves stay as their owner wrote them."""
    return file.with_name(f"used-{token.digest[:16]}")


def add_token(workspace: Workspace, name: str, scopes: Sequence[str], *, now: pd.Timestamp) -> str:
    """A new token; it is not kept, so it cannot be shown again.

    Raises:
        BadInputError: The name is taken or is none, or no scope is named.
        UnknownNameError: There is no such scope.
    """
    for scope in scopes:
        if scope not in SCOPES:
            raise UnknownNameError("scope", scope, SCOPES)
    if not scopes:
        raise BadInputError(f"a token without a scope would allow nothing; choose one or more of {', '.join(SCOPES)}")
    if not name.isprintable() or not 0 < len(name.strip()) == len(name) <= LONGEST_NAME:
        raise BadInputError(
            f"{name!r} is not a valid token name; write who uses the token, in at most {LONGEST_NAME} printable "
            "characters"
        )
    with held_locks(workspace, "tokens"):
        there = read_tokens(workspace.paths.tokens)
        if name in there:
            raise BadInputError(
                f"a token named {name!r} already exists; choose another name, or remove it: retrim token NAME --remove"
            )
        text = f"retrim_{token_urlsafe(32)}"
        digest = sha256(text.encode()).hexdigest()
        _write(workspace, {**there, name: Token(name, tuple(dict.fromkeys(scopes)), digest, iso(now))})
    return text


def remove_token(workspace: Workspace, name: str) -> None:
    """Takes a token back; a server that runs refuses it from then on, and everybody once none is left.

    Raises:
        UnknownNameError: There is none of that name.
    """
    with held_locks(workspace, "tokens"):
        there = read_tokens(workspace.paths.tokens)
        if name not in there:
            raise UnknownNameError("token", name, there)
        _write(workspace, {other: token for other, token in there.items() if other != name})
        _note_of_use(workspace.paths.tokens, there[name]).unlink(missing_ok=True)


def open_without_tokens(workspace: Workspace) -> None:
    """Lets programs on this machine ask without a token again.

    Raises:
        BadInputError: There are tokens, which would no longer mean anything.
    """
    with held_locks(workspace, "tokens"):
        there = read_tokens(workspace.paths.tokens)
        if there:
            raise BadInputError(
                f"{len(there)} tokens exist ({', '.join(there)}); remove each of them first: retrim token NAME --remove"
            )
        workspace.paths.tokens.unlink(missing_ok=True)


def _write(workspace: Workspace, tokens: Mapping[str, Token]) -> None:
    write_private(workspace.paths.tokens, to_json([to_record(token) for token in tokens.values()]))


class Doorkeeper:
    """Knows the tokens of a workspace as they are now."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._seen: tuple[int, ...] | None = None
        self._by_digest: dict[str, Token] = {}
        self._noted: dict[str, float] = {}

    def is_open(self) -> bool:
        """Whether nobody needs a token: none was ever made, or a person opened the server again."""
        return not self.tokens() and self._seen == ()

    def tokens(self) -> dict[str, Token]:
        """By digest. A file that cannot be read lets nobody in."""
        seen = file_state(self._file)
        if seen != self._seen:
            self._by_digest = {token.digest: token for token in read_tokens(self._file).values()}
            self._seen = seen
        return self._by_digest

    def token_of(self, given: bytes) -> Token | None:
        """The token in the value of an Authorization header; None where that names none that is known."""
        kind, _, text = given.partition(b" ")
        token = self.tokens().get(sha256(text.strip()).hexdigest()) if kind.lower() == b"bearer" else None
        if token is not None and monotonic() - self._noted.get(token.digest, -NOTED_SECONDS) >= NOTED_SECONDS:
            self._noted[token.digest] = monotonic()
            with suppress(OSError):  # a request is answered all the same
                _note_of_use(self._file, token).touch(mode=0o600)
        return token
