"""Taking a landed batch back: a new fact with its own time, so that views of before it stay as they were."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters.store import Row
from retrim.datasets.landed import ID_LENGTH, BatchFile
from retrim.datasets.withdrawn import Withdrawal
from retrim.errors import BadInputError, RefusedError
from retrim.ops.arrival import A_SECOND, clock
from retrim.ops.house import House
from retrim.ops.person import require_who_and_why


@dataclass(frozen=True)
class Withdrawn:
    """What a withdrawal did.

    Args:
        fresh: Whether anything was taken back; else all of it had been.
        withdrawals: Of the batch, or of each piece of a large file.
        rows: Rows they have.
        versions: Versions made with them.
    """

    fresh: bool
    withdrawals: tuple[Withdrawal, ...]
    rows: int
    versions: tuple[int, ...]

    def as_record(self) -> dict[str, Any]:
        return {
            "outcome": "withdrawn" if self.fresh else "already",
            "batches": [each.as_record() for each in self.withdrawals],
            "rows": self.rows,
            "versions": list(self.versions),
        }


def withdraw(house: House, name: str, *, by: str, reason: str, now: pd.Timestamp | None) -> Withdrawn:
    """Takes a batch back, or all pieces of a large file; doing it again changes nothing.

    Args:
        house: The house.
        name: How the batch begins, or the large file.
        by: Who does it.
        reason: Why.
        now: From when on it is left out, after the last arrival; None: by the clock.

    Raises:
        BadInputError: There is no such batch, or several; nobody or no reason is named; or the time is not after the
            last arrival.
    """
    require_who_and_why(by=by, reason=reason)
    landing = house.landing
    with landing.locked():
        files, before = find_batches(landing.batches(), name), landing.withdrawals()
        fresh = [file for file in files if file.batch not in before]
        at = _moment(house, now) if fresh else clock()
        for file in fresh:
            landing.withdraw(Withdrawal(file.batch, file.digest, at, by, reason))
        kept = landing.withdrawals()
    withdrawals = tuple(kept[file.batch] for file in files)
    versions = tuple(sorted({version for file in files for version in made_with(house, file, kept.get(file.batch))}))
    return Withdrawn(bool(fresh), withdrawals, sum(file.rows for file in files), versions)


def find_batches(files: list[BatchFile], name: str) -> list[BatchFile]:
    """The batch whose digest begins with `name`; or the pieces of the large file whose digest does.

    Raises:
        BadInputError: None does, or those of several do.
    """
    own = [file for file in files if file.digest.startswith(name)] if name else []
    pieces = [file for file in files if file.of.startswith(name)] if name else []
    found = {file.digest for file in own} | {file.of for file in pieces}
    if not found:
        raise BadInputError(f"no landed batch begins with {name!r}; list them with `retrim batch list`")
    if len(found) > 1:
        listed = ", ".join(sorted(each[:ID_LENGTH] for each in found))
        raise BadInputError(f"{name!r} is how several batches begin: {listed}; write more of it")
    return own or pieces


def _moment(house: House, now: pd.Timestamp | None) -> pd.Timestamp:
    """When a withdrawal counts from: after all that has arrived, so that no view of before it changes."""
    last = max(file.arrived for file in house.landing.batches())
    if now is None:
        now = clock()
        if now <= last <= now + A_SECOND:
            now = last + A_SECOND
    if now <= last:
        raise BadInputError(
            f"{now} is not after the last arrival, {last}, and views of before it must not change; give a later time"
        )
    return now


def made_with(house: House, file: BatchFile, withdrawal: Withdrawal | None) -> list[int]:
    """The versions whose raw data hold a batch: made as of a moment at which it had landed and stood."""
    return [row.version for row in house.store.versions(house.model) if _held(row, file, withdrawal)]


def _held(version: Row, file: BatchFile, withdrawal: Withdrawal | None) -> bool:
    as_of = pd.Timestamp(version.as_of)
    return file.arrived <= as_of and (withdrawal is None or as_of < withdrawal.at)


def withdrawn_of_versions(house: House) -> dict[int, list[str]]:
    """Of each version that was made with batches which were withdrawn since: which."""
    withdrawals = house.landing.withdrawals()
    if not withdrawals:
        return {}
    files = [file for file in house.landing.batches() if file.batch in withdrawals]
    found: dict[int, list[str]] = {}
    for file in files:
        for version in made_with(house, file, withdrawals[file.batch]):
            found.setdefault(version, []).append(file.batch)
    return found


def batch_records(house: House) -> list[dict[str, Any]]:
    """Every landed batch, in order of arrival, with its withdrawal or None."""
    withdrawals = house.landing.withdrawals()
    return [_record(file, withdrawals.get(file.batch)) for file in house.landing.batches()]


def batch_record(house: House, name: str) -> dict[str, Any]:
    """One landed batch: its facts, columns, withdrawal, and the versions made with it.

    Raises:
        BadInputError: There is no such batch, or several.
    """
    files = find_batches(house.landing.batches(), name)
    if len(files) > 1:
        listed = ", ".join(file.batch for file in files)
        raise BadInputError(f"{name!r} is a large file that landed in {len(files)} batches: {listed}; name one")
    (file,), withdrawals = files, house.landing.withdrawals()
    found = withdrawals.get(file.batch)
    return {**_record(file, found), "columns": dict(file.schema.types), "versions": made_with(house, file, found)}


def _record(file: BatchFile, withdrawal: Withdrawal | None) -> dict[str, Any]:
    return {**file.as_record(), "withdrawn": None if withdrawal is None else withdrawal.as_record()}


def refuse_withdrawn(found: BatchFile, withdrawal: Withdrawal | None) -> None:
    """Refuses a file that landed before and was withdrawn.

    Raises:
        RefusedError: It was: says by whom and why, and the cure.
    """
    if withdrawal is not None:
        raise RefusedError(
            f"batch {found.batch} was withdrawn on {withdrawal.at.isoformat()} by {withdrawal.by} "
            f"({withdrawal.reason}); correct its rows and land that file; or, if it was right, land the same rows as "
            "another file, such as the table stored as Parquet"
        )
