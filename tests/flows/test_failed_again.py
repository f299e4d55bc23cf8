"""A flow that fails again after it ended well is told again."""

from pathlib import Path

import pandas as pd
import pytest
from prefect import flow
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed, Failed, Running

from retrim.decision.alerts import AlertKind
from retrim.environment import Env
from retrim.files import WorkspacePaths
from retrim.lineage import workspace as workspaces
from retrim.lineage.workspace import Workspace
from retrim.settings import load_params
from retrim_flows import context

pytestmark = pytest.mark.server
PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


@flow(name="check")
def check() -> None:
    """Never called: its runs are made by hand."""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    made = Workspace(WorkspacePaths(tmp_path), load_params(PARAMS), Env())
    monkeypatch.setattr(context, "_workspace_of", lambda run: made)
    return made


def ended(client: SyncPrefectClient, state: State) -> FlowRun:
    """A flow run of the same deployment, ended so."""
    deployment = client.create_deployment(client.create_flow(check), name="retrim-failed-again")
    run = client.create_flow_run_from_deployment(deployment, state=Running())
    client.set_flow_run_state(run.id, state, force=True)
    return client.read_flow_run(run.id)


def failed(client: SyncPrefectClient, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, *, hours: int) -> bool:
    """A run fails so many hours from now; whether it is told."""
    before = [row.queued for row in told(workspace)]
    at = pd.Timestamp.now("UTC") + pd.Timedelta(hours, "h")
    monkeypatch.setattr(workspaces, "clock", lambda: at)
    state = Failed(message="the disk is full")
    context.say_failed(check, ended(client, state), state)
    return [row.queued for row in told(workspace)] != before


def told(workspace: Workspace) -> list[workspaces.AlertRow]:
    rows = workspace.store.alerts(workspace.model)
    return [row for row in rows if row.kind == AlertKind.FLOW_FAILED and row.queued is not None]


def test_it_is_told_again_once_it_had_ended_well_between(
    client: SyncPrefectClient, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = failed(client, workspace, monkeypatch, hours=-5)
    lasting = failed(client, workspace, monkeypatch, hours=-4)
    ended(client, Completed())
    again = failed(client, workspace, monkeypatch, hours=1)

    assert (first, lasting, again) == (True, False, True)
