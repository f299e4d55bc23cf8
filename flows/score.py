"""Batch scoring on a schedule."""

from typing import Any

from prefect import flow

from flows.moment import house as open_house
from flows.moment import moment
from flows.recovery import SIGNED
from retrim.ops import score as op


@flow(name="score", **SIGNED)
def score(now: str | None = None) -> dict[str, Any]:
    """The champion's predictions for rows that have none yet."""
    return op.score(open_house(), now=moment(now)).as_record()
