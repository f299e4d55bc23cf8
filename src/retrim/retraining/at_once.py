"""A check or a retraining that has nothing to do is answered at once: no server has to start for that."""

import pandas as pd

from retrim.adapters.database import iso
from retrim.checking.check import CheckOutcome, check
from retrim.checking.history import newest_check, rows_to_wait_for
from retrim.decision.history import UNFINISHED, RunOutcome
from retrim.errors import BadInputError
from retrim.landing.overdue import tell_overdue
from retrim.lineage.locks import held_locks, is_alive, left_behind
from retrim.lineage.workspace import REFIT, Workspace, ask_for_run, decision_of, tell_suspicious
from retrim.release.approval import refit_waiting
from retrim.retraining.recover import end_hung_runs
from retrim.retraining.retrain import claim_run, defer_run
from retrim.training.mode import Mode

ACTS = ("retrain", "restore", "rollback")


def check_at_once(workspace: Workspace, *, by: str, now: pd.Timestamp) -> CheckOutcome | None:
    """The check of a moment where nothing came since the one before; None where the flow has to make it.

    That is so where rows came, where a kill left something to finish, and where the check decides that something
    has to be done: its flow finds it made, and does that.

    Raises:
        BadInputError: No rows had landed by then.
    """
    _require_rows(workspace, as_of=now)
    tell_suspicious(workspace, now=now)
    newest = newest_check(workspace)
    seen = None if newest is None or newest.record.landed is None else newest.record.landed.batches
    is_newest = newest is None or newest.record.as_of <= now  # one before the newest has nothing to look at
    came = is_newest and len(workspace.landing.batches(now)) != seen  # counted: a released batch keeps its arrival
    made = workspace.store.decision(f"{workspace.model}-{now:%Y%m%dT%H%M%SZ}") is not None
    if (came and not made) or not _is_settled(workspace):
        return None
    tell_overdue(workspace, now=now)
    checked = check(workspace, by=by, now=now)
    return None if checked.outcome in ACTS else checked


def retrain_at_once(
    workspace: Workspace, *, as_of: pd.Timestamp, mode: Mode | None, by: str, reason: str, now: pd.Timestamp
) -> RunOutcome | None:
    """A person's retraining that cannot be: deferred, as too few rows are mature; None where the flow has to run.

    Raises:
        BadInputError: No rows had landed by `as_of`.
        RefusedError: A run is going on, or the same was asked for before and has ended.
    """
    _require_rows(workspace, as_of=as_of)
    end_hung_runs(workspace, now=now)
    run = workspace.store.run(f"run-{decision_of(workspace, as_of)}")
    going_on = any(is_alive(workspace, run.id) for run in workspace.store.runs(workspace.model, state="running"))
    ended = run is not None and run.state not in (*UNFINISHED, "failed")
    if going_on or (
        ended and not left_behind(workspace, "")
    ):  # what was killed once it had ended is open in Prefect still
        ask_for_run(workspace, as_of=as_of, by=by, reason=reason, now=now)  # says why not
    if (
        run is not None
        or not _is_settled(workspace)
        or rows_to_wait_for(workspace, as_of=as_of, by_person=True) is None
    ):
        return None
    decision = ask_for_run(workspace, as_of=as_of, by=by, reason=reason, now=now)
    with held_locks(workspace, f"run-{decision}"):
        return defer_run(workspace, claim_run(workspace, decision, now=as_of, mode=mode), now=as_of)


def _require_rows(workspace: Workspace, *, as_of: pd.Timestamp) -> None:
    if not any(file.kind == "rows" for file in workspace.landing.batches(as_of)):
        raise BadInputError(f"no rows had landed by {iso(as_of)}; land some with `retrim ingest FILE`")


def _is_settled(workspace: Workspace) -> bool:
    """Whether nothing waits to be finished: no run that was killed, and no decision without its run."""
    if any(workspace.store.runs(workspace.model, state=state) for state in UNFINISHED):
        return False
    if left_behind(workspace, "") or refit_waiting(workspace) is not None:
        return False
    decisions = [row for row in workspace.store.decisions(workspace.model) if row.source != REFIT]
    newest = decisions[-1] if decisions else None
    return newest is None or newest.outcome not in ACTS or workspace.store.run(f"run-{newest.id}") is not None
