"""What the stage compare knows of groups: whole rows, thresholds, the twin without mitigation, the champion."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from retrim.core.bundle import VERDICT
from retrim.core.bundle_format import THRESHOLDS
from retrim.core.fairness.figures import Bootstrap
from retrim.core.fairness.look import BEFORE, CHALLENGER, CHAMPION, Given, Looked, look
from retrim.core.fairness.outcomes import Outcomes
from retrim.core.fairness.params import FairnessParams
from retrim.core.fairness.proxies import Proxy, proxy_from_record
from retrim.core.fairness.thresholds import Thresholds
from retrim.core.gate import Check, Judged, Scored
from retrim.core.metrics import JudgeParams, row_losses
from retrim.paths import BEFORE_FILE, Paths
from retrim.stages._formers import Competes
from retrim.stages._room import read_json


def look_by_group(
    paths: Paths, judged: Judged, winner: str, fairness: FairnessParams, judge: JudgeParams, *, seed: int
) -> Looked:
    """Fairness of the winner on the judging rows, before and after mitigation, beside the champion.

    Args:
        paths: Of the room.
        judged: The judging block with all models on it.
        winner: Name of the winning challenger.
        fairness: Groups, limits, mitigation.
        judge: Loss, draws, blocks.
        seed: Of the bootstrap.
    """
    rows, models = judged.rows, []

    def given(of: str, scored: Scored, thresholds: Thresholds | None) -> Given:
        cut: float | np.ndarray = fairness.threshold if thresholds is None else thresholds.of(rows)
        return Given(of, Outcomes.of(judged.task, scored.actual, scored.predicted, threshold=cut), scored.losses)

    if fairness.groups and len(rows):
        challenger = judged.challengers[winner]
        models.append(given(CHALLENGER, challenger, thresholds_of(paths.candidate, winner)))
        if fairness.mitigate is not None:
            models.append(given(BEFORE, _before(paths, winner, rows, challenger, loss=judge.loss), None))
        if judged.champion is not None:
            its = str(read_json(paths.champion / VERDICT)["winner"])
            models.append(given(CHAMPION, judged.champion, thresholds_of(paths.champion, its)))
    return look(models, rows, _proxies(paths), fairness, Bootstrap(judge.block_rows, judge.draws, seed))


def limits_on(
    judged: Judged, former: Competes, fairness: FairnessParams, judge: JudgeParams, *, seed: int
) -> list[Check]:
    """The checks on fairness that a former champion has to pass too before it goes live again.

    Args:
        judged: The judging block.
        former: On it.
        fairness: Groups and limits of today.
        judge: Draws, blocks.
        seed: Of the bootstrap.
    """
    if not fairness.limits() or len(judged.rows) < 2:
        return []
    scored, cuts = former.scored, former.thresholds
    cut: float | np.ndarray = fairness.threshold if cuts is None else cuts.of(judged.rows)
    outcomes = Outcomes.of(judged.task, scored.actual, scored.predicted, threshold=cut)
    given = Given(CHALLENGER, outcomes, scored.losses)
    return look([given], judged.rows, [], fairness, Bootstrap(judge.block_rows, judge.draws, seed)).checks


def thresholds_of(bundle: Path, winner: str) -> Thresholds | None:
    """The thresholds that the stage backtest found for a challenger; None where it was not asked to."""
    file = bundle / THRESHOLDS
    found: Mapping[str, dict[str, object]] = read_json(file) if file.exists() else {}
    return Thresholds.from_record(found[winner]) if winner in found else None


def _before(paths: Paths, winner: str, rows: pd.DataFrame, challenger: Scored, *, loss: str) -> Scored:
    """The twin that was fitted without weights; the winner itself where there is none."""
    file = paths.models / winner / BEFORE_FILE
    if not file.exists():
        return challenger
    stored = pd.read_parquet(file).set_index("_key").loc[rows["_key"]].to_numpy(dtype="float64")
    predicted = np.asarray(stored[:, 0] if challenger.predicted.ndim == 1 else stored)
    return replace(challenger, predicted=predicted, losses=row_losses(loss, challenger.actual, predicted))


def _proxies(paths: Paths) -> list[Proxy]:
    file = paths.features / "proxies.json"
    return [proxy_from_record(each) for each in read_json(file)["proxies"]] if file.exists() else []
