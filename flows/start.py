"""How a decision gets its run: as a flow run of its own where this is a deployment, else here and now."""

from contextlib import suppress
from typing import Any

import pandas as pd
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.runtime import deployment as own_deployment
from prefect.states import Scheduled

from flows.moment import house as open_house
from flows.retrain import retrain
from retrim.errors import RetrimError
from retrim.ops.recover import give_up


def start_here(decision: str, now: str) -> dict[str, Any] | None:
    """Carries out a decision in this flow run and waits for it; one that fails is recorded and told, no error."""
    with suppress(RetrimError):
        return retrain(decision, now)
    return None


def start(decision: str, now: str) -> dict[str, Any] | None:
    """Starts the retraining of a decision, or the next attempt of one that was killed; its outcome, if it ran here.

    A deployment has one flow run a decision. Prefect's idempotency key gives that one
    again for ever, also when it crashed: then the same flow run is scheduled once more.
    One that a person cancelled stays cancelled, and its run ends *failed*.
    """
    if own_deployment.id is None:
        return retrain(decision, now)
    run = run_deployment(
        f"retrain/{open_house().model}",
        parameters={"decision": decision, "now": now},
        idempotency_key=decision,
        timeout=0,
        as_subflow=False,  # it outlives this flow run
    )
    if run.state is not None and run.state.is_cancelled():
        give_up(open_house(), decision, now=pd.Timestamp(now))
    elif run.state is not None and run.state.is_final():
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run.id, Scheduled(), force=True)
    return None
