"""The canary of a workspace: begun by a person, ended by one or by itself, and kept in a file beside the tokens."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from retrim.adapters.database import iso
from retrim.decision.alerts import AlertKind
from retrim.decision.canary import LARGEST_SHARE, Canary, CanaryEnd
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import write_private
from retrim.lineage.locks import held_locks
from retrim.lineage.workspace import Workspace, record_alert
from retrim.release.approval import approve, waiting
from retrim.release.release import make_live, tell_promoted
from retrim.release.versions import find_live_version, load_stored_version
from retrim.stats.codec import from_record, to_json, to_record


def newest_canary(workspace: Workspace) -> Canary | None:
    """The canary that goes on, or the last one that ended; None: there never was one.

    Raises:
        BadInputError: The file was altered.
    """
    file = workspace.paths.canary
    try:
        return from_record(Canary, json.loads(file.read_bytes()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RetrimError) as error:
        raise BadInputError(
            f"{file} is not a readable canary record ({error}); remove the file, and start the canary again"
        ) from error


def start_canary(
    workspace: Workspace,
    version: int,
    *,
    shares: Sequence[float],
    by: str,
    reason: str,
    now: pd.Timestamp,
    entity: str | None = None,
    promotes: bool = False,
) -> Canary:
    """Gives a version a share of the rows, in every server of the workspace, within seconds.

    Args:
        shares: The share, or several, ascending: each follows the one before as long as the test does not end it.
        promotes: Whether it goes live where the test confirms it.
        entity: The column that says whom a row is about; None: that of `data.history.entity`, and without one the key
            of the row.

    Raises:
        BadInputError: There is no such version or column, or the share is none.
        RefusedError: Nothing is live, the version is, it was altered, it is to be promoted though the gate refused it,
            or another canary goes on.
    """
    _check_shares(shares)
    columns = workspace.params.data.columns
    entity = workspace.params.data.entity if entity is None else entity
    if entity and entity not in columns:
        raise BadInputError(f"{entity!r} is not a column of the table; name one of: {', '.join(columns)}")
    load_stored_version(workspace, version)
    if promotes:
        _require_passed_gate(workspace, version)
    with held_locks(workspace, "canary"):
        live, before = find_live_version(workspace), newest_canary(workspace)
        if live is None or live.version == version:
            fault = (
                "no version is live to compare it with; make a different version live first"
                if live is None
                else "it is live already; choose a different version"
            )
            raise RefusedError(f"version {version} cannot be a canary: {fault}")
        if before is not None and before.ended is None:
            raise RefusedError(
                f"version {before.version} has been the canary since {before.began}; stop it first: retrim versions "
                "canary --stop --reason WHY"
            )
        begun = Canary(
            version,
            live.version,
            shares[0],
            by,
            reason,
            iso(now),
            entity=entity or "",
            steps=tuple(shares[1:]),
            promotes=promotes,
        )
        write_private(workspace.paths.canary, to_json(to_record(begun)))
    return begun


def _require_passed_gate(workspace: Workspace, version: int) -> None:
    row = workspace.store.version(workspace.model, version)
    if row is not None and not (row.judged.promote or row.is_baseline):
        raise RefusedError(
            f"version {version} cannot go live, because the gate refused it: {row.judged.reason}; run the canary "
            "without --promote"
        )


def _check_shares(shares: Sequence[float]) -> None:
    bad = next((share for share in shares if not 0 < share <= LARGEST_SHARE), None)
    if bad is not None:
        raise BadInputError(
            f"{bad:g} is not a valid share for a canary; set --share to a number above 0 and at most {LARGEST_SHARE}"
        )
    if list(shares) != sorted(set(shares)):
        raise BadInputError(
            f"the steps {', '.join(map('{:g}'.format, shares))} do not rise; write them in ascending order: "
            "--steps 0.01,0.1,0.5"
        )


def end_canary(
    workspace: Workspace, canary: Canary, outcome: CanaryEnd, said: str, *, now: pd.Timestamp
) -> Canary | None:
    """Ends a canary: the live version answers all rows again, until a person begins anew. None: it had ended before.

    People are told, unless a person ended it.
    """
    with held_locks(workspace, "canary"):
        if newest_canary(workspace) != canary or canary.ended is not None:
            return None
        ended = replace(canary, ended=iso(now), outcome=outcome, said=said)
        if outcome != "stopped":  # first: what has ended is not looked at again
            text = f"version {canary.version} is no longer the canary that began at {canary.began} ({outcome}): {said}"
            record_alert(workspace, AlertKind.CANARY_ENDED, text, now=now, about=str(canary.version))
        write_private(workspace.paths.canary, to_json(to_record(ended)))
    return ended


def follow_test(
    workspace: Workspace, canary: Canary, outcome: CanaryEnd | None, said: str, *, rows: int, now: pd.Timestamp
) -> None:
    """Does what the test of a canary calls for: its end, its promotion, or its next share.

    Args:
        outcome: What the test came to; None while it goes on.
        rows: Labelled rows of the canary so far.
    """
    if outcome is None:
        with held_locks(workspace, "canary"):
            stepped = canary.after(rows)
            if stepped != canary and newest_canary(workspace) == canary:
                write_private(workspace.paths.canary, to_json(to_record(stepped)))
        return
    if outcome == "confirmed" and canary.promotes:
        said = f"{said}; {_promote(workspace, canary, said, now=now)}"
    end_canary(workspace, canary, outcome, said, now=now)


def _promote(workspace: Workspace, canary: Canary, said: str, *, now: pd.Timestamp) -> str:
    """Makes a confirmed canary live, as its person asked at the start; what came of it, in words."""
    version, by, reason = canary.version, canary.by, f"{canary.reason}; its canary was confirmed: {said}"
    try:
        if any(row.version == version for row in waiting(workspace)):
            approve(workspace, version, by=by, reason=reason, now=now)
        else:
            make_live(workspace, version, action="promote", expected=canary.against, by=by, reason=reason, now=now)
            tell_promoted(workspace, version, reason=reason, now=now)
    except RetrimError as error:
        return f"it is not promoted: {error}"
    return "it is live"


def stop_canary(workspace: Workspace, *, by: str, reason: str, now: pd.Timestamp) -> Canary:
    """Ends the canary at a person's word.

    Raises:
        BadInputError: None goes on.
    """
    canary = newest_canary(workspace)
    ended = None if canary is None else end_canary(workspace, canary, "stopped", f"{by}: {reason}", now=now)
    if ended is None:
        raise BadInputError("no canary is running; start one: retrim versions canary N --share 0.1 --reason WHY")
    return ended
