"""Landed batches as a person sees them, and taking one back, at a time: views of before it stay as they were."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pandas as pd

from retrim.errors import BadInputError, RefusedError
from retrim.landing.as_of_view import made_with
from retrim.landing.quarantine import Quarantine, QuarantinedBatch
from retrim.lineage.workspace import Workspace, clock, require_who_and_why
from retrim.reading.landed import ID_LENGTH, BatchFile, Withdrawal
from retrim.stats.codec import Unwritten, key, written

A_SECOND = pd.Timedelta("1s")


@dataclass(frozen=True)
class WithdrawalResult:
    """The result of a withdrawal.

    Args:
        fresh: Whether anything was withdrawn now; False if all of it had been withdrawn before.
        withdrawals: Withdrawal of the batch, or of each chunk of a large file.
        rows: Rows in these batches.
        versions: Versions that were made with these batches.
    """

    fresh: Unwritten[bool]
    withdrawals: Annotated[tuple[Withdrawal, ...], key("batches")]
    rows: int
    versions: tuple[int, ...]

    @written
    def outcome(self) -> Literal["withdrawn", "already"]:
        return "withdrawn" if self.fresh else "already"


def withdraw(workspace: Workspace, name: str, *, by: str, reason: str, now: pd.Timestamp | None) -> WithdrawalResult:
    """Takes a batch back, or all pieces of a large file; doing it again changes nothing.

    Raises:
        BadInputError: No or several such batches; nobody or no reason is named; the time is not after the last arrival.
    """
    require_who_and_why(by=by, reason=reason)
    landing = workspace.landing
    with landing.locked():
        files, before = _find_batches(landing.batches(), name), landing.withdrawals()
        fresh = [file for file in files if file.batch not in before]
        at = _moment(workspace, now) if fresh else clock()
        for file in fresh:
            landing.withdraw(Withdrawal(file.batch, file.digest, at, by, reason))
        all_withdrawals = landing.withdrawals()
    withdrawals = tuple(all_withdrawals[file.batch] for file in files)
    versions = tuple(made_with(workspace, *files))
    return WithdrawalResult(bool(fresh), withdrawals, sum(file.rows for file in files), versions)


def _find_batches(files: list[BatchFile], name: str) -> list[BatchFile]:
    """The batch whose digest begins with `name`; or the pieces of the large file whose digest does."""
    named = [file for file in files if file.digest.startswith(name)] if name else []
    pieces = [file for file in files if file.of.startswith(name)] if name else []
    digests = {file.digest for file in named} | {file.of for file in pieces}
    if not digests:
        raise BadInputError(
            f"no landed batch has an id that begins with {name!r}; list landed batches with `retrim batch show`, and "
            "those in quarantine with `retrim batch show --quarantined`"
        )
    if len(digests) > 1:
        listed = ", ".join(sorted(digest[:ID_LENGTH] for digest in digests))
        raise BadInputError(f"{name!r} matches several batches: {listed}; write more digits of the id")
    return named or pieces


def _moment(workspace: Workspace, now: pd.Timestamp | None) -> pd.Timestamp:
    """When a withdrawal counts from: after all that has arrived, so that no view of before it changes."""
    last = max(file.arrived for file in workspace.landing.batches())
    if now is None:
        now = clock()
        if now <= last <= now + A_SECOND:
            now = last + A_SECOND
    if now <= last:
        raise BadInputError(
            f"the time {now} is not after the last arrival, {last}, and earlier as-of views must not change; "
            "specify a later time"
        )
    return now


@dataclass(frozen=True, kw_only=True)
class ListedBatch(BatchFile):
    """A landed batch, with whether it counts.

    Args:
        withdrawn: Who withdrew it, when and why. None: nobody.
    """

    withdrawn: Withdrawal | None


@dataclass(frozen=True, kw_only=True)
class ShownBatch(ListedBatch):
    """A landed batch, with what is in it and what it is in.

    Args:
        columns: Type of each column.
    """

    columns: dict[str, str]
    versions: list[int]


def listed_batches(workspace: Workspace) -> list[ListedBatch]:
    withdrawals = workspace.landing.withdrawals()
    return [ListedBatch(**vars(file), withdrawn=withdrawals.get(file.batch)) for file in workspace.landing.batches()]


def show_batch(workspace: Workspace, name: str) -> ShownBatch:
    """One landed batch.

    Raises:
        BadInputError: There is no such batch, or several.
    """
    files = _find_batches(workspace.landing.batches(), name)
    if len(files) > 1:
        listed = ", ".join(file.batch for file in files)
        raise BadInputError(
            f"{name!r} is a large file that landed in {len(files)} batches: {listed}; specify one of these batches"
        )
    (file,), withdrawals = files, workspace.landing.withdrawals()
    withdrawal = withdrawals.get(file.batch)
    versions = made_with(workspace, file)
    return ShownBatch(**vars(file), withdrawn=withdrawal, columns=dict(file.schema.types), versions=versions)


def refuse_withdrawn(batch: BatchFile, withdrawal: Withdrawal | None) -> None:
    """Refuses a file that landed before and was withdrawn."""
    if withdrawal is not None:
        raise RefusedError(
            f"batch {batch.batch} was withdrawn on {withdrawal.at.isoformat()} by {withdrawal.by} "
            f"({withdrawal.reason}); correct its rows, and land the corrected file. If the rows were right, store "
            "them in a different format, such as Parquet, and land that file"
        )


def quarantined_batch(workspace: Workspace, name: str) -> QuarantinedBatch | None:
    """The batch in quarantine that a name means; None: it means one that landed, or none."""
    if any(digest.startswith(name) for file in workspace.landing.batches() for digest in (file.digest, file.of)):
        return None
    quarantine = Quarantine(workspace.paths.quarantine)
    return quarantine.get(name) if any(entry.batch.startswith(name) for entry in quarantine.entries()) else None
