"""Scheduled runs that were planned and cut short: they are scheduled again, so that none is lost.

What fell due while no worker ran is made up for when the next one starts. What a worker
had taken, and a kill kept from its end, is put back here, with its own scheduled start:
a flow takes that as its `now`, so that a second time changes nothing that was done.
"""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.states import Scheduled

from retrim.checking.due import begin_due_times, is_due_time, missed_times
from retrim.decision.rules import ScheduleParams
from retrim.lineage.workspace import Workspace
from retrim.stats.timetable import start_offset
from retrim_flows.lines import say_line
from retrim_flows.recovery import mark_dead_flow_runs

# Times a scheduled run is begun in all; and for how long one that could not be begun is tried.
ATTEMPTS, AGE = 3, pd.Timedelta("1D")
# A worker that lives needs seconds from taking a run to starting it.
TAKEN_BY_THE_DEAD = pd.Timedelta("2min")


def take_up_again(workspaces: Sequence[Workspace], *, at_start: bool) -> int:
    """Schedules again what was cut short; gives how many."""
    mark_dead_flow_runs(*workspaces)
    again = 0
    with get_client(sync_client=True) as client:
        for run in _cut_short(client, [workspace.model for workspace in workspaces]):
            assert run.state is not None
            taken = run.state.type == StateType.PENDING
            if taken and not at_start and pd.Timestamp.now("UTC") - run.state.timestamp < TAKEN_BY_THE_DEAD:
                continue
            if run.run_count < ATTEMPTS:
                client.set_flow_run_state(run.id, Scheduled(scheduled_time=run.expected_start_time), force=True)
                again += 1
    return again


def catch_up(workspace: Workspace, *, spread: bool = False) -> int:
    """Before a worker starts: one run for each flow of which due times were missed; gives how many.

    It takes the place of all that was planned for a time that has passed. Which times it is about the flow asks our
    store (`retrim_flows.moment`), so none that Prefect had not planned is lost, and none is done twice.
    """
    now, runs, whose = pd.Timestamp.now("UTC").floor("s"), 0, workspace.model if spread else ""
    for name in ScheduleParams.flows():  # of all, whatever fails after
        begin_due_times(workspace, name, now=now)
    with get_client(sync_client=True) as client:
        for name in ScheduleParams.flows():
            missed = missed_times(workspace, name, until=now)
            if not missed:
                continue
            offset = pd.Timedelta(start_offset(workspace.model, _timetable(workspace, name)) if spread else 0, "s")
            for late in _planned(client, workspace, name, until=now, offset=offset):
                client.delete_flow_run(late.id)
            deployment = client.read_deployment_by_name(f"{name}/{workspace.model}")
            state: State[Any] = Scheduled(scheduled_time=(missed[-1] + offset).to_pydatetime())
            client.create_flow_run_from_deployment(deployment.id, state=state)
            times = "1 due time" if len(missed) == 1 else f"{len(missed)} due times"
            since = f"{missed[0]:%Y-%m-%d %H:%M:%S} UTC"
            say_line("missed", f"{name}: {times} since {since}; one run starts now to catch up", whose=whose)
            runs += 1
    return runs


def _timetable(workspace: Workspace, name: str) -> str:
    return str(getattr(workspace.params.schedule, name))


def _planned(
    client: SyncPrefectClient, workspace: Workspace, name: str, *, until: pd.Timestamp, offset: pd.Timedelta
) -> list[FlowRun]:
    """Runs of a flow that wait, and were due by a moment; one that a person scheduled is not among them."""
    found: list[FlowRun] = []
    while page := client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=[name])),
        flow_run_filter=FlowRunFilter(
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
            expected_start_time=FlowRunFilterExpectedStartTime(before_=until.to_pydatetime()),
        ),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[workspace.model])),
        offset=len(found),
    ):
        found += page
    due = [(run, run.expected_start_time) for run in found]
    return [run for run, at in due if at is not None and is_due_time(workspace, name, pd.Timestamp(at) - offset)]


def _cut_short(client: SyncPrefectClient, models: list[str]) -> list[FlowRun]:
    """Runs of the flows that have a timetable; a retraining belongs to its decision, and maintain takes it up."""
    states = FlowRunFilterStateType(any_=[StateType.CRASHED, StateType.PENDING, StateType.FAILED])
    since = FlowRunFilterExpectedStartTime(after_=(pd.Timestamp.now("UTC") - AGE).to_pydatetime())
    found: list[FlowRun] = []
    while page := client.read_flow_runs(
        flow_filter=FlowFilter(name=FlowFilterName(any_=list(ScheduleParams.flows()))),
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=states), expected_start_time=since),
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=models)),
        offset=len(found),
    ):
        found += page
    return [run for run in found if run.state is not None and _from_outside(run.state)]


def _from_outside(state: State) -> bool:
    """Whether a run was cut short: it failed, but only because its server was away just then; or did not get so far."""
    return state.type != StateType.FAILED or "ConnectError" in (state.message or "")
