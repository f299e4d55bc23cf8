"""A retraining that a person cancels in Prefect is given up; one that was killed is scheduled once more."""

from collections.abc import Iterator

import pandas as pd
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import temporary_settings
from prefect.states import Cancelled, Crashed, State

from flows.deploy import deploy
from flows.start import start
from retrim.ops import retrain
from retrim.ops.house import House
from retrim.ops.person import ask_for_run
from retrim.ops.recover import mark_stopped
from tests.world import START, make_world, prefect_settings

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, server: str) -> House:
    """A workspace that is deployed, with no worker."""
    house = make_world(tmp_path_factory.mktemp("cancelled"), server=server).house
    with pytest.MonkeyPatch.context() as patch, temporary_settings(prefect_settings(server)):
        patch.setenv("PREFECT_API_URL", server)
        deploy(house)
    return house


@pytest.fixture
def client(house: House, server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    """Prefect, as a flow run of a deployment in that workspace sees it."""
    monkeypatch.chdir(house.workspace.root)
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "one that a worker carries out")
    with temporary_settings(prefect_settings(server)), get_client(sync_client=True) as client:
        yield client


@pytest.mark.parametrize(
    ("ended", "then"),
    [
        (Cancelled(), ("failed", "CANCELLED")),
        (Crashed(), ("crashed", "SCHEDULED")),
    ],
)
def test_what_becomes_of_a_run_that_was_stopped(
    house: House, client: SyncPrefectClient, ended: "State[object]", then: tuple[str, str]
) -> None:
    as_of = START + pd.Timedelta(len(house.store.runs(house.model)), "h")
    decision = ask_for_run(house, as_of=as_of, by="a test", reason="to be stopped", now=as_of)
    start(decision, as_of.isoformat())
    run = retrain.claim(house, decision, now=as_of)
    mark_stopped(house, run, why="it was stopped", now=as_of)
    flow_run = next(found for found in client.read_flow_runs() if found.idempotency_key == decision)
    client.set_flow_run_state(flow_run.id, ended, force=True)
    start(decision, as_of.isoformat())
    stored, shown = house.store.run(run.id), client.read_flow_run(flow_run.id).state

    assert stored is not None
    assert shown is not None
    assert (stored.state, shown.type.value) == then
