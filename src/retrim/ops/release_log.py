"""The release log: every move of the champion, append-only and chained by hashes."""

from dataclasses import dataclass
from typing import Any

from retrim.core.chain import first_broken
from retrim.errors import RefusedError, RetrimError
from retrim.ops.house import House


@dataclass(frozen=True)
class Verified:
    """A log that is what it was.

    Args:
        rows: Moves in it.
        unsealed: The first of them, which were made before there were seals.
        seal: Of the last one; None where there is none. Kept elsewhere, it proves that none was taken away since.
    """

    rows: int
    unsealed: int
    seal: str | None

    def as_record(self) -> dict[str, Any]:
        return {"rows": self.rows, "unsealed": self.unsealed, "seal": self.seal}


def release_log(house: House) -> list[dict[str, Any]]:
    """Every move, oldest first: `sequence`, `version`, `previous`, `action`, `by`, `reason`, `at`, `seal`."""
    seals = house.store.seals(house.model)
    return [
        {
            "sequence": row.sequence,
            "version": row.version,
            "previous": row.previous,
            "action": row.action,
            "by": row.actor,
            "reason": row.reason,
            "at": row.at,
            "seal": seals.get(row.sequence),
        }
        for row in house.store.releases(house.model)
    ]


def verify_log(house: House, *, kept: str | None) -> Verified:
    """Checks the whole log against its seals.

    Args:
        house: The house.
        kept: A seal that was noted before and must be in it; None to ask for none.

    Raises:
        RefusedError: A row was changed, added or taken away; names the first.
    """
    rows, seals = _rows_and_seals(house)
    lost = [number for number in house.store.stray_seals() if number not in seals]
    broken = next((row["sequence"] for row in rows if row["sequence"] in lost), None) or first_broken(rows, seals)
    if broken is not None:
        found = next((row for row in rows if row["sequence"] == broken), None)
        what = "is gone" if found is None else f"(version {found['version']}, {found['action']} at {found['at']}) is"
        said = what if found is None else f"{what} not what was sealed"
        raise _altered(house, f"row {broken} {said}")
    if kept is not None and kept not in seals.values():
        raise RefusedError(
            f"the seal {kept[:12]} is not in the release log of {house.model}: rows that were there when it was "
            "noted are gone; restore the store from a backup"
        )
    return Verified(len(rows), min(seals, default=len(rows) + 1) - 1, seals.get(len(rows)))


def _rows_and_seals(house: House) -> tuple[list[dict[str, Any]], dict[int, str]]:
    try:
        return [row.values for row in house.store.releases(house.model)], house.store.seals(house.model)
    except RetrimError:
        number = house.store.unreadable_release(house.model)
        if number is None:
            raise
        raise _altered(house, f"row {number} or its seal cannot be read") from None


def _altered(house: House, what: str) -> RefusedError:
    return RefusedError(
        f"the release log of {house.model} was altered: {what}; restore the store from a backup of before, and look "
        "who can write to it"
    )
