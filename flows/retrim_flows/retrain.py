"""The retraining: a run directory, one task a stage, the registry, the verdict; and how a decision gets its run."""

import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.runtime import deployment as own_deployment
from prefect.states import Scheduled

from retrim.adapters import dvc
from retrim.adapters.dvc_session import DvcSession
from retrim.decision.history import RunOutcome
from retrim.decision.stored_rows import RunRow
from retrim.lineage.locks import held_locks, lock_beats, using_cache
from retrim.lineage.workspace import Workspace, clock, report_progress, stage_teller
from retrim.retraining import retrain as op
from retrim.retraining.recover import give_up, limits_of
from retrim.retraining.retrain import marked, watching_trials
from retrim.retraining.retrain import publish as op_publish
from retrim.retraining.run_directory import RunDirectory, finished_run_directory, stages_of
from retrim.training.mode import Mode, StageLimits
from retrim_flows.context import moment, open_workspace, say
from retrim_flows.reconcile import SIGNED, server_is_gone
from retrim_flows.score import score_at_once


@flow(name="retrain", flow_run_name="retrain-{decision}", **SIGNED)
def retrain(decision: str, now: str | None = None, mode: Mode | None = None) -> RunOutcome:
    """Carries out a decision to retrain once."""
    workspace, at = open_workspace(), moment(now)
    outcome = carry_out(workspace, decision, mode, at)
    say("retrain", outcome.sentence)
    if outcome.state == "promoted":
        score_at_once(workspace, max(at, clock()))
    return outcome


def carry_out(workspace: Workspace, decision: str, mode: Mode | None, at: pd.Timestamp) -> RunOutcome:
    """One run, from its claim to its outcome."""
    with held_locks(workspace, f"run-{decision}") as sign, lock_beats(sign), using_cache(workspace):
        run = op.claim_run(workspace, decision, now=at, mode=mode)
        with marked(workspace, run, now=at, from_outside=server_is_gone):
            version = op.made_before(workspace, run)
            deferred = op.defer_run(workspace, run, now=at) if version is None else None
            if deferred is not None:
                return deferred
            parent = open_run(workspace, run)
            if version is None:
                version = build(workspace, run, parent, at)
            outcome = (
                op.outcome_of(workspace, decision) if version is None else conclude(workspace, run, version, parent, at)
            )
            assert outcome is not None, decision
            return outcome


def build(workspace: Workspace, run: RunRow, parent: str, now: pd.Timestamp) -> int | None:
    """Makes a version: a run directory, every stage in it, the registry; None where the DVC remote is away."""
    run_directory = finished_run_directory(workspace, run)
    if run_directory is None:
        run_directory = make_run_directory(workspace, run)
        names = dvc.stages(run_directory.folder)
        with stages_of(workspace, run_directory) as session:
            for number, stage in enumerate(names):
                limits = limits_of(workspace, stage, mode=run.mode)
                reproduce.with_options(task_run_name=stage)(
                    workspace, session, parent, stage, (number, len(names)), limits
                )
            workspace.store.add_stage_times(run, session.seconds)
        report_progress("registering the version", len(names), len(names))
    return publish(workspace, run, run_directory, parent, now)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2)
def open_run(workspace: Workspace, run: RunRow) -> str:
    """Opens the MLflow run that shows this retraining from its first trial on."""
    tags = {"retrim.decision": run.decision, "retrim.mode": run.mode}
    return workspace.registry.open_run(run.id, f"{workspace.model} as of {run.as_of[:10]}", tags)


@task(cache_policy=NO_CACHE, retries=0)
def make_run_directory(workspace: Workspace, run: RunRow) -> RunDirectory:
    """Makes a new run directory from a snapshot of the workspace."""
    return op.make_run_directory(workspace, run)


@task(cache_policy=NO_CACHE, retries=0, log_prints=True)
def reproduce(
    workspace: Workspace, dvc: DvcSession, parent: str, stage: str, step: tuple[int, int], limits: StageLimits
) -> None:
    """Runs one DVC stage. DVC alone decides whether the stage is stale, so Prefect caches nothing."""
    with watching_trials(workspace, parent, stage) as watch:
        print(dvc.reproduce(stage, watch(stage_teller(stage, *step)), limits))


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2)
def publish(
    workspace: Workspace, run: RunRow, run_directory: RunDirectory, parent: str, now: pd.Timestamp
) -> int | None:
    """Writes the version to the remote, the registry, a tag and the store. A repeated call adds nothing."""
    return op_publish(workspace, run, run_directory, parent, now=now)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2)
def conclude(workspace: Workspace, run: RunRow, version: int, parent: str, now: pd.Timestamp) -> RunOutcome:
    """Moves the alias to the version, or records why it does not move."""
    return op.conclude_run(workspace, run, version, parent, now=now)


def start(decision: str, at: pd.Timestamp, *, wait: bool = False) -> RunOutcome | None:
    """Starts the retraining of a decision, or the next attempt of one that was killed; its outcome, if it ran here.

    Where it is a flow run of its own, `wait` waits until that has ended.

    A deployment has one flow run a decision. Prefect's idempotency key gives that one
    again for ever, also when it crashed: then the same flow run is scheduled once more.
    One that a person cancelled stays cancelled, and its run ends *failed*.
    """
    if own_deployment.id is None:
        return retrain(decision, at.isoformat())
    run = _flow_run_of(decision, at, timeout=0)
    if run.state is not None and run.state.is_cancelled():
        give_up(open_workspace(), decision, now=at)
        return None
    if run.state is not None and run.state.is_final():
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run.id, Scheduled(), force=True)
    if wait:
        _flow_run_of(decision, at, timeout=None)
    return None


def _flow_run_of(decision: str, at: pd.Timestamp, *, timeout: float | None) -> FlowRun:
    """The flow run of a decision, made when first asked for; waits until it has ended, `timeout` seconds at most."""
    flow_run = run_deployment(
        f"retrain/{open_workspace().model}",
        parameters={"decision": decision, "now": at.isoformat()},
        idempotency_key=decision,
        timeout=timeout,
        as_subflow=False,  # it outlives this flow run
    )
    assert isinstance(flow_run, FlowRun)  # in a process that runs no loop
    return flow_run
