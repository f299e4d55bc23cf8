"""Due times of scheduled flows: which passed and were not done, as our store knows, whatever Prefect has planned."""

import logging
from collections import deque
from collections.abc import Iterable

import pandas as pd

from retrim.adapters.database import iso
from retrim.lineage.workspace import Workspace
from retrim.stats.timetable import due_between

LOGGER = logging.getLogger("retrim.schedule")

MOST = 1000
"""Missed times that are made up for, the newest: a schedule that rested for years must not take as long again."""


def begin_due_times(workspace: Workspace, flow: str, *, now: pd.Timestamp) -> None:
    """Notes when the schedule of a flow first ran: what was due before then was not missed."""
    if workspace.store.done_until(workspace.model, flow) is None:
        workspace.store.mark_done(workspace.model, flow, until=iso(now))


def missed_times(workspace: Workspace, flow: str, *, until: pd.Timestamp) -> list[pd.Timestamp]:
    """The due times of a flow up to a moment that are not done, oldest first."""
    done = workspace.store.done_until(workspace.model, flow)
    if done is None:
        return []
    newest = deque(maxlen=MOST + 1)  # type: deque[pd.Timestamp]
    newest.extend(_due(workspace, flow, pd.Timestamp(done), until))
    if len(newest) > MOST:
        LOGGER.warning("%s: more than %d due times were missed; those before %s are left out", flow, MOST, newest[1])
        newest.popleft()
    return list(newest)


def is_due_time(workspace: Workspace, flow: str, at: pd.Timestamp) -> bool:
    """Whether the timetable of a flow names this moment, to the second."""
    return at in _due(workspace, flow, at - pd.Timedelta("1s"), at)


def _due(workspace: Workspace, flow: str, after: pd.Timestamp, until: pd.Timestamp) -> Iterable[pd.Timestamp]:
    """The due times of a flow in `(after, until]`; none of one that is switched off."""
    every: str | None = getattr(workspace.params.schedule, flow)
    return () if every is None else due_between(every, after, until)


def mark_due_time(workspace: Workspace, flow: str, at: pd.Timestamp) -> None:
    """Notes that all due times of a flow up to a moment are done."""
    workspace.store.mark_done(workspace.model, flow, until=iso(at))
