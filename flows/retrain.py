"""The retraining: a run room, one task a stage, the registry, the verdict."""

from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.lines import say
from flows.moment import house as open_house
from flows.moment import moment
from flows.recovery import SIGNED, server_is_gone
from retrim.adapters import pipeline
from retrim.adapters.dvc_session import DvcSession
from retrim.adapters.store import Row
from retrim.core.limits import StageLimits
from retrim.core.modes import Mode
from retrim.ops import retrain as op
from retrim.ops.cache_lock import using_cache
from retrim.ops.house import House
from retrim.ops.hung import limits_of
from retrim.ops.progress import stage_teller
from retrim.ops.publish import publish as op_publish
from retrim.ops.refit_after import refit_waiting
from retrim.ops.rooms import Room, stages_of
from retrim.ops.signs import beating, held
from retrim.ops.unpushed import finished_room
from retrim.ops.watch import marked, watching_trials


@flow(name="retrain", flow_run_name="retrain-{decision}", **SIGNED)
def retrain(decision: str, now: str | None = None, mode: Mode | None = None) -> dict[str, Any]:
    """Carries out a decision to retrain, and what follows from it by the settings; one decision is carried out once."""
    house, at = open_house(), moment(now)
    outcome = carry_out(house, decision, mode, at)
    sequel = refit_waiting(house) if outcome["state"] == "promoted" else None
    if sequel is not None:
        outcome["refit"] = carry_out(house, sequel, None, at)
    say("retrain", _in_words(outcome))
    return outcome


def _in_words(outcome: dict[str, Any]) -> str:
    version = "" if outcome["version"] is None else f"version {outcome['version']} "
    return f"{version}{outcome['state']}: {outcome['reason']}"


def carry_out(house: House, decision: str, mode: Mode | None, at: pd.Timestamp) -> dict[str, Any]:
    """One run, from its claim to its outcome."""
    with held(house, f"run-{decision}") as sign, beating(sign), using_cache(house):
        run = op.claim(house, decision, now=at, mode=mode)
        with marked(house, run, now=at, from_outside=server_is_gone):
            version = op.made_before(house, run)
            deferred = op.defer(house, run, now=at) if version is None else None
            if deferred is not None:
                return deferred.as_record()
            parent = open_run(house, run)
            if version is None:
                version = build(house, run, parent, at)
            outcome = op.outcome_of(house, decision) if version is None else conclude(house, run, version, parent, at)
            assert outcome is not None, decision
            return outcome.as_record()


def build(house: House, run: Row, parent: str, now: pd.Timestamp) -> int | None:
    """Makes a version: a room, every stage in it, the registry; None where the DVC remote is away."""
    room = finished_room(house, run)
    if room is None:
        room = make_room(house, run)
        names = pipeline.stages(room.folder)
        with stages_of(house, room) as dvc:
            for place, stage in enumerate(names):
                limits = limits_of(house, stage, mode=run.mode)
                reproduce.with_options(task_run_name=stage)(house, dvc, parent, stage, (place, len(names)), limits)
            house.store.add_stage_times(run, dvc.seconds)
    return publish(house, run, room, parent, now)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2)
def open_run(house: House, run: Row) -> str:
    """The MLflow run that shows this retraining; watched from its first trial on."""
    tags = {"retrim.decision": run.decision, "retrim.mode": run.mode}
    return house.registry.open_run(run.id, f"{house.model} as of {run.as_of[:10]}", tags)


@task(cache_policy=NO_CACHE, retries=0)
def make_room(house: House, run: Row) -> Room:
    """A new run room, from a snapshot of the workspace."""
    return op.make_room(house, run)


@task(cache_policy=NO_CACHE, retries=0, log_prints=True)
def reproduce(
    house: House, dvc: DvcSession, parent: str, stage: str, step: tuple[int, int], limits: StageLimits
) -> None:
    """One DVC stage. DVC alone decides whether it is stale, so Prefect keeps no cache of its own."""
    with watching_trials(house, parent, stage) as watch:
        print(dvc.reproduce(stage, watch(stage_teller(stage, *step)), limits))


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2)
def publish(house: House, run: Row, room: Room, parent: str, now: pd.Timestamp) -> int | None:
    """Remote, registry, tag and version row; run twice, it adds nothing."""
    return op_publish(house, run, room, parent, now=now)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2)
def conclude(house: House, run: Row, version: int, parent: str, now: pd.Timestamp) -> op.Outcome:
    """The alias moves, or it does not and the reason is kept."""
    return op.conclude(house, run, version, parent, now=now)
