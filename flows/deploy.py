"""The schedule on this machine: a work pool, a deployment for each flow, and a worker that carries them out."""

import asyncio
import os
import signal
from contextlib import redirect_stdout, suppress
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from types import FrameType

import pandas as pd
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.schedules import Cron, Interval, Schedule
from prefect.workers.process import ProcessWorker

from flows.missed import catch_up, take_up_again
from flows.watchman import Watchman
from retrim.adapters import prefect_server
from retrim.core.plan import CRON
from retrim.core.timetable import cron_fields
from retrim.errors import BadInputError, RetrimError
from retrim.ops.house import House

FLOWS = ("ingest", "monitor", "score", "maintain", "prove", "retrain")
# Spans are counted from here, so that a restart does not move what was planned.
ANCHOR = datetime(1970, 1, 1, tzinfo=UTC)


def deploy(house: House) -> list[str]:
    """Registers the flows of this workspace as deployments; again, it updates them. Gives their names.

    The model's name is in every name, so that workspaces can share a server.

    Raises:
        BadInputError: A cron expression of params.yaml is none.
    """
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=pool(house), type="process"))
    for name in FLOWS:
        with redirect_stdout(StringIO()):  # it prints a table for each
            _load(house.workspace.root, name).deploy(
                name=house.model,
                work_pool_name=pool(house),
                schedule=_timetable(house, name),
                concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
                job_variables={"working_dir": str(house.workspace.root), "env": _environment(house)},
                print_next_steps=False,
                ignore_warnings=True,
            )
    return [f"{name}/{house.model}" for name in FLOWS]


def run_schedule(house: House, server: prefect_server.Server | None) -> None:
    """Deploys, then carries out what is due until SIGINT or SIGTERM; a server of our own that dies is started again.

    Raises:
        RetrimError: A server that is not ours stayed away for minutes.
    """
    signal.signal(signal.SIGTERM, _interrupt)
    times = house.params.schedule.model_dump()
    for name in deploy(house):
        print(f"deployed {name}: {times.get(name.split('/')[0], 'when a check decides to')}")
    take_up_again(house, at_start=True)
    catch_up(house)
    print(f"worker started; {_where(house, server)}; stop with Ctrl-C", flush=True)
    with Watchman(house, server):
        try:
            asyncio.run(ProcessWorker(work_pool_name=pool(house)).start(printer=_say_nothing))
        except KeyboardInterrupt:
            print("stopped", flush=True)
        except Exception as error:
            raise RetrimError(f"the worker ended: {_root(error)}; start it again with `retrim schedule`") from error


def _where(house: House, server: prefect_server.Server | None) -> str:
    """Where the server is, and how a person gets in."""
    if server is None:
        return f"the Prefect API is at {os.environ['PREFECT_API_URL']}"
    login = (house.workspace.prefect / prefect_server.LOGIN).relative_to(house.workspace.root)
    return f"the Prefect pages are at {server.pages_url}, and the line in {login} logs you in"


def pool(house: House) -> str:
    """The work pool of this workspace's model."""
    return f"retrim-{house.model}"


def _timetable(house: House, name: str) -> Schedule | None:
    written = house.params.schedule.model_dump().get(name)
    if written is None:
        return None
    if not CRON.fullmatch(written):
        return Interval(pd.Timedelta(written).to_pytimedelta(), anchor_date=ANCHOR, timezone="UTC")
    try:
        cron_fields(written)
        return Cron(written, timezone="UTC")
    except ValueError as error:
        raise BadInputError(f"params.yaml: schedule.{name}: {written!r} is no cron expression: {error}") from error


def _load(root: Path, name: str) -> "Flow[..., object]":
    found = flow.from_source(str(root), entrypoint=f"flows/{name}.py:{name}")
    assert isinstance(found, Flow)
    return found


def _environment(house: House) -> dict[str, str]:
    settings = prefect_server.settings(house.workspace.prefect, os.environ["PREFECT_API_URL"])
    path = os.pathsep.join(filter(None, [str(house.workspace.root), os.environ.get("PYTHONPATH")]))
    return {**settings, "PYTHONPATH": path}


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _root(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _say_nothing(*parts: object) -> None:
    """What the worker says of itself; errors go to the log all the same."""
