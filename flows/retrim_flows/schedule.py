"""What is due, as our store knows, whatever Prefect has planned.

Prefect plans only some runs ahead and starts late ones in any order. So a run asks our store which due times passed
and were not done. A check is made for each, in order, as of its moment; every other flow is run once for all.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.runtime import deployment
from prefect.states import Scheduled

from retrim.checking.due import begin_due_times, is_due_time, mark_due_time, missed_times
from retrim.decision.run_params import ScheduleParams
from retrim.lineage.workspace import Workspace, clock
from retrim.stats.timetable import start_offset
from retrim_flows.context import moment, open_workspace, read_runs, say_line


def is_scheduled(now: str | None) -> bool:
    """Whether this flow run is the schedule's: no moment was given to it."""
    return now is None and deployment.id is not None


def due_each(name: str, at: pd.Timestamp) -> Iterator[pd.Timestamp]:
    """Every moment that is due by `at`, oldest first, and `at` itself; each is done when the next is asked."""
    workspace = open_workspace()
    for due in [*(due for due in missed_times(workspace, name, until=at) if due < at), at]:
        yield due
        mark_due_time(workspace, name, due)


@contextmanager
def due_once(name: str, now: str | None) -> Iterator[pd.Timestamp | None]:
    """The newest moment that is due, for all before it too; None where it is done already. It is done at the end."""
    at: pd.Timestamp | None = moment(now)
    assert at is not None
    if not is_scheduled(now):
        yield at
        return
    workspace = open_workspace()
    begun = workspace.store.done_until(workspace.model, name) is not None  # else this is the first of all
    if begun and is_due_time(workspace, name, at):  # else a person has started it
        due = missed_times(workspace, name, until=max(at, clock()))
        at = due[-1] if due else None
    yield at
    if at is not None:
        mark_due_time(workspace, name, at)


def catch_up(workspace: Workspace, *, spread: bool = False) -> int:
    """Before a worker starts: one run for each flow of which due times were missed; gives how many.

    It takes the place of all that was planned for a time that has passed. Which times it is about the flow asks our
    store (`due_each`, `due_once`), so none that Prefect had not planned is lost, and none is done twice.
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
    which = FlowRunFilter(
        state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED])),
        expected_start_time=FlowRunFilterExpectedStartTime(before_=until.to_pydatetime()),
    )
    runs = read_runs(client, which, flows=[name], deployments=[workspace.model])
    planned = [(run, run.expected_start_time) for run in runs]
    return [run for run, at in planned if at is not None and is_due_time(workspace, name, pd.Timestamp(at) - offset)]
