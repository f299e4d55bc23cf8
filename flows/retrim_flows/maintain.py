"""What has to be put right now and then: dead runs, batches that did not come, and a disk that fills."""

from contextlib import suppress

import pandas as pd
from prefect import flow

from retrim.checking.score import recompute_daily
from retrim.errors import RetrimError
from retrim.landing.overdue import tell_overdue
from retrim.lineage.workspace import Workspace, clock, report_progress, tell_suspicious
from retrim.retraining.recover import end_hung_runs, recover
from retrim.retraining.tidy import tidy
from retrim_flows.context import open_workspace, say
from retrim_flows.reconcile import SIGNED, mark_dead_flow_runs
from retrim_flows.retrain import start
from retrim_flows.schedule import due_once


@flow(name="maintain", **SIGNED)
def maintain() -> None:
    """Repairs what killed processes left behind, and removes files that nothing needs any more."""
    with due_once("maintain", None) as at:
        if at is None:
            return
        workspace = open_workspace()
        put_right(workspace, at)
        tidied = tidy(workspace, now=max(at, clock()))
        if tidied.pieces or tidied.prediction_files:
            files = f"{tidied.pieces} items and {tidied.prediction_files} prediction files"
            say("tidied", f"removed {files}, {tidied.bytes / 1e6:.1f} MB")


def put_right(workspace: Workspace, at: pd.Timestamp) -> list[str]:
    """Marks dead runs crashed and has them finished, reports overdue batches; gives the decisions that it took up.

    Each check and each retraining by hand begins with it.
    """
    end_hung_runs(workspace, now=at)
    mark_dead_flow_runs(workspace)
    started = []
    for decision in recover(workspace, now=at):
        report_progress(f"resuming run-{decision}, which was stopped before it ended")
        with suppress(RetrimError):  # it is recorded as failed and was told; what is due now must not wait for it
            start(decision, at)
        say("resumed", f"run-{decision}")
        started.append(decision)
    recomputed = recompute_daily(workspace, now=at)
    if recomputed is not None and recomputed.rows:
        say("recomputed", f"{recomputed.rows} predictions, {len(recomputed.differing)} differ")
    tell_overdue(workspace, now=at)
    tell_suspicious(workspace, now=at)
    return started
