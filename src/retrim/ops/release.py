"""What is live: the one place where a champion changes. The store's release row decides; MLflow's aliases follow."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.adapters.store import iso
from retrim.errors import BadInputError, RefusedError
from retrim.ops.house import House


@dataclass(frozen=True)
class Live:
    """The version that is live, since when, why, and the one before it."""

    version: int
    since: str
    reason: str
    action: str
    previous: int | None

    def as_record(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "since": self.since,
            "reason": self.reason,
            "action": self.action,
            "previous": self.previous,
        }


def live(house: House, *, before: pd.Timestamp | None = None) -> Live | None:
    """What is live now, or was just before a moment, from the release rows; None before the first promotion."""
    rows = [row for row in house.store.releases(house.model) if before is None or row.at < iso(before)]
    if not rows:
        return None
    newest = rows[-1]
    return Live(newest.version, newest.at, newest.reason, newest.action, newest.previous)


def promote(house: House, version: int, *, judged_against: int | None, reason: str, now: pd.Timestamp) -> None:
    """Makes `version` the champion; once it was, the same again is a no-op, whatever is live since.

    Raises:
        RefusedError: What is live is not the champion that it was judged against, or its bundle was altered.
    """
    if not any(row.version == version and row.action == "promote" for row in house.store.releases(house.model)):
        now_live = live(house)
        if (None if now_live is None else now_live.version) != judged_against:
            raise RefusedError(
                f"version {version} was judged against champion {judged_against or 'none'}, and by now "
                f"{'none' if now_live is None else now_live.version} is live; retrain to judge against that"
            )
        check_loads(house, version)
        _move(house, version, action="promote", reason=reason, now=now)
    sync_aliases(house)


def rollback(house: House, to: int | None, *, reason: str, now: pd.Timestamp) -> Live:
    """Makes an earlier version the champion again, after it was loaded.

    Raises:
        BadInputError: There is no such version, or none before the champion.
        RefusedError: It is live already, was never live, or does not load.
    """
    champion = live(house)
    if champion is None:
        raise BadInputError(f"{house.model} has no champion; make version 1 with `retrim retrain`")
    target = champion.previous if to is None else to
    if target is None:
        raise BadInputError(f"version {champion.version} has no version before it; name one with --to N")
    if target == champion.version:
        raise RefusedError(f"version {target} is live already")
    if house.store.version(house.model, target) is None:
        known = ", ".join(str(row.version) for row in house.store.versions(house.model))
        raise BadInputError(f"{house.model} has no version {target}; known: {known}")
    was_live = {row.version for row in house.store.releases(house.model)}
    if target not in was_live:
        raise RefusedError(
            f"version {target} was never live, as the gate refused it; those that were: "
            f"{', '.join(map(str, sorted(was_live)))}. To have another look: retrim retrain --reason WHY"
        )
    check_loads(house, target)
    _move(house, target, action="rollback", reason=reason, now=now)
    moved = live(house)
    assert moved is not None
    return moved


def make_live(house: House, version: int, *, action: str, reason: str, now: pd.Timestamp) -> None:
    """Makes a stored version the champion, after it was loaded; the release log says by which action and why."""
    check_loads(house, version)
    _move(house, version, action=action, reason=reason, now=now)


def check_loads(house: House, version: int) -> None:
    """Loads a stored version, after its hash was checked.

    Raises:
        RefusedError: Its bundle is not the recorded one.
    """
    from retrim.ops.champion import stored

    _ = stored(house, version).predictor


def sync_aliases(house: House) -> None:
    """Lets MLflow's aliases follow the release rows; a killed move is finished here."""
    champion = live(house)
    wanted = {} if champion is None else {"champion": champion.version, "previous": champion.previous}
    have = house.registry.aliases()
    for alias in ("champion", "previous"):
        number = wanted.get(alias)
        if number is None and alias in have:
            house.registry.drop_alias(alias)
        elif number is not None and have.get(alias) != number:
            house.registry.set_alias(alias, number)


def _move(house: House, version: int, *, action: str, reason: str, now: pd.Timestamp) -> None:
    champion = live(house)
    if champion is None or champion.version != version:
        row = {"model": house.model, "version": version, "action": action, "reason": reason, "at": iso(now)}
        house.store.add_release(row, expected=None if champion is None else champion.version)
    sync_aliases(house)
