"""Selection: which columns a model is given. A filter looks at each, a wrapper and an embedded one at fits of trees."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from retrim.core.prepare.information import cells_of, mutual, target_cells
from retrim.core.prepare.step import ANY, Frame, Learned, Past, Step, codes_of, counts_of, step

CELLS = 16
MOST_ROWS = 50_000
"""Rows that are looked at, at most, spread evenly over training."""
Keep = Annotated[int, Field(ge=1, le=100_000)]
Rounds = Annotated[int, Field(ge=1, le=1000)]
Leaves = Annotated[int, Field(ge=2, le=256)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def sample(past: Past) -> Past:
    """At most `MOST_ROWS` of the rows."""
    if past.rows <= MOST_ROWS:
        return past
    take = np.linspace(0, past.rows - 1, MOST_ROWS).round().astype("int64")
    frame = {name: values[take] for name, values in past.frame.items()}
    return Past(frame, past.target[take], past.classes, past.event[take], past.due[take])


class _Selection(Step):
    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {}


def _best(scores: Mapping[str, float], keep: int) -> Learned:
    """Keeps the columns of the highest scores, those alike in their order."""
    kept = sorted(scores, key=lambda name: -scores[name])[:keep]
    return _kept(scores, set(kept))


def _kept(scores: Mapping[str, float], kept: set[str]) -> Learned:
    shown = {name: float(f"{score:.9g}") for name, score in scores.items()}
    said = {"scores": shown, "kept": [name for name in scores if name in kept]}
    return Learned({}, {}, drops=tuple(name for name in scores if name not in kept), said=said)


def _telling(past: Past) -> dict[str, float]:
    """Information of each column about the target, in nats."""
    some = sample(past)
    aim = target_cells(some)
    return {name: mutual(cells_of(values, most=CELLS), aim, corrected=True) for name, values in some.frame.items()}


@step("select_mutual", takes=ANY, gives="same")
class SelectMutual(_Selection):
    """Keeps the columns that tell most of the target by themselves: mutual information, in cells of equal rows."""

    def learn(self, past: Past, *, keep: Keep) -> Learned:
        return _best(_telling(past), keep)


@step("select_chi2", takes=ANY, gives="same")
class SelectChi2(_Selection):
    """Keeps the columns that depend most on the target: chi-squared of the table of cells, as Cramér's V corrected.

    Source:
        Bergsma (2013), A bias-correction for Cramér's V and Tschuprow's T, J. Korean Stat. Soc. 42, 323-328.
    """

    def learn(self, past: Past, *, keep: Keep) -> Learned:
        some = sample(past)
        aim = target_cells(some)
        return _best({name: cramer(cells_of(values, most=CELLS), aim) for name, values in some.frame.items()}, keep)


def cramer(one: np.ndarray, other: np.ndarray) -> float:
    """Bias-corrected Cramér's V of two columns of codes, 0 to 1."""
    n = len(one)
    if n < 2:
        return 0.0
    first, second = (np.unique(each, return_inverse=True)[1] for each in (one, other))
    rows, columns = int(first.max()) + 1, int(second.max()) + 1
    if min(rows, columns) < 2:
        return 0.0
    table = np.bincount(first * columns + second, minlength=rows * columns).reshape(rows, columns)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / n
    square = float(((table - expected) ** 2 / expected).sum()) / n
    square = max(square - (rows - 1) * (columns - 1) / (n - 1), 0.0)
    rows_left, columns_left = (each - (each - 1) ** 2 / (n - 1) for each in (rows, columns))
    most = min(rows_left, columns_left) - 1
    return min(float(np.sqrt(square / most)), 1.0) if most > 0 else 0.0


@step("select_uncorrelated", takes=("number",), gives="same")
class SelectUncorrelated(_Selection):
    """Of numbers that go together, keeps the one that tells most of the target: clusters of rank correlation.

    Clusters are cut where the least correlation within them would fall to `at_most` (complete linkage).
    """

    def learn(self, past: Past, *, at_most: Annotated[float, Field(gt=0, lt=1)]) -> Learned:
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        scores, names = _telling(past), list(past.frame)
        if len(names) < 2 or past.rows < 2:
            return _kept(scores, set(names))
        away = 1 - np.abs(rank_correlations(list(sample(past).frame.values())))
        groups = fcluster(linkage(squareform(away, checks=False), "complete"), 1 - at_most, "distance")
        kept: dict[int, str] = {}
        for name, group in zip(names, groups.tolist(), strict=True):
            if group not in kept or scores[name] > scores[kept[group]]:
                kept[group] = name
        return _kept(scores, set(kept.values()))


