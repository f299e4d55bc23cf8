"""The schedule on this machine: a work pool, a deployment for each flow, and a worker that carries them out."""

import asyncio
import os
from contextlib import redirect_stdout, suppress
from io import StringIO
from pathlib import Path

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.exceptions import ObjectAlreadyExists
from prefect.flows import Flow
from prefect.schedules import Cron
from prefect.workers.process import ProcessWorker

from retrim.adapters import prefect_server
from retrim.ops.house import House

POOL = "retrim"
FLOWS = ("ingest", "monitor", "score", "maintain")


def deploy(house: House) -> list[str]:
    """Registers the flows of this workspace as deployments; again, it updates them. Gives their names."""
    with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
        client.create_work_pool(WorkPoolCreate(name=POOL, type="process"))
    crons = house.params.schedule.model_dump()
    names = []
    for name in (*FLOWS, "retrain"):
        schedule = Cron(crons[name], timezone="UTC") if name in crons else None
        with redirect_stdout(StringIO()):  # it prints a table for each
            _load(house.workspace.root, name).deploy(
                name=house.model,
                work_pool_name=POOL,
                schedule=schedule,
                concurrency_limit=ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.ENQUEUE),
                job_variables={"working_dir": str(house.workspace.root), "env": _environment(house)},
                print_next_steps=False,
                ignore_warnings=True,
            )
        names.append(f"{name}/{house.model}")
    return names


def run_schedule(house: House) -> None:
    """Deploys, then carries out what is due until it is stopped."""
    for name in deploy(house):
        print(f"deployed {name}")
    print(f"worker started; the Prefect API is at {os.environ['PREFECT_API_URL']}; stop with Ctrl-C", flush=True)
    asyncio.run(ProcessWorker(work_pool_name=POOL).start())


def _load(root: Path, name: str) -> "Flow[..., object]":
    found = flow.from_source(str(root), entrypoint=f"flows/{name}.py:{name}")
    assert isinstance(found, Flow)
    return found


def _environment(house: House) -> dict[str, str]:
    settings = prefect_server.settings(house.workspace.prefect, os.environ["PREFECT_API_URL"])
    return {**settings, "PYTHONPATH": str(house.workspace.root)}
