"""What has to be put right now and then: dead runs, and batches that did not come."""

from contextlib import suppress

import pandas as pd
from prefect import flow

from retrim.checking.score import recompute_daily
from retrim.errors import RetrimError
from retrim.landing.inbox import tell_overdue
from retrim.lineage.workspace import Workspace, report_progress, tell_suspicious
from retrim.retraining.recover import end_hung_runs, recover
from retrim_flows.lines import say
from retrim_flows.moment import due_once, open_workspace
from retrim_flows.recovery import SIGNED, mark_dead_flow_runs
from retrim_flows.retrain import start


@flow(name="maintain", **SIGNED)
def maintain(now: str | None = None) -> list[str]:
    """Marks dead runs crashed and has them finished, reports an overdue batch; gives the decisions it started again."""
    with due_once("maintain", now) as at:
        return [] if at is None else put_right(open_workspace(), at)


def put_right(workspace: Workspace, at: pd.Timestamp) -> list[str]:
    """The same, as of a moment."""
    end_hung_runs(workspace, now=at)
    mark_dead_flow_runs(workspace)
    started = []
    for decision in recover(workspace, now=at):
        report_progress(f"resuming run-{decision}, which was stopped before it ended")
        with suppress(RetrimError):  # it is recorded as failed and was told; what is due now must not wait for it
            start(decision, at.isoformat())
        say("resumed", f"run-{decision}")
        started.append(decision)
    recomputed = recompute_daily(workspace, now=at)
    if recomputed is not None and recomputed.rows:
        say("recomputed", f"{recomputed.rows} predictions, {len(recomputed.differing)} differ")
    tell_overdue(workspace, now=at)
    tell_suspicious(workspace, now=at)
    return started
