"""How a decision gets its run: as a flow run of its own where this is a deployment, else here and now."""

import pandas as pd
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.runtime import deployment as own_deployment
from prefect.states import Scheduled

from retrim.decision.history import RunOutcome
from retrim.retraining.recover import give_up
from retrim_flows.moment import open_workspace
from retrim_flows.retrain import retrain


def start(decision: str, now: str, *, wait: bool = False) -> RunOutcome | None:
    """Starts the retraining of a decision, or the next attempt of one that was killed; its outcome, if it ran here.

    Where it is a flow run of its own, `wait` waits until that has ended.

    A deployment has one flow run a decision. Prefect's idempotency key gives that one
    again for ever, also when it crashed: then the same flow run is scheduled once more.
    One that a person cancelled stays cancelled, and its run ends *failed*.
    """
    if own_deployment.id is None:
        return retrain(decision, now)
    run = _flow_run_of(decision, now, timeout=0)
    if run.state is not None and run.state.is_cancelled():
        give_up(open_workspace(), decision, now=pd.Timestamp(now))
        return None
    if run.state is not None and run.state.is_final():
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(run.id, Scheduled(), force=True)
    if wait:
        _flow_run_of(decision, now, timeout=None)
    return None


def _flow_run_of(decision: str, now: str, *, timeout: float | None) -> FlowRun:
    """The flow run of a decision, made when first asked for; waits until it has ended, `timeout` seconds at most."""
    return run_deployment(
        f"retrain/{open_workspace().model}",
        parameters={"decision": decision, "now": now},
        idempotency_key=decision,
        timeout=timeout,
        as_subflow=False,  # it outlives this flow run
    )
