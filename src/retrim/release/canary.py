"""The canary of a workspace: begun by a person, ended by one or by itself, and kept in a file beside the tokens."""

import json
from dataclasses import replace

import pandas as pd

from retrim.adapters.database import iso
from retrim.decision.alerts import AlertKind
from retrim.decision.canary import LARGEST_SHARE, Canary, CanaryEnd
from retrim.errors import BadInputError, RefusedError, RetrimError
from retrim.files import write_private
from retrim.lineage.locks import held_locks
from retrim.lineage.workspace import Workspace, record_alert
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
    share: float,
    by: str,
    reason: str,
    now: pd.Timestamp,
    entity: str | None = None,
) -> Canary:
    """Gives a version a share of the rows, in every server of the workspace, within seconds.

    Args:
        entity: The column that says whom a row is about; None: that of `data.history.entity`, and without one the key
            of the row.

    Raises:
        BadInputError: There is no such version or column, or the share is none.
        RefusedError: Nothing is live, the version is, it was altered, or another canary goes on.
    """
    if not 0 < share <= LARGEST_SHARE:
        raise BadInputError(
            f"{share:g} is not a valid share for a canary; set --share to a number above 0 and at most {LARGEST_SHARE}"
        )
    columns = workspace.params.data.columns
    entity = workspace.params.data.entity if entity is None else entity
    if entity and entity not in columns:
        raise BadInputError(f"{entity!r} is not a column of the table; name one of: {', '.join(columns)}")
    load_stored_version(workspace, version)
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
        begun = Canary(version, live.version, share, by, reason, iso(now), entity=entity or "")
        write_private(workspace.paths.canary, to_json(to_record(begun)))
    return begun


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
