"""Dead flow runs are forced to Crashed: this workspace's, and no others'."""

from pathlib import Path
from uuid import UUID

import pandas as pd
import pytest
from prefect import flow, task
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun, State
from prefect.states import Completed, Crashed, Running

from retrim.environment import Env
from retrim.files import WorkspacePaths
from retrim.lineage.locks import held_locks, take_lock, was_taken
from retrim.lineage.workspace import Workspace
from retrim.settings import load_params
from retrim_flows import reconcile
from retrim_flows.reconcile import mark_dead_flow_runs, workspace_tag

pytestmark = [pytest.mark.e2e(minutes=2), pytest.mark.server]
PARAMS = Path(__file__).resolve().parents[2] / "params.yaml"


@flow(name="an example")
def example() -> None:
    """Never called: its runs are made by hand."""


@task
def work() -> None:
    """Never called, too."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(WorkspacePaths(tmp_path), load_params(PARAMS), Env())


def begun(client: SyncPrefectClient, *tags: str, state: "State | None" = None) -> FlowRun:
    """A flow run that nobody carries out."""
    return client.create_flow_run(example, state=state or Running(), tags=list(tags))


def state_of(client: SyncPrefectClient, run: UUID) -> str:
    found = client.read_flow_run(run).state
    assert found is not None
    return found.name


def leave_sign(workspace: Workspace, run: FlowRun) -> None:
    """The sign of a process that was killed."""
    take_lock(workspace, f"flow-{run.id}").close()


def test_a_flow_run_whose_process_is_dead_is_crashed(client: SyncPrefectClient, workspace: Workspace) -> None:
    run = begun(client)
    leave_sign(workspace, run)
    marked = mark_dead_flow_runs(workspace)

    assert (marked, state_of(client, run.id)) == (1, "Crashed")
    assert not was_taken(workspace, f"flow-{run.id}")


def test_a_flow_run_whose_process_lives_goes_on(client: SyncPrefectClient, workspace: Workspace) -> None:
    run = begun(client)
    with held_locks(workspace, f"flow-{run.id}"):
        marked = mark_dead_flow_runs(workspace)

    assert (marked, state_of(client, run.id)) == (0, "Running")


def test_a_workspace_whose_signs_cannot_be_read_keeps_no_other_from_being_seen_to(
    client: SyncPrefectClient, workspace: Workspace, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(reconcile, "GRACE", pd.Timedelta(0))
    broken = Workspace(WorkspacePaths(workspace.paths.root / "broken"), workspace.params, workspace.env)
    (broken.paths.runs / "flow-a.lock").mkdir(parents=True)
    runs = [begun(client), begun(client, workspace_tag(workspace))]
    leave_sign(workspace, runs[0])

    marked = mark_dead_flow_runs(broken, workspace)

    assert (marked, [state_of(client, run.id) for run in runs]) == (2, ["Crashed"] * 2)
    assert [str(broken.paths.root) in text for text in caplog.messages] == [True]


def test_flow_runs_of_another_workspace_are_left_alone(
    client: SyncPrefectClient, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile, "GRACE", pd.Timedelta(0))
    other = Workspace(WorkspacePaths(workspace.paths.root / "other"), workspace.params, workspace.env)
    runs = [begun(client), begun(client, workspace_tag(other)), begun(client)]
    leave_sign(other, runs[-1])
    marked = mark_dead_flow_runs(workspace)

    assert marked == 0
    assert [state_of(client, run.id) for run in runs] == ["Running"] * 3


def test_a_flow_run_that_died_before_its_sign_is_crashed_after_a_while(
    client: SyncPrefectClient, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = begun(client, workspace_tag(workspace))
    early = mark_dead_flow_runs(workspace)
    monkeypatch.setattr(reconcile, "GRACE", pd.Timedelta(0))
    late = mark_dead_flow_runs(workspace)

    assert (early, late, state_of(client, run.id)) == (0, 1, "Crashed")


def test_a_task_that_the_server_recorded_after_the_crash_of_its_run_is_crashed(
    client: SyncPrefectClient, workspace: Workspace
) -> None:
    run = begun(client, workspace_tag(workspace), state=Crashed())
    late = client.create_task_run(work, run.id, dynamic_key="0", state=Running())
    other = client.create_task_run(work, begun(client, state=Crashed()).id, dynamic_key="0", state=Running())

    mark_dead_flow_runs(workspace)

    found = [client.read_task_run(task.id).state for task in (late, other)]
    assert [state.name for state in found if state is not None] == ["Crashed", "Running"]


def test_the_sign_of_a_flow_run_that_ended_is_cleared_and_its_state_kept(
    client: SyncPrefectClient, workspace: Workspace
) -> None:
    run = begun(client, state=Completed())
    leave_sign(workspace, run)
    marked = mark_dead_flow_runs(workspace)

    assert (marked, state_of(client, run.id)) == (0, "Completed")
    assert not was_taken(workspace, f"flow-{run.id}")


def test_a_sign_that_this_server_knows_nothing_of_is_kept_for_the_one_that_does(
    client: SyncPrefectClient, workspace: Workspace
) -> None:
    name = "flow-00000000-0000-0000-0000-000000000000"
    take_lock(workspace, name).close()
    marked = mark_dead_flow_runs(workspace)

    assert marked == 0
    assert was_taken(workspace, name)
