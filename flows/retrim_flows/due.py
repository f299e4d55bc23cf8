"""Which due times a run of a scheduled flow is about: all that were missed count, whoever planned this run.

Prefect plans only some runs ahead and starts late ones in any order. So a run asks our store
which due times have passed and were not done. A check is made for each of them, in
order, as of its moment. Every other flow is run once for all of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
from prefect.runtime import deployment

from retrim.checking.mode import is_due_time, mark_due_time, missed_times
from retrim.landing.ingest import clock
from retrim_flows.moment import moment, open_workspace


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
    if is_due_time(workspace, name, at):  # else a person has started it
        due = missed_times(workspace, name, until=max(at, clock()))
        at = due[-1] if due else None
    yield at
    if at is not None:
        mark_due_time(workspace, name, at)


def _is_scheduled(now: str | None) -> bool:
    return now is None and deployment.id is not None
