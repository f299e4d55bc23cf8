"""Batch scoring: by the clock, and right after a batch has landed or a version went live."""

import pandas as pd
from prefect import flow
from prefect.runtime import deployment

from retrim.checking import score as op
from retrim.checking.score import ScoringResult
from retrim.errors import RetrimError
from retrim.lineage.prediction_copy import copy_or_tell
from retrim.lineage.workspace import Workspace
from retrim_flows.context import open_workspace, say
from retrim_flows.reconcile import SIGNED
from retrim_flows.schedule import due_once


@flow(name="score", **SIGNED)
def score(now: str | None = None) -> ScoringResult | None:
    """Stores the champion's predictions for rows that have none yet."""
    with due_once("score", now) as at:
        return None if at is None else _score(open_workspace(), at)


def score_at_once(workspace: Workspace, at: pd.Timestamp) -> ScoringResult | None:
    """The same within another flow of the schedule. Where that fails or is killed, the clock makes up for it."""
    if deployment.id is None:
        return None
    try:
        return _score(workspace, at)
    except RetrimError as error:
        say("not scored", str(error))
        return None


def _score(workspace: Workspace, at: pd.Timestamp) -> ScoringResult:
    scored = op.score(workspace, now=at)
    if scored.written:
        say("scored", f"{scored.written} predictions of version {scored.version}")
    copied = copy_or_tell(workspace, now=at)
    if copied.failed is not None:
        say("not copied", copied.failed)
    elif copied.rows:
        say("copied", f"{copied.rows} predictions to the table")
    return scored
