"""Batch scoring on a schedule."""

from typing import Any

from prefect import flow

from flows.moment import house as open_house
from flows.moment import moment
from flows.recovery import sign_of_life
from retrim.ops import score as op


@flow(name="score")
def score(now: str | None = None) -> dict[str, Any]:
    """The champion's predictions for rows that have none yet."""
    house = open_house()
    with sign_of_life(house):
        return op.score(house, now=moment(now)).as_record()
