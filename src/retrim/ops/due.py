"""Due times of scheduled flows: which passed and were not done, as our store knows, whatever Prefect has planned."""

import logging
from collections import deque

import pandas as pd

from retrim.adapters.store import iso
from retrim.core.timetable import due_between
from retrim.ops.house import House

LOGGER = logging.getLogger("retrim.schedule")
MOST = 1000
"""Missed times that are made up for, the newest: a schedule that rested for years must not take as long again."""


def begin_due_times(house: House, flow: str, *, now: pd.Timestamp) -> None:
    """Notes when the schedule of a flow first ran: what was due before then was not missed."""
    if house.store.done_until(house.model, flow) is None:
        house.store.mark_done(house.model, flow, until=iso(now))


def missed_times(house: House, flow: str, *, until: pd.Timestamp) -> list[pd.Timestamp]:
    """The due times of a flow up to a moment that are not done, oldest first."""
    done = house.store.done_until(house.model, flow)
    if done is None:
        return []
    every = getattr(house.params.schedule, flow)
    newest = deque(maxlen=MOST + 1)  # type: deque[pd.Timestamp]
    newest.extend(due_between(every, pd.Timestamp(done), until))
    if len(newest) > MOST:
        LOGGER.warning("%s: more than %d due times were missed; those before %s are left out", flow, MOST, newest[1])
        newest.popleft()
    return list(newest)


def is_due_time(house: House, flow: str, at: pd.Timestamp) -> bool:
    """Whether the timetable of a flow names this moment, to the second."""
    return at in due_between(getattr(house.params.schedule, flow), at - pd.Timedelta("1s"), at)


def mark_due_time(house: House, flow: str, at: pd.Timestamp) -> None:
    """Notes that all due times of a flow up to a moment are done."""
    house.store.mark_done(house.model, flow, until=iso(at))
