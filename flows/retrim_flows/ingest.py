"""Landing what has come: one file, or all that lie in the inbox."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from prefect import flow

from retrim.landing.inbox import take_from_inbox
from retrim.landing.ingest import Landed
from retrim.landing.take_in import large_file, take_in
from retrim.lineage.workspace import Workspace, clock
from retrim_flows.context import open_workspace, say_landed
from retrim_flows.reconcile import SIGNED
from retrim_flows.schedule import due_once
from retrim_flows.score import score_at_once


@flow(name="ingest", **SIGNED)
def ingest(file: str | None = None, now: str | None = None) -> list[Landed]:
    """Lands every file in the inbox, and `file` if it is set.

    The arrival time is `now`, or the current time if `now` is not set: a run that starts late may find rows that are
    newer than its scheduled start.
    """
    workspace = open_workspace()
    with due_once("ingest", now) as at:
        if at is None:
            return []
        arrives = None if now is None else at
        landed: list[Landed] = []
        try:
            for outcome in _taken(workspace, file, arrives):
                say_landed(outcome)
                landed.append(outcome)
        finally:  # a file that stays in the inbox is told last, and keeps no row that landed from its prediction
            if any(outcome.outcome == "landed" and outcome.kind == "rows" for outcome in landed):
                score_at_once(workspace, max(at, clock()))
    return landed


def _taken(workspace: Workspace, file: str | None, arrives: pd.Timestamp | None) -> Iterator[Landed]:
    if file is not None:
        path = Path(file)
        large = large_file(workspace, path)
        yield from take_in(workspace, path, now=arrives, labels=False, correction=False, large=large)
    yield from take_from_inbox(workspace, now=arrives)