def rank_correlations(columns: list[np.ndarray]) -> np.ndarray:
    """Spearman's, of numbers, shape (columns, columns), 1 along the diagonal; a missing number has the middle rank."""
    ranks = []
    for values in columns:
        there, found = ~np.isnan(values), np.zeros(len(values))
        if there.any():
            ordered, place, counts = np.unique(values[there], return_inverse=True, return_counts=True)
            middle = np.cumsum(counts) - (counts - 1) / 2
            found[there] = middle[place] - (there.sum() + 1) / 2
            assert len(ordered) == len(counts)
        length = float(np.sqrt((found**2).sum()))
        ranks.append(found / length if length > 0 else found)
    stacked = np.column_stack(ranks)
    whole = np.clip(stacked.T @ stacked, -1.0, 1.0)
    np.fill_diagonal(whole, 1.0)
    return np.asarray(whole)


def _matrix(past: Past) -> tuple[np.ndarray, list[int]]:
    """Numbers as they are, categories by how frequent they are; and the places of these."""
    columns, places = [], []
    for place, values in enumerate(past.frame.values()):
        if values.dtype == object:
            codes = codes_of(values, list(counts_of(values))).astype("float64")
            columns.append(np.where(codes < 0, np.nan, codes))
            places.append(place)
        else:
            columns.append(values)
    return np.column_stack(columns), places


def gains(past: Past, columns: list[int], *, rounds: int, leaves: int, seed: int) -> np.ndarray:
    """What each of the columns gains in the splits of boosted trees, shape (columns,)."""
    import lightgbm

    matrix, categorical = _matrix(past)
    aim = past.target.astype("float64")
    kinds = len(past.classes)
    objective: dict[str, Any] = {"objective": "l2"} if not kinds else {"objective": "binary"}
    if kinds > 2:
        objective = {"objective": "multiclass", "num_class": kinds}
    parameters = {
        **objective, "num_leaves": leaves, "learning_rate": 0.1, "min_child_samples": 20, "seed": seed,
        "deterministic": True, "force_row_wise": True, "num_threads": 1, "verbosity": -1, "bagging_freq": 0,
    }  # fmt: skip
    at = {place: own for own, place in enumerate(columns)}
    data = lightgbm.Dataset(
        matrix[:, columns],
        np.clip(aim, -1e37, 1e37),
        feature_name=[f"c{place}" for place in columns],
        categorical_feature=[at[place] for place in categorical if place in at],
    )
    booster = lightgbm.train(parameters, data, num_boost_round=rounds)
    return np.asarray(booster.feature_importance(importance_type="gain"), dtype="float64")


@step("select_gain", takes=ANY, gives="same")
class SelectGain(_Selection):
    """Keeps the columns whose splits gain most in boosted trees (embedded)."""

    def learn(self, past: Past, *, keep: Keep, rounds: Rounds, leaves: Leaves, seed: Seed) -> Learned:
        some = sample(past)
        if not _tellable(some):
            return _best(dict.fromkeys(past.frame, 0.0), keep)
        found = gains(some, list(range(len(past.frame))), rounds=rounds, leaves=leaves, seed=seed)
        return _best(dict(zip(past.frame, found.tolist(), strict=True)), keep)


@step("select_rfe", takes=ANY, gives="same")
class SelectRfe(_Selection):
    """Fits boosted trees, drops the quarter of the columns that gains least, and fits again, until so many are left.

    Source:
        Guyon, Weston, Barnhill and Vapnik (2002), Machine Learning 46, 389-422: recursive feature elimination
        (wrapper), by gains in place of weights.
    """

    def learn(self, past: Past, *, keep: Keep, rounds: Rounds, leaves: Leaves, seed: Seed) -> Learned:
        some, names = sample(past), list(past.frame)
        if not _tellable(some):
            return _best(dict.fromkeys(names, 0.0), keep)
        left, scores = list(range(len(names))), dict.fromkeys(names, 0.0)
        step_number = 0
        while True:
            found = dict(zip(left, gains(some, left, rounds=rounds, leaves=leaves, seed=seed).tolist(), strict=True))
            step_number += 1
            if len(left) <= keep:
                break
            dropped = sorted(left, key=lambda place: (found[place], -place))[
                : min(max(len(left) // 4, 1), len(left) - keep)
            ]
            scores |= {names[place]: float(step_number) for place in dropped}
            left = [place for place in left if place not in dropped]
        # A score is the round in which a column was dropped; those that stay have the last.
        scores |= {names[place]: float(step_number) for place in left}
        return _kept(scores, {names[place] for place in left})


def _tellable(past: Past) -> bool:
    return past.rows >= 2 and len(past.frame) > 0 and len(np.unique(past.target)) > 1
