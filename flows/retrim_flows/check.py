"""The scheduled check: clear what was killed, report what is overdue, look, decide, and start what was decided."""

from dataclasses import dataclass
from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from retrim.alerting.telling import ping_watcher
from retrim.checking import check as op
from retrim.checking.check import CheckOutcome
from retrim.checking.probation import carry_out
from retrim.decision.history import RunOutcome
from retrim.errors import BadInputError, BusyError, RefusedError
from retrim.release.pause import pause_of
from retrim_flows.context import SCHEDULE, actor, moment, open_workspace, say
from retrim_flows.maintain import put_right
from retrim_flows.reconcile import SIGNED
from retrim_flows.retrain import start
from retrim_flows.schedule import due_each, is_scheduled
from retrim_flows.summary import leave_summary


@dataclass(frozen=True)
class CheckDone:
    """A check and what came of it.

    Args:
        run: How the run ended that it started here, or the move of the champion; None: nothing was done here.
        resumed: Decisions whose runs were finished first.
    """

    check: CheckOutcome
    run: RunOutcome | None
    resumed: list[str]


def may_pass(task: object, run: object, state: State[Any]) -> bool:
    """Whether another try may end otherwise: bad input stays bad, and a no stays a no."""
    try:
        state.result()
    except (BadInputError, RefusedError):
        return False
    except Exception:  # noqa: BLE001  whatever else it is
        return True
    return False


@flow(name="check", **SIGNED)
def check(now: str | None = None) -> CheckDone | None:
    """Makes one check, and starts the retraining that the check decides on.

    On the schedule, a check for each missed time runs first.
    """
    at, done = moment(now), None
    for due in due_each("check", at) if is_scheduled(now) else [at]:
        try:
            done = check_and_act(due, missed=due < at)
        except BadInputError as error:
            if due == at:
                raise
            # Mostly nothing had landed by then: there is nothing to make up for.
            say("left out", f"missed check as of {due:%Y-%m-%dT%H:%M:%S} UTC: {error}")
    ping()
    return done


def ping() -> None:
    """Tells the watcher that a check of the schedule has ended; that it is away is only said."""
    failed = ping_watcher(open_workspace()) if actor() == SCHEDULE else None
    if failed is not None:
        say("ping", f"failed: {failed}")


def check_and_act(at: pd.Timestamp, *, missed: bool) -> CheckDone:
    """The check of a moment and what it decides. After a missed one its retraining ends before the next check."""
    resumed = put_right(open_workspace(), at)
    checked = look(at, actor())
    made_up = " (missed check)" if missed else ""
    say("checked", f"{checked.outcome}, as of {at:%Y-%m-%dT%H:%M:%S} UTC{made_up}: {checked.sentence}")
    leave_summary(open_workspace(), checked)
    outcome = None
    paused = pause_of(open_workspace(), checked.id)
    if paused is not None and checked.outcome in ("rollback", "retrain"):  # it was decided before the pause
        say("paused", f"{checked.outcome} is not carried out: {paused.text}")
        return CheckDone(checked, None, resumed)
    if checked.outcome == "retrain" and not _has_run(checked.id):
        outcome = start(checked.id, at, wait=missed)
    if checked.outcome == "rollback":
        outcome = move(checked, at)
    return CheckDone(checked, outcome, resumed)


def move(checked: CheckOutcome, at: pd.Timestamp) -> RunOutcome | None:
    """Makes an earlier champion live, as a check decided.

    On a schedule a refused move is told, and the next check decides anew: else it would be tried for ever.
    """
    try:
        return roll_back(checked.id, at)
    except BusyError:
        raise
    except RefusedError as error:
        if actor() != SCHEDULE:
            raise
        say("refused", f"{checked.outcome}: {error}")
        return None


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2, retry_condition_fn=may_pass)
def look(now: pd.Timestamp, by: str) -> CheckOutcome:
    """Makes the check of a moment once, and records it whether or not it acts."""
    return op.check(open_workspace(), by=by, now=now)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2, retry_condition_fn=may_pass)
def roll_back(decision: str, now: pd.Timestamp) -> RunOutcome:
    """Makes the champion before the live one live again. A repeated call changes nothing."""
    return carry_out(open_workspace(), decision, now=now)


def _has_run(decision: str) -> bool:
    """Whether the decision was carried out; one that a kill left without its run is carried out now."""
    return open_workspace().store.run(f"run-{decision}") is not None
