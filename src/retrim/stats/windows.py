"""Cuts of an ordered table in time: judging block, folds, blocks. All half-open, `[start, end)`.

Positions are row numbers in the table's total order (event time, key). Between fit and score lies an embargo: a row may
be fitted on only when its label was due before the first scored event: the label of a row due later may overlap what is
scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.stats.codec import rows_at
from retrim.stats.plugins import SettingsSection

STOP_SPANS = 5
POSITIVES = 50
"""Rows of the rarer class that a judging block should hold."""


class SplitParams(SettingsSection):
    """Which rows evaluate and which train."""

    judge_rows: int = Field(
        default=336,
        ge=1,
        description="maximum number of holdout rows, which are the newest mature rows and are kept for the gate",
    )
    sliding_rows: int = Field(default=4000, ge=1, description="number of newest rows in the sliding training window")


@dataclass(frozen=True)
class Fold:
    """Row numbers of one origin: fitted on, and scored."""

    fit: np.ndarray
    score: np.ndarray


def part_of(view: pd.DataFrame, part: str) -> pd.DataFrame:
    """The rows of one part of a stored view: `train`, `embargo` or `judge`."""
    return rows_at(view, np.flatnonzero((view["_part"] == part).to_numpy())).reset_index(drop=True)


def past_of(event: pd.Series, due: pd.Series, start: int) -> np.ndarray:
    """Row numbers before `start` whose label was due by the event time of row `start`."""
    before = np.arange(start)
    return np.asarray(before[(due.iloc[:start] <= event.iloc[start]).to_numpy()])


def folds(event: pd.Series, due: pd.Series, *, count: int, rows: int) -> list[Fold]:
    """Folds in time order: the newest `count * rows` rows in spans of `rows`, each after its past.

    `rows` are halved until the oldest fold keeps at least half of all rows to fit on, so a short table still has folds.

    Args:
        event: Of each row, in total order.
        due: When each row's label was due.

    Raises:
        ValueError: A fold would have fewer than 2 rows to fit on or to score.
    """
    n = len(event)
    if n < 2 * count:
        raise ValueError(f"{n} rows are too few for {count} folds")
    while rows > 1 and count * rows > n / 2:
        rows //= 2
    cut = []
    for number in range(count):
        start = n - (count - number) * rows
        fit = past_of(event, due, start)
        if len(fit) < 2 or rows < 2:
            raise ValueError(f"{n} rows are too few for {count} folds")
        cut.append(Fold(fit, np.arange(start, start + rows)))
    return cut


def keep_back(past: np.ndarray, *, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers in order of time cut in two: those to fit on, and a `share` of them (at least 1 row) to stop on.

    The rows to stop on are the newest of each of `STOP_SPANS` equal spans. Were they the newest of all, a change
    shortly before them would stop every fit at once, and the recipe would be too small for what comes after it.

    Raises:
        ValueError: Fewer than 2 rows would be left to fit on.
    """
    stopping = max(int(len(past) * share), 1)
    count = min(STOP_SPANS, stopping)
    ends = [len(past) * number // count for number in range(1, count + 1)]
    sizes = np.diff([stopping * number // count for number in range(count + 1)])
    stops = np.zeros(len(past), dtype=bool)
    for end, size in zip(ends, sizes, strict=True):
        stops[end - size : end] = True
    fit = past[~stops]
    if len(fit) < 2:
        raise ValueError(
            f"only {len(fit)} of {len(past)} rows would be left to fit on, because {stopping} are used for early "
            "stopping"
        )
    return fit, past[stops]


def spans(n: int, count: int) -> Sequence[np.ndarray]:
    """`count` spans of nearly equal size over `n` row numbers, in order; empty ones are left out."""
    return [part for part in np.array_split(np.arange(n), count) if len(part)]
