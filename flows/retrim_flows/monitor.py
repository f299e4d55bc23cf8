"""The scheduled check: clear what was killed, report what is overdue, look, decide, and start what was decided."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from retrim.checking.check import check
from retrim.checking.previous_champions import restore_champions
from retrim.checking.probation import carry_out
from retrim.errors import BadInputError
from retrim_flows.lines import say
from retrim_flows.maintain import maintain
from retrim_flows.moment import actor, due_each, moment, open_workspace
from retrim_flows.recovery import SIGNED
from retrim_flows.retries import may_pass
from retrim_flows.start import start


@flow(name="monitor", **SIGNED)
def monitor(now: str | None = None) -> dict[str, Any]:
    """One check, and the retraining it decides on; `resumed` are the decisions whose runs were finished first.

    On the schedule, a check for each time that was missed comes before it.
    """
    own, done = moment(now), dict[str, Any]()
    for due in due_each("monitor", now):
        try:
            done = check_and_act(due.isoformat(), missed=due < own)
        except BadInputError:
            if due == own:
                raise  # of a missed time it says that nothing had landed by then: there is nothing to make up for
    return done


def check_and_act(at: str, *, missed: bool) -> dict[str, Any]:
    """The check of a moment and what it decides. After a missed one its retraining ends before the next check."""
    resumed = maintain(at)
    checked = look(at, actor())
    say("checked", f"{checked['outcome']}, as of {at[:19]}{' (missed)' if missed else ''}: {checked['reason']}")
    outcome = None
    if checked["outcome"] == "retrain" and not _has_run(checked["id"]):
        outcome = start(checked["id"], at, wait=missed)
    if checked["outcome"] == "restore":
        outcome = bring_back(checked["id"], at)
    if checked["outcome"] == "rollback":
        outcome = roll_back(checked["id"], at)
    return {"check": checked, "run": outcome, "resumed": resumed}


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2, retry_condition_fn=may_pass)
def look(now: str, by: str) -> dict[str, Any]:
    """The check itself, recorded whether or not it acts; done once for a moment."""
    checked = check(open_workspace(), by=by, now=moment(now))
    return {**checked.as_record(), "fresh": checked.fresh}


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2, retry_condition_fn=may_pass)
def bring_back(decision: str, now: str) -> dict[str, Any]:
    """A previous champion goes live again; asked twice, it is live already."""
    return restore_champions(open_workspace(), decision, now=moment(now))


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2, retry_condition_fn=may_pass)
def roll_back(decision: str, now: str) -> dict[str, Any]:
    """The champion before goes live again; asked twice, it is live already."""
    return carry_out(open_workspace(), decision, now=moment(now))


def _has_run(decision: str) -> bool:
    """Whether the decision was carried out; one that a kill left without its run is carried out now."""
    return open_workspace().store.run(f"run-{decision}") is not None
