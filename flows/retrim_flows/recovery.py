"""Prefect's side of a kill: flow runs whose process is dead are forced to Crashed, so that none stays Running.

A flow run takes a sign of life when it begins and gives it back when Prefect knows how
it ended. One that is left behind belongs to a process that was killed, or that could
not reach the server any more. Flow runs of other workspaces have their signs elsewhere.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, TextIO

import pandas as pd
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
    TaskRunFilter,
    TaskRunFilterState,
    TaskRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed

from retrim.adapters.prefect_server import answers
from retrim.errors import RetrimError
from retrim.lineage.locks import clear_lock, drop_lock, left_behind, take_lock, was_taken
from retrim.lineage.workspace import Workspace
from retrim_flows.lines import say_failed
from retrim_flows.moment import open_workspace

LOGGER = logging.getLogger("retrim.schedule")
PREFIX = "flow-"
OPEN = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
# Between its first state and its sign lie milliseconds. One that has none after so long never took it.
GRACE = pd.Timedelta("10min")
# Held until Prefect knows the end, which is after the flow's function has returned: so not on its stack.
HELD: dict[str, TextIO] = {}


def begin(flow: object, run: FlowRun, state: State) -> None:
    """Takes the sign of life of a flow run, and tags it as this workspace's.

    The tag is set on the run alone. Given by a context or a deployment its tasks would have it too, and for each
    Prefect would look for a concurrency limit of that name: on SQLite many a time in vain, with 2 s to the next try.
    """
    name, workspace = _name(run), open_workspace()
    if name not in HELD:
        HELD[name] = take_lock(workspace, name)
        with get_client(sync_client=True) as client:
            client.update_flow_run(run.id, tags=[*run.tags, workspace_tag(workspace)])


def end(flow: object, run: FlowRun, state: State) -> None:
    """Gives it back."""
    name = _name(run)
    if name in HELD:
        drop_lock(open_workspace(), name, HELD.pop(name))


SIGNED: dict[str, Any] = {
    "on_running": [begin],
    "on_completion": [end],
    "on_failure": [say_failed, end],
    "on_crashed": [say_failed, end],
}
"""Arguments of every flow here."""


def workspace_tag(workspace: Workspace) -> str:
    """What flow runs of this workspace are tagged with, on a server that may serve others."""
    return f"retrim-{sha256(str(workspace.paths.root).encode()).hexdigest()[:12]}"


def mark_dead_flow_runs(*workspaces: Workspace) -> int:
    """Forces flow runs of these workspaces to Crashed where their process has died; gives how many."""
    marked = 0
    tags = {workspace_tag(workspace): workspace for workspace in workspaces}
    with get_client(sync_client=True) as client:
        for workspace in workspaces:
            with _warned(workspace):
                for name in left_behind(workspace, PREFIX):
                    marked += _mark(client, workspace, name)
        for run in _open_runs(client, FlowRunFilter(tags=FlowRunFilterTags(any_=list(tags)))):
            began = run.start_time or run.created
            if began is None or pd.Timestamp.now("UTC") - began <= GRACE:
                continue
            workspace = next(tags[tag] for tag in run.tags if tag in tags)
            with _warned(workspace):
                if not was_taken(workspace, _name(run)):
                    marked += _crash(client, run)
        _crash_late_tasks(client, list(tags))
    return marked


def _mark(client: SyncPrefectClient, workspace: Workspace, name: str) -> int:
    """Forces the flow run of a sign that was left behind to Crashed; gives how many flow runs."""
    try:
        run = client.read_flow_run(name.removeprefix(PREFIX))  # type: ignore[arg-type]
    except ObjectNotFound:  # on a server that was used before
        return 0
    marked = 0 if run.state is not None and run.state.is_final() else _crash(client, run)
    clear_lock(workspace, name)
    return marked


@contextmanager
def _warned(workspace: Workspace) -> Iterator[None]:
    """Warns of what goes wrong with one workspace, so that the others are seen to."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  a folder that goes, an answer of the server
        LOGGER.warning("dead flow runs of %s were not marked: %s", workspace.paths.root, error)


def server_is_gone(error: Exception) -> bool:
    """Whether an error is Prefect's, because its server does not answer any more."""
    url = PREFECT_API_URL.value()
    return not isinstance(error, RetrimError) and url is not None and not answers(url)


def _crash(client: SyncPrefectClient, run: FlowRun) -> int:
    """Forces a flow run, its open tasks, and the flow runs inside it to Crashed; gives how many flow runs."""
    dead: State[Any] = Crashed(message="the process of this run was killed")
    client.set_flow_run_state(run.id, dead, force=True)
    count = 1
    for inside in _open_runs(client, FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run.id]))):
        count += _crash(client, inside)
    open_tasks = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=OPEN)))
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run.id]))
    for task in client.read_task_runs(flow_run_filter=of_run, task_run_filter=open_tasks):
        client.set_task_run_state(task.id, dead, force=True)
    return count


def _crash_late_tasks(client: SyncPrefectClient, tags: list[str]) -> None:
    """Forces tasks of crashed flow runs to Crashed: a busy server may record that one runs after its run has ended."""
    crashed = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.CRASHED]))
    of_runs = FlowRunFilter(tags=FlowRunFilterTags(any_=tags), state=crashed)
    open_tasks = TaskRunFilter(state=TaskRunFilterState(type=TaskRunFilterStateType(any_=OPEN)))
    for task in client.read_task_runs(flow_run_filter=of_runs, task_run_filter=open_tasks):
        client.set_task_run_state(task.id, Crashed(message="the process of this run was killed"), force=True)


def _open_runs(client: SyncPrefectClient, which: FlowRunFilter) -> list[FlowRun]:
    which.state = FlowRunFilterState(type=FlowRunFilterStateType(any_=OPEN))
    found: list[FlowRun] = []
    while page := client.read_flow_runs(flow_run_filter=which, offset=len(found)):
        found += page
    return found


def _name(run: FlowRun) -> str:
    return f"{PREFIX}{run.id}"
