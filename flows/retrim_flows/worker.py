"""The schedule on this machine: a work pool, a deployment for each flow, and a worker that carries them out.

One worker serves one workspace or many. Each run takes place in the folder and the environment of its workspace.
"""

import asyncio
import json
import os
import shlex
import signal
import sys
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib import import_module
from io import StringIO
from pathlib import Path
from types import FrameType

import pandas as pd
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.flows import Flow
from prefect.schedules import Cron, Interval, Schedule
from prefect.types.entrypoint import EntrypointType
from prefect.workers.process import ProcessWorker

from retrim.adapters import prefect_server
from retrim.errors import RetrimError
from retrim.files import count_cores
from retrim.lineage.workspace import Workspace
from retrim.stats.timetable import CRON, start_offset
from retrim_flows.context import OFFSET_VARIABLE, say_line
from retrim_flows.reconcile import Watchman, take_up_again
from retrim_flows.schedule import catch_up

ENGINE = "prefect.engine"
HOME = Path(__file__).parents[1]
"""Where `retrim_flows` is imported from: a checkout's folder `flows`, or where packages are installed."""
FLOWS = ("ingest", "check", "score", "maintain", "prove", "backup", "retrain")
LONG, LONG_QUEUE = ("retrain", "prove", "backup"), "long"
"""What takes minutes to hours has a queue of its own, so that checks do not wait for it."""
# Spans are counted from here, so that a restart does not move what was planned.
ANCHOR = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class WorkerSchedule:
    """What one worker carries out.

    Args:
        workspaces: Whose flows they are; of one workspace, or of many that share the worker.
        home: The folder of Prefect's state.
        spread: Whether runs that are due at the same moment begin one after the other.
    """

    workspaces: tuple[Workspace, ...]
    pool: str
    home: Path
    spread: bool = False


def schedule_of(workspace: Workspace) -> WorkerSchedule:
    """That of one workspace alone."""
    return WorkerSchedule((workspace,), f"retrim-{workspace.model}", workspace.paths.prefect)


def deploy(schedule: WorkerSchedule) -> list[str]:
    """Registers the flows of each workspace as deployments; again, it updates those that changed. Gives their names.

    The model's name is in every name, so that workspaces can share a server.
    """
    with get_client(sync_client=True) as client:
        _make_pool(client, schedule.pool)
        known = _deployed(client)
    names = []
    for workspace in schedule.workspaces:
        for name in FLOWS:
            wanted = _deployment(schedule, workspace, name)
            if known.get(f"{name}/{workspace.model}") != wanted.version:
                with redirect_stdout(StringIO()):  # it prints a table for each
                    wanted.apply(work_pool_name=schedule.pool)
            names.append(f"{name}/{workspace.model}")
    return names


def _deployment(schedule: WorkerSchedule, workspace: Workspace, name: str) -> RunnerDeployment:
    """One flow of one workspace; its version is the digest of all that it was made from."""
    written = workspace.params.schedule.model_dump().get(name)
    offset = start_offset(workspace.model, written) if schedule.spread and written is not None else 0
    shared = {OFFSET_VARIABLE: str(offset)} if schedule.spread else {}
    variables = {
        "working_dir": str(workspace.paths.root),
        "env": {**_environment(schedule, workspace), **shared},
        # Without a command, one more process would start it.
        "command": shlex.join([str(python_of(workspace)), "-m", ENGINE]),
    }
    queue = LONG_QUEUE if name in LONG else None
    made_from = json.dumps([schedule.pool, queue, written, variables, name], sort_keys=True)
    deployment = _load(name).to_deployment(
        name=workspace.model,
        work_pool_name=schedule.pool,
        work_queue_name=queue,
        schedule=_timetable(written, offset),
        concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
        job_variables=variables,
        entrypoint_type=EntrypointType.MODULE_PATH,
        version=sha256(made_from.encode()).hexdigest()[:16],
    )
    assert isinstance(deployment, RunnerDeployment)  # in a process that runs no loop
    return deployment


