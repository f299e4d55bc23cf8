"""The release log: every move of the champion, append-only, each signed over the one before.

The store has it. A copy of each signed row lies in git, as an annotated tag `retrim/MODEL/log/N` beside that of the
version: cut off or brought back as it was once, the store's log has fewer rows than git, or others. The tag is written
after the row, and what a kill left out is written by whoever comes next.
"""

import json
from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from retrim.adapters import git, git_notes
from retrim.adapters.signing import PublicKey, signature_fault
from retrim.adapters.store import Row
from retrim.core.canonical import to_json
from retrim.core.release_log import Broken, digest_of_row, first_broken
from retrim.errors import RefusedError, RetrimError
from retrim.ops.house import House
from retrim.ops.receipts import trusted_keys


@dataclass(frozen=True)
class Verified:
    """A log that is what was signed.

    Args:
        rows: Moves in it.
        in_git: Those of them of which a copy lies in git.
        head: Digest of the last one; None where there is none. Noted elsewhere, it proves later that none is gone.
    """

    rows: int
    in_git: int
    head: str | None

    def as_record(self) -> dict[str, Any]:
        return {"rows": self.rows, "in_git": self.in_git, "head": self.head}


def release_log(house: House) -> list[dict[str, Any]]:
    """Every move, oldest first: which, by whom and why, as of when and when, digest and signer."""
    return [
        {
            "sequence": row.sequence,
            "version": row.version,
            "previous": row.previous,
            "action": row.action,
            "by": row.actor,
            "reason": row.reason,
            "as_of": row.as_of,
            "at": row.at,
            "digest": digest_of_row(row.values),
            "signer": PublicKey.read(row.signer).fingerprint,
        }
        for row in house.store.releases(house.model)
    ]


def verify_log(house: House, *, kept: str | None) -> Verified:
    """Checks the whole log: signatures, order, count, and the copies in git.

    Args:
        house: The house.
        kept: A digest that was noted before and must be in it; None to ask for none.

    Raises:
        RefusedError: A row was changed, moved, added or taken away; names the first.
    """
    try:
        rows, copies = _checked(house)
    except RefusedError:
        rows, copies = _checked(house)  # read again: the champion may have moved between one reading and the next
    digests = [digest_of_row(row.values) for row in rows]
    if kept is not None and kept not in digests:
        raise RefusedError(
            f"the digest {kept[:12]} is not in the release log of {house.model}: rows that were there when it was "
            "noted are gone; restore the store from a backup"
        )
    return Verified(len(rows), len(copies), digests[-1] if digests else None)


def keep_copies(house: House) -> None:
    """Writes copies of the rows that have none into git, once the log was verified; done twice, it is done once.

    Raises:
        RefusedError: The log was altered.
    """
    rows = house.store.releases(house.model)
    missing = {row.sequence for row in rows} - _copies(house).keys()
    if not missing:
        return
    verify_log(house, kept=None)
    root = house.workspace.root
    for row in rows:
        if row.sequence in missing:
            made = house.store.version(house.model, row.version)
            commit = None if made is None else git.find_tag(root, made.tag)  # None: it was imported
            said = f"retrim: version {row.version} of {house.model}, {row.action}"
            text = f"{said}\n\n{to_json(row.values).decode()}"
            git_notes.keep(root, f"{_prefix(house)}/{row.sequence}", commit or "HEAD", text)


def _checked(house: House) -> tuple[list[Row], dict[int, dict[str, Any] | None]]:
    """Rows and copies of a log that is what was signed."""
    copies = _copies(house)  # first: a move in between has a row without a copy, which is no fault
    try:
        rows, head = house.store.releases(house.model), house.store.release_head(house.model)
    except RetrimError:
        number = house.store.unreadable_release(house.model)
        raise _altered(house, Broken(number, "cannot be read"), copies) from None
    found = [row.values for row in rows]
    counts = partial(signature_fault, known=[*house.keys.known(), *trusted_keys(house)])
    broken = first_broken(found, None if head is None else head.values, copies, fault=counts)
    if broken is not None:
        raise _altered(house, broken, copies)
    return rows, copies


def _copies(house: House) -> dict[int, dict[str, Any] | None]:
    """The copies in git by number; None for one that cannot be read."""
    found: dict[int, dict[str, Any] | None] = {}
    for name, text in git_notes.read_all(house.workspace.root, _prefix(house)).items():
        number = name.removeprefix(f"{_prefix(house)}/")
        if number.isdecimal():
            found[int(number)] = None
            with suppress(ValueError):
                found[int(number)] = json.loads(text.partition("\n\n")[2])
    return found


def _prefix(house: House) -> str:
    return f"retrim/{house.model}/log"


def _altered(house: House, broken: Broken, copies: Container[int | None]) -> RefusedError:
    which = "its signed head" if broken.row is None else f"row {broken.row}"
    cure = "restore the store from a backup of before, and look who can write to it"
    if broken.row in copies:
        name = f"{_prefix(house)}/{broken.row}"
        cure += (
            f". `git show {name}` shows the row as it was signed; if it is lost for good, as it came after the last "
            f"backup, `git tag -d {name}` goes on without it"
        )
    return RefusedError(f"the release log of {house.model} was altered: {which} {broken.what}; {cure}")
