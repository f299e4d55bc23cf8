"""Proxies: how well a forbidden column can be told from the features, all together and each alone."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.drift.cells import CategoryCells, NumericCells
from retrim.features.view import FeatureView
from retrim.training.groups import ProxyParams

SPANS = 10  # in time; every other one is guessed from the rest, and the other way round
FEATURE_CELLS = 10
JACKKNIFE = 20
TURNS = 39  # at least


@dataclass(frozen=True)
class Proxy:
    """A feature, or all features together, as a predictor of a forbidden column.

    Args:
        column: The forbidden column.
        feature: The feature that predicts it; None for all features together.
        auc: Area under the ROC curve on rows that were not used for the fit: 0.5 for no information, 1 for all.
        interval: Interval of the area, by a jackknife over spans of time.
        chance: Area that rotations of the column against the features exceed with probability 1 - confidence.
        p_value: Share of the rotations, including the unrotated column, whose best feature does at least as well.
    """

    column: str
    feature: str | None
    auc: float
    interval: tuple[float, float]
    chance: float
    p_value: float

    def is_found(self, confidence: float) -> bool:
        """Whether chance hardly does as well."""
        return self.p_value <= 1 - confidence + 1e-12


@dataclass(frozen=True)
class ProxiesRecord:
    """proxies.json: the number of training rows used, and how well the features predict each forbidden column."""

    rows: int
    proxies: tuple[Proxy, ...]


def proxies(
    column: str, values: pd.Series, rows: pd.DataFrame, view: FeatureView, params: ProxyParams, *, confidence: float
) -> list[Proxy]:
    """How well the features tell a forbidden column: together first, then each alone, the best first.

    What chance does is seen by turning the column against the features, by that many rows around the ring: that
    keeps the order in time of both, so columns that merely drift slowly are no proxies of one another.

    Args:
        column: Its name.
        values: The forbidden column on training rows, in time order, shape (n,).
        rows: The same rows with the features.
        view: How they become numbers.
        params: Sample, cells, seed.
        confidence: Of intervals, two-sided, and of `chance`.

    Returns:
        Empty where the column has fewer than two values, or the rows are fewer than 40.
    """
    take = np.linspace(0, len(rows) - 1, min(params.rows, len(rows))).round().astype("int64")
    rows, classes = rows.iloc[take], _classes(values.iloc[take], params.cells)
    n = len(rows)
    if n < 40 or len(set(classes.tolist())) < 2:
        return []
    spans = np.array_split(np.arange(n), SPANS)
    half = np.concatenate([np.full(len(part), place % 2) for place, part in enumerate(spans)])
    generator = np.random.default_rng(params.seed)
    shifts = generator.integers(n // 20 + 1, n - n // 20, size=turns_of(confidence))
    turns = [np.roll(classes, int(by)) for by in shifts]
    told = {name: _Alone(_feature_cells(rows[name], view, name), half) for name in view.features}
    best = np.array([max(_area(own.guess(labels), labels, half) for own in told.values()) for labels in turns])
    found = [_proxy(column, name, own, classes, half, best, confidence) for name, own in told.items()]
    whole = _Together(view.matrix(rows), half, view, params)
    by_chance = np.array([_area(whole.guess(labels), labels, half) for labels in turns])
    together = _proxy(column, None, whole, classes, half, by_chance, confidence)
    return [together, *sorted(found, key=lambda proxy: (-proxy.auc, str(proxy.feature)))]


def turns_of(confidence: float) -> int:
    """How often a column is turned to see what chance does: as often as its p-value needs to reach the confidence.

    The column as it is counts as one of the turns: 1 in 99 is more than 1%, 1 in 100 is not.
    """
    return max(TURNS, math.ceil(1 / (1 - confidence) - 1 - 1e-9))


def proxy_warnings(found: list[Proxy], params: ProxyParams, *, confidence: float) -> list[Proxy]:
    """The proxies that deserve a word: beyond chance, and as good as `params.warn_at`."""
    return [proxy for proxy in found if proxy.auc >= params.warn_at and proxy.is_found(confidence)]


def _classes(values: pd.Series, cells: int) -> np.ndarray:
    """Codes of a column: quantile cells of a number, categories of all else, the rarest taken together."""
    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values) and values.nunique() > cells:
        cut = NumericCells.cut(values, cells=cells)
        return np.asarray(pd.factorize(cut.place(values), sort=True)[0])
    text = values.astype("str").where(values.notna(), "missing")
    counts = text.value_counts()
    kept = sorted(counts.index, key=lambda name: (-int(counts[name]), str(name)))[: cells - (len(counts) > cells)]
    return np.asarray(pd.factorize(text.where(text.isin(kept), "\0rest"), sort=True)[0])


def _feature_cells(values: pd.Series, view: FeatureView, name: str) -> np.ndarray:
    if view.features[name] == "category":
        return np.asarray(CategoryCells.cut(values, levels=100, buckets=64).place(values))
    return np.asarray(NumericCells.cut(values, cells=FEATURE_CELLS).place(values))


class _Alone:
    """Guesses from the cells of one feature: the share of each class in a row's cell, as the other half has it."""

    def __init__(self, cells: np.ndarray, half: np.ndarray) -> None:
        self.cells, self.half, self.size = cells, half, int(cells.max()) + 1

    def guess(self, labels: np.ndarray) -> np.ndarray:
        """Chances of each class, shape (n, classes)."""
        classes = int(labels.max()) + 1
        guesses = np.empty((len(labels), classes))
        for part in (0, 1):
            other = self.half != part
            places = self.cells[other] * classes + labels[other]
            table = np.bincount(places, minlength=self.size * classes).reshape(self.size, classes)
            shares = table.sum(axis=0) / max(table.sum(), 1)
            smoothed = (table + shares) / (table.sum(axis=1, keepdims=True) + 1)
            guesses[~other] = smoothed[self.cells[~other]]
        return guesses


