"""Our own steps for numbers: outliers held at a fence, and one column of each cluster of correlated ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.features.step import (
    NUMBERS,
    Frame,
    Nothing,
    PreprocessingStep,
    StepState,
    TrainingRows,
    counts_of,
    known,
    same,
    step,
)

TARGET_CELLS = 8
CELLS = 16
MOST_ROWS = 50_000
"""Rows that are looked at, at most, spread evenly over training."""
By = Literal["zscore", "iqr"]
Reach = Annotated[float, Field(gt=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]
Ends = tuple[float, float]


def sample_places(rows: int) -> np.ndarray:
    """Places of at most `MOST_ROWS` of that many rows, ascending."""
    return np.linspace(0, rows - 1, min(rows, MOST_ROWS)).round().astype("int64")


def sample(past: TrainingRows) -> TrainingRows:
    """At most `MOST_ROWS` of the rows."""
    take = sample_places(past.rows)
    frame = {name: values[take] for name, values in past.frame.items()}
    return TrainingRows(frame, past.target[take], past.classes, past.event[take], past.due[take])


def cells_of(values: np.ndarray, *, most: int) -> np.ndarray:
    """The cell of each value: `most` quantile cells of numbers, or most frequent levels; the missing are one more."""
    if values.dtype == object:
        levels = list(counts_of(values))
        places = {level: min(cell, most - 1) for cell, level in enumerate(levels)}
        return np.array([most if value is None else places[value] for value in values], dtype="int64")
    there = known(values)
    cells = np.full(len(values), most, dtype="int64")
    if there.any():
        ordered = np.sort(values[there])
        cuts = np.unique(ordered[(np.arange(1, most) * len(ordered)) // most])
        cells[there] = np.searchsorted(cuts, values[there], side="right")
    return cells


def target_cells(past: TrainingRows) -> np.ndarray:
    """The target in cells: its class, or one of `TARGET_CELLS` quantile cells; int64, shape (n,)."""
    return past.target.astype("int64") if past.classes else cells_of(past.target.astype("float64"), most=TARGET_CELLS)


def compute_information(one: np.ndarray, other: np.ndarray) -> float:
    """Information in nats of two columns of codes about one another, less what chance gives on so few rows; 0 or more.

    Source:
        Miller (1955), Note on the bias of information estimates: (cells - 1) / 2n of each entropy.
    """
    from sklearn.metrics import mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    if not len(one):
        return 0.0
    table = contingency_matrix(one, other, sparse=True)
    chance = int(table.nnz) + 1 - int(table.shape[0]) - int(table.shape[1])
    information = float(mutual_info_score(None, None, contingency=table)) - chance / (2 * len(one))
    return max(information, 0.0)


def cramer(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Bias-corrected Cramér's V of two columns of codes, 0 to 1, and the chance of as much where they are unrelated.

    Source:
        Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, J. Korean Stat. Soc. 42, 323-328.
    """
    from scipy.stats import chi2_contingency
    from sklearn.metrics.cluster import contingency_matrix

    n = len(one)
    if n < 2:
        return 0.0, 1.0
    table = contingency_matrix(one, other)
    rows, columns = table.shape
    tested = chi2_contingency(table, correction=False)
    square = max(tested.statistic / n - (rows - 1) * (columns - 1) / (n - 1), 0.0)
    most = min(size - (size - 1) ** 2 / (n - 1) for size in table.shape) - 1
    return (min(float(np.sqrt(square / most)), 1.0) if most > 0 else 0.0), float(tested.pvalue)


def _telling(past: TrainingRows) -> dict[str, float]:
    """Information of each column about the target, in nats."""
    some = sample(past)
    aim = target_cells(some)
    return {name: compute_information(cells_of(values, most=CELLS), aim) for name, values in some.frame.items()}


@step("select_uncorrelated", takes=NUMBERS, gives="same")
class SelectUncorrelated(PreprocessingStep[Nothing]):
    """Keeps one column of each cluster of rank-correlated numbers: the most informative about the target.

    Clusters are cut where the least correlation within them would fall to `at_most` (complete linkage).
    """

    learned = Nothing

    def learn(self, past: TrainingRows, *, at_most: Annotated[float, Field(gt=0, lt=1)]) -> StepState[Nothing]:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        scores, names = _telling(past), list(past.frame)
        if len(names) < 2 or past.rows < 2:
            return _kept(scores, set(names))
        away = 1 - np.abs(rank_correlations(list(sample(past).frame.values())))
        groups = fcluster(linkage(squareform(away, checks=False), "complete"), 1 - at_most, "distance")
        best_of_group: dict[int, str] = {}
        for name, group in zip(names, groups.tolist(), strict=True):
            if group not in best_of_group or scores[name] > scores[best_of_group[group]]:
                best_of_group[group] = name
        return _kept(scores, set(best_of_group.values()))

    def apply(self, frame: Frame, state: Nothing) -> Frame:
        return {}


def _kept(scores: Mapping[str, float], chosen: set[str]) -> StepState[Nothing]:
    shown = {name: float(f"{score:.9g}") for name, score in scores.items()}
    notes = {"scores": shown, "kept": [name for name in scores if name in chosen]}
    return StepState(Nothing(), (), drops=tuple(name for name in scores if name not in chosen), said=notes)


def rank_correlations(columns: list[np.ndarray]) -> np.ndarray:
    """Spearman's, of numbers, shape (columns, columns), 1 along the diagonal; a missing number has the middle rank."""
    ranks = pd.DataFrame(dict(enumerate(columns))).rank()
    whole = ranks.fillna(ranks.mean()).corr().fillna(0.0).to_numpy(copy=True)
    np.fill_diagonal(whole, 1.0)
    return np.asarray(np.clip(whole, -1.0, 1.0))


@dataclass(frozen=True)
class Fences:
    """The least and the largest number of each column that is no outlier; None where every number stays."""

    fences: dict[str, Ends | None]


def compute_fences(values: np.ndarray, *, by: By, reach: float) -> Ends | None:
    """The least and the largest number that is no outlier; None if the known numbers do not spread.

    Source:
        Tukey (1977), Exploratory Data Analysis: reach 1.5 is his inner fence, 3 the outer.
    """
    values = values[known(values)]
    if not len(values):
        return None
    if by == "zscore":
        low, high, unit = values.mean(), values.mean(), values.std()
    else:
        low, high = np.quantile(values, [0.25, 0.75])
        unit = high - low
    low, high = low - reach * unit, high + reach * unit
    return (float(low), float(high)) if low < high else None


@step("clip", takes=NUMBERS, gives="same")
class Clip(PreprocessingStep[Fences]):
    """Holds a number beyond a fence at the fence, unless more than `at_most` of the column lies beyond: a long tail."""

    learned = Fences

    def learn(self, past: TrainingRows, *, by: By, reach: Reach, at_most: Share) -> StepState[Fences]:
        fences: dict[str, Ends | None] = {}
        notes: dict[str, Any] = {}
        for name, values in past.frame.items():
            ends = compute_fences(values, by=by, reach=reach)
            rows = 0 if ends is None else int(((values < ends[0]) | (values > ends[1])).sum())
            tail = rows > at_most * max(int(known(values).sum()), 1)
            notes[name] = {"fences": ends and [*ends], "beyond": rows, "kept as a tail": tail}
            fences[name] = None if tail else ends
        return StepState(Fences(fences), same(past, "number"), said=notes)

    def apply(self, frame: Frame, state: Fences) -> Frame:
        ends = state.fences
        return {
            name: values if (fence := ends[name]) is None else np.clip(values, *fence) for name, values in frame.items()
        }
