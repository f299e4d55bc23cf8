"""Values of params.yaml that depend on how many rows come, and how."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.init.rhythm import Rhythm, Season, span_text
from retrim.core.init.task import Aim

LEAST_ROWS = 120
"""Rows below which no judging block, no folds and no training rows can be cut that would say anything."""
POSITIVES = 50
"""Rows of the rarer class that a judging block should hold."""
BLOCKS = 8
"""Blocks that a judging block should hold, so that the gate's bound means something."""

SEARCHED = 16
"""A search scores one row in so many a fold, at least: about a tenth of the history that version 1 is made from.

A batch alone is too few on a long table: rounds and learning rate are then chosen by its noise.
"""


@dataclass(frozen=True)
class Choice:
    """A value for params.yaml, and the reason that stands beside it; empty: what stands there is right."""

    value: Any
    why: str


Choices = Mapping[tuple[str, ...], Choice]


def judging_rows(n: int, rhythm: Rhythm, aim: Aim) -> int:
    """Rows to keep back for the gate: a usual batch or two, enough of the rarer class, and an eighth of all at most."""
    wanted = max(200, rhythm.batch_rows if rhythm.batch_rows >= 150 else 2 * rhythm.batch_rows)
    if aim.task == "binary" and aim.rarest:
        wanted = max(wanted, int(POSITIVES / aim.rarest))
    return int(np.clip(wanted, 24, max(n // 8, 24)))


def floors_of(aim: Aim, season: Season | None) -> list[str]:
    """Naive baselines that the gate asks a model to beat."""
    floors = ["last_value"] if aim.task == "regression" else []
    return [*floors, "seasonal_mean" if season is not None else "mean"]


def sizes(
    n: int, rhythm: Rhythm, aim: Aim, *, judge_rows: int, block_rows: int, season: Season | None, features: int
) -> Choices:
    """Every value that depends on the number of rows, by its place in params.yaml.

    Args:
        n: Labelled rows.
        rhythm: How they follow one another.
        aim: What is predicted.
        judge_rows: Rows kept back for the gate.
        block_rows: For how many rows errors stay alike.
        season: Of the target, if it has one.
        features: How many there are.
    """
    usual = max(rhythm.batch_rows, 2)
    rounds = 800 if aim.task == "regression" else 400 if aim.task == "binary" else 150
    leaves = (7, 31) if n < 2000 else (15, 127)
    leaf = int(np.clip(n // 100, 20, 200))
    floors = floors_of(aim, season)
    chosen: dict[tuple[str, ...], Choice] = {
        ("split", "judge_rows"): Choice(judge_rows, f"of {n} rows; a usual batch has {usual}"),
        ("split", "sliding_rows"): Choice(max(n // 4, 4 * judge_rows), f"a quarter of {n}"),
        ("judge", "loss"): Choice(aim.loss, ""),
        ("judge", "metrics"): Choice(list(aim.metrics), ""),
        ("judge", "block_rows"): Choice(
            block_rows, "the autocorrelation of a first model's errors falls below 0.2 there"
        ),
        ("tune", "fold_rows"): Choice(
            max(judge_rows, n // SEARCHED), f"a {SEARCHED}th of {n}, and as many as judge at least"
        ),
        ("tune", "max_rounds"): Choice(rounds, ""),
        ("tune", "space", "num_leaves"): Choice({"low": leaves[0], "high": leaves[1], "log": True}, ""),
        ("tune", "space", "min_child_samples"): Choice({"low": 5, "high": leaf, "log": True}, ""),
        ("tune", "space", "feature_fraction"): Choice({"low": 0.5 if features < 40 else 0.3, "high": 1.0}, ""),
        ("backtest", "origin_rows"): Choice(judge_rows, ""),
        ("gate", "min_rows"): Choice(max(judge_rows // 2, 2), "half of those that judge"),
        ("gate", "floor"): Choice(floors, ""),
        ("probe", "min_rows"): Choice(max(usual // 4, 12), "a quarter of a usual batch"),
        ("account", "usual_rows"): Choice(usual, f"a batch of {rhythm.batch_every}"),
        ("drift", "min_rows"): Choice(int(np.clip(usual // 2, 20, 100)), ""),
    }
    if season is not None:
        chosen[("gate", "season")] = Choice(season.span, f"it explains {season.gain:.0%} of the variance ahead")
        chosen[("gate", "season_cells")] = Choice(season.cells, "")
    return chosen


def horizon_of(rhythm: Rhythm) -> tuple[str, str]:
    """A label's horizon where no label time is known, and why: a step of the rhythm, or a day."""
    if rhythm.regular and rhythm.step <= pd.Timedelta("1D"):
        return span_text(
            rhythm.step
        ), "one step of the table: the answer is taken to be known when the next row is (--horizon says otherwise)"
    return "1D", "assumed: nothing in the table says when the answer is known (--horizon says otherwise)"
