"""Selection of columns, and what columns tell: of the target, of one another, and what bins lose of that.

A filter looks at each column by itself, a wrapper and an embedded selection at fits of trees.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.core.prepare.step import ANY, NUMBERS, Frame, Learned, Past, Step, codes_of, counts_of, known, step

FINE = 64
TARGET_CELLS = 8
CELLS = 16
MOST_ROWS = 50_000
"""Rows that are looked at, at most, spread evenly over training."""
Keep = Annotated[int, Field(ge=1, le=100_000)]
Rounds = Annotated[int, Field(ge=1, le=1000)]
Leaves = Annotated[int, Field(ge=2, le=256)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]


def sample_places(rows: int) -> np.ndarray:
    """Places of at most `MOST_ROWS` of so many rows, ascending."""
    return np.linspace(0, rows - 1, min(rows, MOST_ROWS)).round().astype("int64")


def sample(past: Past) -> Past:
    """At most `MOST_ROWS` of the rows."""
    take = sample_places(past.rows)
    frame = {name: values[take] for name, values in past.frame.items()}
    return Past(frame, past.target[take], past.classes, past.event[take], past.due[take])


def cells_of(values: np.ndarray, *, most: int) -> np.ndarray:
    """The cell of each value: `most` quantile cells of numbers, or most frequent levels; the missing are one more."""
    if values.dtype == object:
        levels = list(counts_of(values))
        places = {level: min(place, most - 1) for place, level in enumerate(levels)}
        return np.array([most if value is None else places[value] for value in values], dtype="int64")
    there = known(values)
    found = np.full(len(values), most, dtype="int64")
    if there.any():
        ordered = np.sort(values[there])
        cuts = np.unique(ordered[(np.arange(1, most) * len(ordered)) // most])
        found[there] = np.searchsorted(cuts, values[there], side="right")
    return found


def target_cells(past: Past) -> np.ndarray:
    """The target in cells: its class, or one of `TARGET_CELLS` quantile cells; int64, shape (n,)."""
    return past.target.astype("int64") if past.classes else cells_of(past.target.astype("float64"), most=TARGET_CELLS)


def compute_entropy(codes: np.ndarray) -> float:
    """Entropy of the shares of each code, in nats; 0 of none."""
    from scipy.stats import entropy

    return float(entropy(np.unique(codes, return_counts=True)[1])) if len(codes) else 0.0


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
    found = float(mutual_info_score(None, None, contingency=table)) - chance / (2 * len(one))
    return max(found, 0.0)


def lost(values: np.ndarray, bins: np.ndarray, target: np.ndarray) -> dict[str, float | None]:
    """What a column loses when it is cut into bins, as shares; None where there was nothing to lose.

    Args:
        values: Numbers, shape (n,).
        bins: The bin of each, NaN for the missing, shape (n,).
        target: The target in cells, shape (n,).

    Returns:
        `entropy`: of the values themselves; `target`: of what they tell of the target, against `FINE` cells of equal
        rows cut at the bins too.
    """
    there = ~np.isnan(values)
    plain, coarse, aim = np.unique(values[there], return_inverse=True)[1], bins[there].astype("int64"), target[there]
    fine = cells_of(values[there], most=FINE) * (int(coarse.max(initial=0)) + 1) + coarse
    whole, told = compute_entropy(plain), compute_information(fine, aim)
    return {
        "entropy": 1 - compute_entropy(coarse) / whole if whole > 0 else None,
        "target": min(max(1 - compute_information(coarse, aim) / told, 0.0), 1.0) if told > 0 else None,
    }


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
    return {name: compute_information(cells_of(values, most=CELLS), aim) for name, values in some.frame.items()}


@step("select_mutual", takes=ANY, gives="same")
class SelectMutual(_Selection):
    """Keeps the columns that tell most of the target by themselves: mutual information, in cells of equal rows."""

    def learn(self, past: Past, *, keep: Keep) -> Learned:
        return _best(_telling(past), keep)


@step("select_chi2", takes=ANY, gives="same")
class SelectChi2(_Selection):
    """Keeps the columns that depend most on the target: chi-squared of the table of cells, as Cramér's V."""

    def learn(self, past: Past, *, keep: Keep) -> Learned:
        some = sample(past)
        aim = target_cells(some)
        return _best({name: cramer(cells_of(values, most=CELLS), aim)[0] for name, values in some.frame.items()}, keep)


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


@step("select_uncorrelated", takes=NUMBERS, gives="same")
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
    ranks = pd.DataFrame(dict(enumerate(columns))).rank()
    whole = ranks.fillna(ranks.mean()).corr().fillna(0.0).to_numpy(copy=True)
    np.fill_diagonal(whole, 1.0)
    return np.asarray(np.clip(whole, -1.0, 1.0))


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
