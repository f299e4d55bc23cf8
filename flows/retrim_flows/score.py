"""Batch scoring on a schedule."""

from prefect import flow

from retrim.checking import score as op
from retrim.checking.score import ScoringResult
from retrim_flows.lines import say
from retrim_flows.moment import due_once, open_workspace
from retrim_flows.recovery import SIGNED


@flow(name="score", **SIGNED)
def score(now: str | None = None) -> ScoringResult | None:
    """The champion's predictions for rows that have none yet."""
    with due_once("score", now) as at:
        if at is None:
            return None
        scored = op.score(open_workspace(), now=at)
        if scored.written:
            say("scored", f"{scored.written} predictions of version {scored.version}")
        return scored
