"""The scheduled check: clear what was killed, report what is overdue, look, decide, and start what was decided."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.deployments import run_deployment
from prefect.runtime import deployment as own_deployment

from flows.maintain import maintain
from flows.moment import house as open_house
from flows.moment import moment
from flows.recovery import sign_of_life
from flows.retrain import retrain
from retrim.ops.check import check


@flow(name="monitor")
def monitor(now: str | None = None) -> dict[str, Any]:
    """One check, and the retraining it decides on."""
    at = moment(now).isoformat()
    with sign_of_life(open_house()):
        maintain(at)
        checked = look(at)
        outcome = start(checked["id"], at) if checked["outcome"] == "retrain" and not _has_run(checked["id"]) else None
    return {"check": checked, "run": outcome}


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=2)
def look(now: str) -> dict[str, Any]:
    """The check itself, recorded whether or not it acts; done once for a moment."""
    checked = check(open_house(), now=moment(now))
    return {**checked.as_record(), "fresh": checked.fresh}


def _has_run(decision: str) -> bool:
    """Whether the decision was carried out; one that a kill left without its run is carried out now."""
    return open_house().store.run(f"run-{decision}") is not None


def start(decision: str, now: str) -> dict[str, Any] | None:
    """Starts the retraining of a decision: as a run of its own where this is a deployment, else here and now."""
    if own_deployment.id is None:
        return retrain(decision, now)
    deployment = f"retrain/{open_house().model}"
    run_deployment(deployment, parameters={"decision": decision, "now": now}, idempotency_key=decision, timeout=0)
    return None