def _make_pool(client: SyncPrefectClient, pool: str) -> None:
    """The work pool and its two queues: what is long must not keep checks waiting, and checks not the machine."""
    cores = count_cores()
    with suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=pool, type="process"))
    for queue, limit in (("default", max(cores, 2)), (LONG_QUEUE, max(cores // 2, 1))):
        try:
            work_queue = client.read_work_queue_by_name(queue, work_pool_name=pool)
        except ObjectNotFound:
            work_queue = client.create_work_queue(queue, work_pool_name=pool)
        if work_queue.concurrency_limit != limit:
            client.update_work_queue(work_queue.id, concurrency_limit=limit)


def _deployed(client: SyncPrefectClient) -> dict[str, str | None]:
    """Versions of the deployments that the server has, by name."""
    flows: dict[object, str] = {}
    while page := client.read_flows(offset=len(flows)):
        flows |= {flow.id: flow.name for flow in page}
    versions: dict[str, str | None] = {}
    while more := client.read_deployments(offset=len(versions)):
        versions |= {f"{flows.get(deployment.flow_id)}/{deployment.name}": deployment.version for deployment in more}
    return versions


def run_schedule(schedule: WorkerSchedule, server: prefect_server.Server | None) -> None:
    """Deploys, then carries out what is due until SIGINT or SIGTERM; a server of our own that dies is started again.

    Raises:
        RetrimError: A server that is not ours stayed away for minutes.
    """
    deploy(schedule)
    for workspace in schedule.workspaces:
        times = workspace.params.schedule.model_dump()
        for name in FLOWS:
            print(f"deployed {name}/{workspace.model}: {times.get(name, 'when a check starts it') or 'never'}")
    take_up_again(schedule.workspaces, at_start=True)
    for workspace in schedule.workspaces:
        try:
            catch_up(workspace, spread=schedule.spread)
        except Exception as error:
            if not schedule.spread:
                raise
            say_line("missed", f"not looked up, the next run does it: {error}", whose=workspace.model)
    print(f"worker started; {_where(schedule, server)}; stop with Ctrl-C", flush=True)
    with Watchman(schedule.workspaces, server):
        try:
            asyncio.run(_work(schedule.pool))
        except (KeyboardInterrupt, asyncio.CancelledError):
            print("stopped", flush=True)
        except Exception as error:
            raise RetrimError(f"the worker ended: {_root(error)}; start it again") from error


async def _work(pool: str) -> None:
    """Carries out what is due until SIGTERM, which cancels the worker where it waits, as Ctrl-C does under asyncio.

    An exception that a signal raises somewhere in the worker's code would break it or leave it waiting.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def cancel(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # until the process has ended, which has begun
        loop.call_soon_threadsafe(task.cancel)

    before = signal.signal(signal.SIGTERM, cancel)
    try:
        await ProcessWorker(work_pool_name=pool).start(printer=_say_nothing)
    finally:
        if signal.getsignal(signal.SIGTERM) is cancel:
            signal.signal(signal.SIGTERM, before)


def _where(schedule: WorkerSchedule, server: prefect_server.Server | None) -> str:
    """Where the server is, and how a person gets in."""
    if server is None:
        return f"the Prefect API is at {os.environ['PREFECT_API_URL']}"
    login = (schedule.home / prefect_server.LOGIN_FILE).relative_to(schedule.workspaces[0].paths.root)
    return f"the Prefect pages are at {server.api.pages_url}; to log in, use the line in {login}"


def python_of(workspace: Workspace) -> Path:
    """The Python of a workspace's own environment, where it has one; else the one that runs this."""
    python_here = workspace.paths.root / ".venv" / "bin" / "python"
    is_other = python_here.exists() and python_here.parent.parent.resolve() != Path(sys.prefix).resolve()
    return python_here if is_other else Path(sys.executable)


def _timetable(written: str | None, offset: int) -> Schedule | None:
    if written is None:
        return None
    if not CRON.fullmatch(written):
        anchor = ANCHOR + timedelta(seconds=offset)
        return Interval(pd.Timedelta(written).to_pytimedelta(), anchor_date=anchor, timezone="UTC")
    return Cron(f"{written} {offset}" if offset else written, timezone="UTC")  # a sixth field names the second


def _load(name: str) -> "Flow[..., object]":
    loaded = getattr(import_module(f"retrim_flows.{name}"), name)
    assert isinstance(loaded, Flow)
    return loaded


def _environment(schedule: WorkerSchedule, workspace: Workspace) -> dict[str, str]:
    settings = prefect_server.settings(schedule.home, os.environ["PREFECT_API_URL"])
    places = [str(folder) for name in ("src", "flows") if (folder := workspace.paths.root / name).is_dir()]
    if python_of(workspace) == Path(sys.executable):
        places += [str(HOME), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**settings, "PYTHONPATH": os.pathsep.join(dict.fromkeys(filter(None, places)))}


def _root(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _say_nothing(*parts: object) -> None:
    """What the worker says of itself; errors go to the log anyway."""
