"""A retraining that a person cancels in Prefect is given up; one that was killed is scheduled once more."""

from collections.abc import Iterator

import pandas as pd
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import temporary_settings
from prefect.states import Cancelled, Crashed, State

from retrim.lineage.workspace import Workspace, ask_for_run
from retrim.retraining import retrain
from retrim.retraining.recover import mark_stopped
from retrim_flows.retrain import start
from retrim_flows.worker import deploy, schedule_of
from tests.builders.world import START, make_world, prefect_settings

pytestmark = [pytest.mark.e2e, pytest.mark.server]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, server: str) -> Workspace:
    """A workspace that is deployed, with no worker."""
    workspace = make_world(tmp_path_factory.mktemp("cancelled"), server=server).workspace
    with pytest.MonkeyPatch.context() as patch, temporary_settings(prefect_settings(server)):
        patch.setenv("PREFECT_API_URL", server)
        deploy(schedule_of(workspace))
    return workspace


@pytest.fixture
def client(workspace: Workspace, server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    """Prefect, as a flow run of a deployment in that workspace sees it."""
    monkeypatch.chdir(workspace.paths.root)
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
    workspace: Workspace, client: SyncPrefectClient, ended: "State[object]", then: tuple[str, str]
) -> None:
    as_of = START + pd.Timedelta(len(workspace.store.runs(workspace.model)), "h")
    decision = ask_for_run(workspace, as_of=as_of, by="a test", reason="to be stopped", now=as_of)
    start(decision, as_of)
    run = retrain.claim_run(workspace, decision, now=as_of)
    mark_stopped(workspace, run, why="it was stopped", now=as_of)
    flow_run = next(found for found in client.read_flow_runs() if found.idempotency_key == decision)
    client.set_flow_run_state(flow_run.id, ended, force=True)
    start(decision, as_of)
    stored, shown = workspace.store.run(run.id), client.read_flow_run(flow_run.id).state

    assert stored is not None
    assert shown is not None
    assert (stored.state, shown.type.value) == then
