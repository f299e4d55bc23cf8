"""What has to be put right now and then: dead runs, and batches that did not come."""

from contextlib import suppress

import pandas as pd
from prefect import flow

from flows.due import due_once
from flows.lines import say
from flows.moment import house as open_house
from flows.recovery import SIGNED, mark_dead_flow_runs
from flows.start import start
from retrim.errors import RetrimError
from retrim.ops.alerts import tell_suspicious
from retrim.ops.house import House
from retrim.ops.hung import end_hung_runs
from retrim.ops.overdue import tell_overdue
from retrim.ops.progress import tell
from retrim.ops.recover import recover


@flow(name="maintain", **SIGNED)
def maintain(now: str | None = None) -> list[str]:
    """Marks dead runs crashed and has them finished, reports an overdue batch; gives the decisions it started again."""
    with due_once("maintain", now) as at:
        return [] if at is None else put_right(open_house(), at)


def put_right(house: House, at: pd.Timestamp) -> list[str]:
    """The same, as of a moment."""
    end_hung_runs(house, now=at)
    mark_dead_flow_runs(house)
    started = []
    for decision in recover(house, now=at):
        tell(f"resuming run-{decision}, which was stopped before it ended")
        with suppress(RetrimError):  # it is recorded as failed and was told; what is due now must not wait for it
            start(decision, at.isoformat())
        say("resumed", f"run-{decision}")
        started.append(decision)
    tell_overdue(house, now=at)
    tell_suspicious(house, now=at)
    return started
