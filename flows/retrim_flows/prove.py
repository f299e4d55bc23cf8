"""The scheduled proof: a version that chance picks is rebuilt from nothing, after everything else."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State

from retrim.errors import BusyError
from retrim.retraining.reproduce import prove_scheduled
from retrim.stats.codec import to_record
from retrim_flows.context import moment, open_workspace, say
from retrim_flows.reconcile import SIGNED
from retrim_flows.schedule import due_once

TRIES, PAUSE_SECONDS = 24, 300


def _was_busy(task: object, run: object, state: State[Any]) -> bool:
    """Whether a retraining was going on: a proof waits for it, two hours at most."""
    try:
        state.result()
    except BusyError:
        return True
    except Exception:  # noqa: BLE001  whatever else it is, another try ends alike
        return False
    return False


@flow(name="prove", **SIGNED)
def prove(now: str | None = None) -> dict[str, Any] | None:
    """Makes one proof per scheduled time, however often it is started; returns None if there is nothing to do."""
    with due_once("prove", now) as at:
        proof = None if at is None else prove_one(at.isoformat())
        if proof is not None:
            verdict = "identical" if proof["identical"] else "not identical: " + proof["differences"][0]
            say("proved", f"version {proof['version']}: {verdict}")
        return proof


@task(
    cache_policy=NO_CACHE,
    retries=TRIES,
    retry_delay_seconds=PAUSE_SECONDS,
    retry_condition_fn=_was_busy,
    log_prints=True,
)
def prove_one(now: str) -> dict[str, Any] | None:
    """Makes the proof; what DVC prints goes to the log."""
    proof = prove_scheduled(open_workspace(), now=moment(now), say=print)
    return None if proof is None else to_record(proof)
