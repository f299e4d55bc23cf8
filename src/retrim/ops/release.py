"""What is live: the one place where a champion changes. The store's release row decides; MLflow's aliases follow."""

import pandas as pd

from retrim.adapters.store import iso
from retrim.errors import BadInputError, RefusedError
from retrim.ops.arrival import clock
from retrim.ops.champion import stored_bundle
from retrim.ops.house import House
from retrim.ops.live import Live, live, trusted_live
from retrim.ops.person import require_who_and_why
from retrim.ops.release_checks import check_stored, record_checks, release_checks
from retrim.ops.release_log import keep_copies

__all__ = ["Live", "live", "make_live", "promote", "rollback", "show_challenger", "sync_aliases"]


def promote(house: House, version: int, *, judged_against: int | None, by: str, reason: str, now: pd.Timestamp) -> None:
    """Makes `version` the champion; once it was, the same again is a no-op, whatever is live since.

    Raises:
        RefusedError: What is live is not the champion that it was judged against, or as `make_live`.
    """
    if not _was_promoted(house, version):
        try:
            make_live(house, version, action="promote", expected=judged_against, by=by, reason=reason, now=now)
        except RefusedError:
            if not _was_promoted(house, version):  # else somebody who carries out the same word was faster
                raise
    sync_aliases(house)


def rollback(house: House, to: int | None, *, by: str, reason: str, now: pd.Timestamp) -> Live:
    """Makes an earlier version the champion again, after it was loaded and has answered its reference rows.

    Raises:
        BadInputError: There is no such version, or none before the champion; or nobody or no reason is named.
        RefusedError: It is live already, was never live, or as `make_live`.
    """
    require_who_and_why(by=by, reason=reason)
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
    was_live = _were_live(house)
    if target not in was_live:
        raise RefusedError(
            f"version {target} was never live, as the gate refused it; those that were: "
            f"{', '.join(map(str, sorted(was_live)))}. To have another look: retrim retrain --reason WHY"
        )
    make_live(house, target, action="rollback", expected=champion.version, by=by, reason=reason, now=now)
    moved = live(house)
    assert moved is not None
    return moved


def make_live(
    house: House, version: int, *, action: str, expected: int | None, by: str, reason: str, now: pd.Timestamp
) -> None:
    """Makes a stored version the champion if `expected` still is: the only way in which any version goes live.

    A version goes live with a verdict that promotes and release checks that passed. One that was live before has
    both; it is loaded in a fresh process and asked its reference rows all the same, which is recorded
    too, while its size and latency are reported only: it has been served with them.

    Args:
        house: The house.
        version: The version.
        action: What the release log calls it: promote, restore, rollback, import.
        expected: What was live when this was decided; None for nothing.
        by: Who moves it, or decided that it moves, for the release log.
        reason: Why.
        now: The moment as of which it moves; when it does is read from the clock.

    Raises:
        BadInputError: There is no such version.
        RefusedError: Something else is live by now; the gate or a release check refused it; its bundle or
            the log was altered.
    """
    row = house.store.version(house.model, version)
    if row is None:
        raise BadInputError(f"{house.model} has no version {version}; list them with `retrim versions`")
    if not row.verdict["promote"]:
        raise RefusedError(f"version {version} was refused by the gate: {row.verdict['reason']}; it cannot go live")
    _expect(house, version, expected)
    if version in _were_live(house):
        tested = check_stored(house, version, again=True)
        record_checks(house, version, f"{action} {iso(now)}", tested, now=now)
        passed, why = tested.passed, tested.reason
    else:
        stored_bundle(house, version)
        checks = release_checks(house, version, now=now)
        passed, why = checks.record["passed"], checks.record["reason"]
    if not passed:
        raise RefusedError(f"version {version} cannot go live: {why}; what is live stays")
    moved = {"action": action, "actor": by, "reason": reason, "as_of": iso(now), "at": iso(clock())}
    row_of_log = {"model": house.model, "version": version, **moved}
    house.store.add_release(row_of_log, expected=expected, keys=house.keys)
    sync_aliases(house)


def sync_aliases(house: House) -> None:
    """Lets the copies in git and MLflow's aliases follow the release rows; a killed move is finished here.

    MLflow cannot compare and swap. So whoever has set an alias looks at the release rows again, and whoever is
    last to set one sees the last of them.
    """
    keep_copies(house)
    before: Live | None = None
    champion = live(house)
    while champion is None or champion != before:
        wanted = {} if champion is None else {"champion": champion.version, "previous": champion.previous}
        have = house.registry.aliases()
        for alias in ("champion", "previous"):
            number = wanted.get(alias)
            if number is None and alias in have:
                house.registry.drop_alias(alias)
            elif number is not None and have.get(alias) != number:
                house.registry.set_alias(alias, number)
        if champion is None:
            return
        before, champion = champion, live(house)


def show_challenger(house: House, version: int | None) -> None:
    """Points MLflow's alias `challenger` at the version whose verdict is carried out next; None: at nothing."""
    if version is None:
        house.registry.drop_alias("challenger")
    else:
        house.registry.set_alias("challenger", version)


def _was_promoted(house: House, version: int) -> bool:
    return any(row.version == version and row.action == "promote" for row in house.store.releases(house.model))


def _were_live(house: House) -> set[int]:
    return {row.version for row in house.store.releases(house.model)}


def _expect(house: House, version: int, expected: int | None) -> None:
    champion = trusted_live(house)
    found = None if champion is None else champion.version
    if found != expected:
        raise RefusedError(
            f"version {version} was judged against champion {expected or 'none'}, and by now {found or 'none'} is "
            "live; retrain to judge against that"
        )
