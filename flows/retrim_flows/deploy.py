"""The schedule on this machine: a work pool, a deployment for each flow, and a worker that carries them out."""

import asyncio
import os
import signal
from contextlib import redirect_stdout, suppress
from datetime import UTC, datetime
from importlib import import_module
from io import StringIO
from pathlib import Path
from types import FrameType

import pandas as pd
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.deployments.runner import EntrypointType
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.schedules import Cron, Interval, Schedule
from prefect.workers.process import ProcessWorker

from retrim.adapters import prefect_server
from retrim.decision.rules import CRON
from retrim.errors import BadInputError, RetrimError
from retrim.lineage.workspace import Workspace
from retrim.stats.timetable import cron_fields
from retrim_flows.missed import catch_up, take_up_again
from retrim_flows.watchman import Watchman

HOME = Path(__file__).parents[1]
"""Where `retrim_flows` is imported from: a checkout's folder `flows`, or where packages are installed."""
FLOWS = ("ingest", "monitor", "score", "maintain", "prove", "retrain")
# Spans are counted from here, so that a restart does not move what was planned.
ANCHOR = datetime(1970, 1, 1, tzinfo=UTC)


def deploy(workspace: Workspace) -> list[str]:
    """Registers the flows of this workspace as deployments; again, it updates them. Gives their names.

    The model's name is in every name, so that workspaces can share a server.

    Raises:
        BadInputError: A cron expression of params.yaml is none.
    """
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=pool(workspace), type="process"))
    for name in FLOWS:
        with redirect_stdout(StringIO()):  # it prints a table for each
            _load(name).deploy(
                name=workspace.model,
                work_pool_name=pool(workspace),
                schedule=_timetable(workspace, name),
                concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
                job_variables={"working_dir": str(workspace.paths.root), "env": _environment(workspace)},
                entrypoint_type=EntrypointType.MODULE_PATH,
                print_next_steps=False,
                ignore_warnings=True,
            )
    return [f"{name}/{workspace.model}" for name in FLOWS]


def run_schedule(workspace: Workspace, server: prefect_server.Server | None) -> None:
    """Deploys, then carries out what is due until SIGINT or SIGTERM; a server of our own that dies is started again.

    Raises:
        RetrimError: A server that is not ours stayed away for minutes.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    times = workspace.params.schedule.model_dump()
    for name in deploy(workspace):
        print(f"deployed {name}: {times.get(name.split('/')[0], 'when a check decides to') or 'never'}")
    take_up_again(workspace, at_start=True)
    catch_up(workspace)
    print(f"worker started; {_where(workspace, server)}; stop with Ctrl-C", flush=True)
    with Watchman(workspace, server):
        try:
            asyncio.run(ProcessWorker(work_pool_name=pool(workspace)).start(printer=_say_nothing))
        except KeyboardInterrupt:
            print("stopped", flush=True)
        except Exception as error:
            raise RetrimError(f"the worker ended: {_root(error)}; start it again with `retrim schedule`") from error


def _where(workspace: Workspace, server: prefect_server.Server | None) -> str:
    """Where the server is, and how a person gets in."""
    if server is None:
        return f"the Prefect API is at {os.environ['PREFECT_API_URL']}"
    login = (workspace.paths.prefect / prefect_server.LOGIN_FILE).relative_to(workspace.paths.root)
    return f"the Prefect pages are at {server.api.pages_url}, and the line in {login} logs you in"


def pool(workspace: Workspace) -> str:
    """The work pool of this workspace's model."""
    return f"retrim-{workspace.model}"


def _timetable(workspace: Workspace, name: str) -> Schedule | None:
    written = workspace.params.schedule.model_dump().get(name)
    if written is None:
        return None
    if not CRON.fullmatch(written):
        return Interval(pd.Timedelta(written).to_pytimedelta(), anchor_date=ANCHOR, timezone="UTC")
    try:
        cron_fields(written)
        return Cron(written, timezone="UTC")
    except ValueError as error:
        raise BadInputError(f"params.yaml: schedule.{name}: {written!r} is not a cron expression: {error}") from error


def _load(name: str) -> "Flow[..., object]":
    found = getattr(import_module(f"retrim_flows.{name}"), name)
    assert isinstance(found, Flow)
    return found


def _environment(workspace: Workspace) -> dict[str, str]:
    settings = prefect_server.settings(workspace.paths.prefect, os.environ["PREFECT_API_URL"])
    path = os.pathsep.join(filter(None, [str(HOME), os.environ.get("PYTHONPATH")]))
    return {**settings, "PYTHONPATH": path}


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _root(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _say_nothing(*parts: object) -> None:
    """What the worker says of itself; errors go to the log anyway."""
