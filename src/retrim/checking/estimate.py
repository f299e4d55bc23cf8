"""The estimated loss of rows that came, and past estimates scored by the labels that have come since."""

from collections.abc import Sequence

import pandas as pd

from retrim.decision.check_record import StoredCheck
from retrim.drift.performance import (
    ChampionRows,
    Estimate,
    EstimateEvidence,
    ScoredEstimate,
    estimate_loss,
    quality,
)
from retrim.landing.as_of_view import AsOfTable
from retrim.lineage.workspace import Workspace
from retrim.stats.metrics import row_losses
from retrim.training.bundle import Predictor

SHARE_KNOWN = 0.9  # of an estimate's rows: with that many labels it is scored


def estimate_newest(
    workspace: Workspace,
    table: AsOfTable,
    predictor: Predictor,
    version: int,
    *,
    past: Sequence[StoredCheck],
    now: pd.Timestamp,
) -> EstimateEvidence:
    """Estimates the loss on rows that came since the check before, and scores what can be scored.

    The labels it learns from had come by that check, so an estimate never knows what it is about.
    """
    row = workspace.store.version(workspace.model, version)
    assert row is not None, version
    earlier = [check.earlier for check in past]
    since = max([pd.Timestamp(row.as_of), *(check.as_of for check in earlier[-1:])])
    unseen = table.only(table.times["_event"] > predictor.used_until)
    fresh = unseen.only(unseen.times["_arrived"] > since)
    known = unseen.only(unseen.times["_matured"] <= since)
    newest = None
    if len(fresh) >= workspace.params.probe.min_rows:
        newest = _estimate(workspace, predictor, known.read(), fresh.read(), since=since)
    pending = [(check.as_of, check.estimate.newest) for check in earlier if check.champion == version]
    before = [estimate for check in earlier for estimate in check.estimate.scored]
    settled = {estimate.as_of for estimate in before}
    scored = [
        _score(workspace, unseen, predictor, as_of, estimate)
        for as_of, estimate in [*pending, (now, newest)]
        if estimate is not None and as_of not in settled
    ]
    now_scored = tuple(estimate for estimate in scored if estimate is not None)
    return EstimateEvidence(newest, now_scored, quality([*before, *now_scored]))


def _estimate(
    workspace: Workspace, predictor: Predictor, known: pd.DataFrame, fresh: pd.DataFrame, *, since: pd.Timestamp
) -> Estimate | None:
    loss = workspace.params.judge.loss
    parts = [ChampionRows(predictor.view.matrix(rows), predictor.predict(rows)) for rows in (known, fresh)]
    losses = row_losses(loss, predictor.view.actual(known), parts[0].predicted)
    seed, task = workspace.params.train.seed, predictor.view.task
    return estimate_loss(parts[0], losses, parts[1], since=since, task=task, loss=loss, seed=seed)


def _score(
    workspace: Workspace, unseen: AsOfTable, predictor: Predictor, as_of: pd.Timestamp, estimate: Estimate
) -> ScoredEstimate | None:
    """An estimate beside the loss that came; None while too few of its labels have."""
    arrived = unseen.times["_arrived"]
    known = unseen.only((arrived > estimate.since) & (arrived <= as_of)).mature()
    if not len(known) or len(known) < SHARE_KNOWN * estimate.rows:
        return None
    rows = known.read()
    losses = row_losses(workspace.params.judge.loss, predictor.view.actual(rows), predictor.predict(rows))
    return ScoredEstimate(as_of, len(rows), estimate.loss, estimate.naive, float(losses.mean()))
