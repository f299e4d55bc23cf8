"""Dead flow runs are forced to Crashed: this workspace's, and no others'."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pandas as pd
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.settings import temporary_settings
from prefect.states import Completed, Running

from flows import recovery
from flows.recovery import mark_dead_flow_runs, workspace_tag
from retrim.ops.house import House
from retrim.ops.signs import held, take, was_taken
from retrim.paths import Workspace
from retrim.settings import Env, load_params
from tests.world import prefect_settings

pytestmark = pytest.mark.server
PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


@flow(name="an example")
def example() -> None:
    """Never called: its runs are made by hand."""


@pytest.fixture
def client(server: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings(prefect_settings(server)), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(Workspace(tmp_path), load_params(PARAMS), Env())


def begun(client: SyncPrefectClient, *tags: str, state: "State | None" = None) -> FlowRun:
    """A flow run that nobody carries out."""
    return client.create_flow_run(example, state=state or Running(), tags=list(tags))


def state_of(client: SyncPrefectClient, run: UUID) -> str:
    found = client.read_flow_run(run).state
    assert found is not None
    return found.name


def leave_sign(house: House, run: FlowRun) -> None:
    """The sign of a process that was killed."""
    take(house, f"flow-{run.id}").close()


def test_a_flow_run_whose_process_is_dead_is_crashed(client: SyncPrefectClient, house: House) -> None:
    run = begun(client)
    leave_sign(house, run)
    marked = mark_dead_flow_runs(house)

    assert (marked, state_of(client, run.id)) == (1, "Crashed")
    assert not was_taken(house, f"flow-{run.id}")


def test_a_flow_run_whose_process_lives_goes_on(client: SyncPrefectClient, house: House) -> None:
    run = begun(client)
    with held(house, f"flow-{run.id}"):
        marked = mark_dead_flow_runs(house)

    assert (marked, state_of(client, run.id)) == (0, "Running")


def test_flow_runs_of_another_workspace_are_left_alone(
    client: SyncPrefectClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "GRACE", pd.Timedelta(0))
    other = House(Workspace(house.workspace.root / "other"), house.params, house.env)
    runs = [begun(client), begun(client, workspace_tag(other)), begun(client)]
    leave_sign(other, runs[-1])
    marked = mark_dead_flow_runs(house)

    assert marked == 0
    assert [state_of(client, run.id) for run in runs] == ["Running"] * 3


def test_a_flow_run_that_died_before_its_sign_is_crashed_after_a_while(
    client: SyncPrefectClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(client, workspace_tag(house))
    early = mark_dead_flow_runs(house)
    monkeypatch.setattr(recovery, "GRACE", pd.Timedelta(0))
    late = mark_dead_flow_runs(house)

    assert (early, late, state_of(client, run.id)) == (0, 1, "Crashed")


def test_the_sign_of_a_flow_run_that_ended_is_cleared_and_its_state_kept(
    client: SyncPrefectClient, house: House
) -> None:
    run = begun(client, state=Completed())
    leave_sign(house, run)
    marked = mark_dead_flow_runs(house)

    assert (marked, state_of(client, run.id)) == (0, "Completed")
    assert not was_taken(house, f"flow-{run.id}")


def test_a_sign_that_this_server_knows_nothing_of_is_kept_for_the_one_that_does(
    client: SyncPrefectClient, house: House
) -> None:
    name = "flow-00000000-0000-0000-0000-000000000000"
    take(house, name).close()
    marked = mark_dead_flow_runs(house)

    assert marked == 0
    assert was_taken(house, name)
