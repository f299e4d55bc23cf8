"""The flow run that this is: the moment it is about, who asked for it, its workspace, and what it says."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.logging.handlers import APILogHandler
from prefect.runtime import deployment, flow_run

from retrim.decision.alerts import AlertKind, without_figures
from retrim.files import login
from retrim.landing.ingest import Landed
from retrim.lineage import workspace as workspaces
from retrim.lineage.workspace import Workspace, clock, record_alert

SCHEDULE = "schedule"

OFFSET_VARIABLE = "RETRIM_START_OFFSET"
"""Seconds after its due time at which Prefect begins a run, where many schedules share a worker."""


def moment(now: str | None) -> pd.Timestamp:
    """`now` in UTC, to the second; by default the due time of this flow run, which begins an offset after it."""
    if now is None:
        offset = pd.Timedelta(int(os.environ.get(OFFSET_VARIABLE) or 0), "s")
        return pd.Timestamp(flow_run.scheduled_start_time).tz_convert("UTC").floor("s") - offset
    given = pd.Timestamp(now)
    return given.tz_localize("UTC") if given.tzinfo is None else given.tz_convert("UTC")


def actor() -> str:
    """Who has this flow run made: the schedule, or else the person whose command it is."""
    return SCHEDULE if deployment.id is not None else login()


def open_workspace() -> Workspace:
    """The workspace of the working folder, which a deployment sets to its workspace."""
    return workspaces.open_workspace(Path.cwd())


def say(what: str, result: str) -> None:
    """Prints a line, where this is a flow run of the schedule: its output is the schedule's."""
    if deployment.id is not None:
        whose = open_workspace().model if OFFSET_VARIABLE in os.environ else ""
        say_line(what, result, whose=whose)


def say_line(what: str, result: str, *, whose: str = "") -> None:
    """Prints a line: time, the model where a worker serves many, what was done, what came of it."""
    what = f"{whose}: {what}" if whose else what
    print(f"{pd.Timestamp.now('UTC'):%Y-%m-%d %H:%M:%S}  {what}: {' '.join(result.split())}", flush=True)


def say_landed(landed: Landed) -> None:
    """A line for a batch."""
    faults = f", {landed.faults[0]}" if landed.faults else ""
    say(landed.outcome, f"{landed.rows} rows, batch {landed.batch}{faults}")


def say_failed(flow: object, run: FlowRun, state: State) -> None:
    """A line for a flow run that ended in an error: told when it ends, whatever it was at."""
    if run.deployment_id is not None:
        name = str(getattr(flow, "name", flow))
        why = (state.message or state.name or "no reason was given").removeprefix("Flow run encountered an exception: ")
        say_line("failed", f"{name}: {why}")
        if name != "retrain":  # whose run is told of where it ends
            text = f"{name}: {why}"
            record_alert(
                _workspace_of(run),
                AlertKind.FLOW_FAILED,
                text,
                now=clock(),
                about=without_figures(text),
                ended=_last_completed(run),
            )


def _last_completed(run: FlowRun) -> pd.Timestamp | None:
    """When the same flow ended well last on the schedule; None: never, or nobody can say."""
    well = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.COMPLETED]))
    try:
        with get_client(sync_client=True) as client:
            page = client.read_flow_runs(
                deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[run.deployment_id])),
                flow_run_filter=FlowRunFilter(state=well),
                sort=FlowRunSort.END_TIME_DESC,
                limit=1,
            )
    except Exception:  # noqa: BLE001  the failure is told all the same
        return None
    return pd.Timestamp(page[0].end_time) if page and page[0].end_time is not None else None


def _workspace_of(run: FlowRun) -> Workspace:
    """That of a flow run, also in a worker of many workspaces, which tells of a run whose process has died."""
    if deployment.id is not None or run.deployment_id is None:
        return open_workspace()
    with get_client(sync_client=True) as client:
        variables = client.read_deployment(run.deployment_id).job_variables or {}
    return workspaces.open_workspace(Path(variables["working_dir"]))


def read_runs(
    client: SyncPrefectClient, which: FlowRunFilter, *, flows: Sequence[str] = (), deployments: Sequence[str] = ()
) -> list[FlowRun]:
    """All flow runs that a filter takes, page by page; of flows and deployments of these names, where given."""
    named: dict[str, Any] = {}
    if flows:
        named["flow_filter"] = FlowFilter(name=FlowFilterName(any_=list(flows)))
    if deployments:
        named["deployment_filter"] = DeploymentFilter(name=DeploymentFilterName(any_=list(deployments)))
    runs: list[FlowRun] = []
    while page := client.read_flow_runs(flow_run_filter=which, offset=len(runs), **named):
        runs += page
    return runs


@contextmanager
def flushed() -> Iterator[None]:
    """Sends what is still to be sent at the end, while the server is there to take it."""
    try:
        yield
    finally:
        APILogHandler().flush()
