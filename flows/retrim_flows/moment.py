"""The moment a flow run is about: passed in, else when it was scheduled, so that a late start changes no answer.

All due times that were missed count, whoever planned this run. Prefect plans only some runs ahead and starts late ones
in any order. So a run asks our store which due times have passed and were not done. A check is made for each of them,
in order, as of its moment. Every other flow is run once for all of them.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from prefect.runtime import deployment, flow_run

from retrim.checking.due import is_due_time, mark_due_time, missed_times
from retrim.files import login
from retrim.lineage import workspace as workspaces
from retrim.lineage.workspace import Workspace, clock

SCHEDULE = "schedule"
OFFSET_VARIABLE = "RETRIM_START_OFFSET"
"""Seconds after its due time at which Prefect begins a run, where many schedules share a worker."""


def moment(now: str | None) -> pd.Timestamp:
    """`now` in UTC, to the second; by default the due time of this flow run, which begins an offset after it."""
    if now is None:
        offset = pd.Timedelta(int(os.environ.get(OFFSET_VARIABLE) or 0), "s")
        return pd.Timestamp(flow_run.scheduled_start_time).tz_convert("UTC").floor("s") - offset
    given = pd.Timestamp(now)
    return given.tz_localize("UTC") if given.tzinfo is None else given.tz_convert("UTC")


def actor() -> str:
    """Who has this flow run made: the schedule, or else the person whose command it is."""
    return SCHEDULE if deployment.id is not None else login()


def open_workspace() -> Workspace:
    """The workspace of the working folder, which a deployment sets to its workspace."""
    return workspaces.open_workspace(Path.cwd())


def due_each(name: str, now: str | None) -> Iterator[pd.Timestamp]:
    """Every moment that is due, oldest first, the last of them this run's own; each is done when the next is asked."""
    at = moment(now)
    if not _is_scheduled(now):
        yield at
        return
    workspace = open_workspace()
    for due in [*(due for due in missed_times(workspace, name, until=at) if due < at), at]:
        yield due
        mark_due_time(workspace, name, due)


@contextmanager
def due_once(name: str, now: str | None) -> Iterator[pd.Timestamp | None]:
    """The newest moment that is due, for all before it too; None where it is done already. It is done at the end."""
    at: pd.Timestamp | None = moment(now)
    assert at is not None
    if not _is_scheduled(now):
        yield at
        return
    workspace = open_workspace()
    begun = workspace.store.done_until(workspace.model, name) is not None  # else this is the first of all
    if begun and is_due_time(workspace, name, at):  # else a person has started it
        due = missed_times(workspace, name, until=max(at, clock()))
        at = due[-1] if due else None
    yield at
    if at is not None:
        mark_due_time(workspace, name, at)


def _is_scheduled(now: str | None) -> bool:
    return now is None and deployment.id is not None
