"""Prefect's side of a kill: flow runs whose process is dead are forced to Crashed, so that none stays Running."""

from collections.abc import Iterator
from contextlib import contextmanager

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.runtime import flow_run
from prefect.states import Crashed

from retrim.ops.house import House
from retrim.ops.recover import held, is_alive, was_held


@contextmanager
def sign_of_life(house: House) -> Iterator[None]:
    """Holds this flow run's sign of life while it runs."""
    with held(house, _name(flow_run.id)):
        yield


def mark_dead_flow_runs(house: House) -> int:
    """Forces flow runs of this workspace to Crashed where their process has died; gives how many."""
    running = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.RUNNING])))
    marked = 0
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=running):
            name = _name(str(run.id))
            if was_held(house, name) and not is_alive(house, name):
                client.set_flow_run_state(run.id, Crashed(message="its process was killed"), force=True)
                marked += 1
    return marked


def _name(flow_run_id: object) -> str:
    return f"flow-{flow_run_id}"