class _Together:
    """Guesses from all features, by small boosted trees; the features are cut into bins once for all turns."""

    def __init__(self, matrix: np.ndarray, half: np.ndarray, view: FeatureView, params: ProxyParams) -> None:
        import lightgbm

        self.matrix, self.half, self.params = matrix, half, params
        self.data = [
            lightgbm.Dataset(matrix[half != part], np.zeros((half != part).sum()), categorical_feature=view.categorical)
            for part in (0, 1)
        ]

    def guess(self, labels: np.ndarray) -> np.ndarray:
        """Chances of each class, shape (n, classes)."""
        import lightgbm

        classes = int(labels.max()) + 1
        kind = {"objective": "binary"} if classes == 2 else {"objective": "multiclass", "num_class": classes}
        settings = {
            **kind,
            "num_leaves": self.params.leaves,
            "min_child_samples": 10,
            "seed": self.params.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": 1,
            "verbosity": -1,
        }
        guesses = np.empty((len(labels), classes))
        for part in (0, 1):
            own = self.half == part
            data = self.data[part].set_label(labels[~own])
            booster = lightgbm.train(settings, data, num_boost_round=self.params.rounds)
            told = np.asarray(booster.predict(self.matrix[own], num_threads=1))
            guesses[own] = np.column_stack([1 - told, told]) if classes == 2 else told
        return guesses


def _area(guesses: np.ndarray, labels: np.ndarray, half: np.ndarray) -> float:
    """Area under the curve, class against the rest: mean over classes by their share, and over both halves."""
    areas, weights = [], []
    for part in (0, 1):
        inside = half == part
        for code in range(guesses.shape[1]):
            positive = labels[inside] == code
            count = int(positive.sum())
            if 0 < count < len(positive):
                areas.append(_auc(guesses[inside, code], positive))
                weights.append(count)
    return float(np.average(areas, weights=weights)) if areas else 0.5


def _auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive row is ranked above a negative one, ties half (Mann and Whitney 1947)."""
    values, places = np.unique(scores, return_inverse=True)
    ups = np.bincount(places[positive], minlength=len(values))
    downs = np.bincount(places[~positive], minlength=len(values))
    below = np.cumsum(downs) - downs
    return float((ups * (below + downs / 2)).sum() / (ups.sum() * downs.sum()))


def _proxy(
    column: str,
    feature: str | None,
    told_by: _Alone | _Together,
    labels: np.ndarray,
    half: np.ndarray,
    by_chance: np.ndarray,
    confidence: float,
) -> Proxy:
    from scipy.special import stdtrit

    guesses = told_by.guess(labels)
    area = _area(guesses, labels, half)
    left = []
    for part in np.array_split(np.arange(len(labels)), JACKKNIFE):
        kept = np.ones(len(labels), dtype=bool)
        kept[part] = False
        left.append(_area(guesses[kept], labels[kept], half[kept]))
    spread = np.array(left)
    error = float(np.sqrt((JACKKNIFE - 1) / JACKKNIFE * np.square(spread - spread.mean()).sum()))
    reach = float(stdtrit(JACKKNIFE - 1, (1 + confidence) / 2)) * error
    count = len(by_chance)
    rank = min(int(np.ceil(confidence * (count + 1))), count)
    chance = float(np.sort(by_chance)[rank - 1])
    p_value = float((1 + (by_chance >= area).sum()) / (count + 1))
    return Proxy(column, feature, area, (max(area - reach, 0.0), min(area + reach, 1.0)), chance, p_value)
