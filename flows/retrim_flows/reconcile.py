"""After a kill: flow runs whose process is dead are forced to Crashed, and what they were planned for runs again."""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from types import TracebackType
from typing import Any, Self, TextIO

import pandas as pd
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
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
from prefect.states import Crashed, Scheduled

from retrim.adapters.prefect_server import Server, answers
from retrim.alerting.telling import tell_people
from retrim.decision.run_params import ScheduleParams
from retrim.errors import RetrimError
from retrim.lineage.locks import clear_lock, drop_lock, left_behind, take_lock, was_taken
from retrim.lineage.workspace import Workspace
from retrim.retraining.recover import end_hung_runs
from retrim_flows.context import open_workspace, read_runs, say_failed

LOGGER = logging.getLogger("retrim.schedule")
FAILED = "watching the schedule%s failed; retrim tries again: %s"
LOOK_SECONDS, TAKE_UP_SECONDS, TELL_SECONDS = 0.5, 30.0, 5.0
ATTEMPTS = 3  # times a scheduled run is begun in all
AGE = pd.Timedelta("1D")  # for how long one that could not be begun is tried
TAKEN_BY_THE_DEAD = pd.Timedelta("2min")  # a worker that lives needs seconds from taking a run to starting it
GRACE = pd.Timedelta("10min")  # milliseconds lie between its first state and its sign: without one it never took it
PREFIX = "flow-"
OPEN = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
HELD: dict[str, TextIO] = {}  # until Prefect knows the end, which is after the flow's function has returned


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
    return read_runs(client, which)


def _name(run: FlowRun) -> str:
    return f"{PREFIX}{run.id}"


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


def _cut_short(client: SyncPrefectClient, models: list[str]) -> list[FlowRun]:
    """Runs of the flows that have a timetable; a retraining belongs to its decision, and maintain takes it up."""
    states = FlowRunFilterStateType(any_=[StateType.CRASHED, StateType.PENDING, StateType.FAILED])
    since = FlowRunFilterExpectedStartTime(after_=(pd.Timestamp.now("UTC") - AGE).to_pydatetime())
    which = FlowRunFilter(state=FlowRunFilterState(type=states), expected_start_time=since)
    runs = read_runs(client, which, flows=ScheduleParams.flows(), deployments=models)
    return [run for run in runs if run.state is not None and _from_outside(run.state)]


def _from_outside(state: State) -> bool:
    """Whether a run was cut short: it failed, but only because its server was away just then; or did not get so far."""
    return state.type != StateType.FAILED or "ConnectError" in (state.message or "")


class Watchman:
    """A thread beside the worker.

    Args:
        workspaces: Those that the worker serves.
        server: The server, if it is ours to start again.
    """

    def __init__(self, workspaces: Sequence[Workspace], server: Server | None) -> None:
        self.workspaces, self.server = workspaces, server
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._mind, name="watchman", daemon=True),
            threading.Thread(target=self._tell, name="messenger", daemon=True),
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _tell(self) -> None:
        with_addresses = [workspace for workspace in self.workspaces if workspace.env.tells]
        while with_addresses and not self._over.wait(TELL_SECONDS):
            for workspace in with_addresses:
                if self._over.is_set():
                    return
                try:
                    tell_people(workspace, now=pd.Timestamp.now("UTC").floor("s"))
                except Exception as error:  # noqa: BLE001  whatever it is: it is tried again
                    LOGGER.warning("alerts could not be sent; retrim tries again: %s", error)

    def _mind(self) -> None:
        looked = time.monotonic()
        while not self._over.wait(LOOK_SECONDS):
            try:
                revived = self.server is not None and self.server.revive()
                if revived:
                    print("the Prefect server had stopped; it was restarted", flush=True)
                if revived or time.monotonic() - looked > TAKE_UP_SECONDS:
                    looked = time.monotonic()
                    for workspace in self.workspaces:
                        self._end_hung_runs(workspace)
                    take_up_again(self.workspaces, at_start=False)
            except Exception as error:  # noqa: BLE001  whatever it is: minding goes on
                LOGGER.warning(FAILED, "", error)

    def _end_hung_runs(self, workspace: Workspace) -> None:
        try:
            end_hung_runs(workspace, now=pd.Timestamp.now("UTC").floor("s"))
        except Exception as error:  # noqa: BLE001  the others are minded all the same
            LOGGER.warning(FAILED, f" of {workspace.model}", error)
