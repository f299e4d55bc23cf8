"""A pause of all that retrim starts or releases by itself: who asked for it, since when and why.

It is a decision in the store, so it survives restarts and holds for every process of the workspace. Checks go on and
measure; what a person asks for is done.
"""

import pandas as pd

from retrim.adapters.database import iso
from retrim.decision.brakes import Paused
from retrim.decision.check_record import PauseChange
from retrim.decision.stored_rows import DecisionRow, as_text
from retrim.errors import RefusedError
from retrim.lineage.workspace import PAUSE, PERSON, Workspace, require_who_and_why

RESUME = "retrim policy pause --end --reason WHY"


def pause_now(workspace: Workspace) -> Paused | None:
    """The pause that goes on; None: there is none."""
    newest = _newest(workspace)
    if newest is None or newest.outcome != "paused":
        return None
    return Paused(newest.actor, pd.Timestamp(newest.as_of), newest.reason)


def pause(workspace: Workspace, *, by: str, reason: str, now: pd.Timestamp) -> Paused:
    """Stops automatic retraining and promotion until `resume`.

    Raises:
        BadInputError: Nobody or no reason is named.
        RefusedError: It is paused already.
    """
    require_who_and_why(by=by, reason=reason)
    before = pause_now(workspace)
    if before is not None:
        raise RefusedError(f"the model is already {before.text}; to end that: {RESUME}")
    _add(workspace, "paused", by=by, reason=reason, now=now)
    made = pause_now(workspace)
    assert made is not None
    return made


def resume(workspace: Workspace, *, by: str, reason: str, now: pd.Timestamp) -> Paused:
    """Ends a pause, and gives it: the next check acts again on what it decides.

    Raises:
        BadInputError: Nobody or no reason is named.
        RefusedError: Nothing is paused.
    """
    require_who_and_why(by=by, reason=reason)
    before = pause_now(workspace)
    if before is None:
        raise RefusedError("nothing is paused; to pause retraining and promotion: retrim policy pause --reason WHY")
    _add(workspace, "resumed", by=by, reason=reason, now=now)
    return before


def pause_of(workspace: Workspace, decision: str) -> Paused | None:
    """The pause that keeps a decision from being carried out; None: there is none, or a person decided it."""
    return pause_now(workspace) if _is_automatic(workspace, decision) else None


def refuse_while_paused(workspace: Workspace, decision: str) -> None:
    """Keeps what was decided automatically from being carried out during a pause.

    Raises:
        RefusedError: It is paused, and no person took the decision.
    """
    paused = pause_of(workspace, decision)
    if paused is not None:
        raise RefusedError(f"decision {decision} is not carried out: {paused.text}; to end that: {RESUME}")


def _is_automatic(workspace: Workspace, decision: str) -> bool:
    """Whether no person took a decision."""
    row = workspace.store.decision(decision)
    return row is None or row.source != PERSON


def _newest(workspace: Workspace) -> DecisionRow | None:
    rows = workspace.store.decisions(workspace.model, source=PAUSE, newest=1)
    return rows[-1] if rows else None


def _add(workspace: Workspace, outcome: str, *, by: str, reason: str, now: pd.Timestamp) -> None:
    newest = _newest(workspace)
    at = now if newest is None else max(now, pd.Timestamp(newest.as_of) + pd.Timedelta("1s"))  # the newest one counts
    identity = f"{workspace.model}-{at:%Y%m%dT%H%M%SZ}-{outcome}"
    text = as_text(PauseChange(at))
    row = DecisionRow(identity, workspace.model, PAUSE, iso(at), iso(now), outcome, by, reason, text)
    if not workspace.store.add_decision(row):
        raise RefusedError("another process paused or resumed the model at the same moment; see `retrim status`")
