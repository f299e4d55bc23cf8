"""How much each feature tells of the target.

How columns hang together: Spearman between numbers, Cramér between categories, correlation ratio between both.

Rows that come more than once: whole, with another label, or but for one column.

Multicollinearity: how far each number can be told from the others by a sum, and how near they are to being one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.drift.cells import as_floats
from retrim.table.data import ColumnType

CELLS, LEVELS = 10, 30


def target_cells(values: pd.Series, *, task: str) -> np.ndarray:
    """The cell of each target: a tenth of a regression's rows, or a class; none is missing, none infinite."""
    if task == "regression":
        return number_cells(as_floats(values), CELLS)
    return np.asarray(pd.factorize(values)[0])


def number_cells(numbers: np.ndarray, cells: int) -> np.ndarray:
    """The quantile cell of each number; a missing one has the cell after."""
    known = numbers[~np.isnan(numbers)]
    ordered = np.sort(known)
    if not len(ordered):
        return np.ones(len(numbers), dtype="int64")
    at = np.maximum(np.ceil(np.arange(1, cells) * len(ordered) / cells).astype("int64") - 1, 0)
    cuts = np.unique(ordered[at])
    cuts = cuts[cuts < ordered[-1]]
    return np.where(np.isnan(numbers), len(cuts) + 1, np.searchsorted(cuts, numbers, side="left"))


def category_cells(values: pd.Series, most: int) -> np.ndarray:
    """The place of each category among the commonest; then the others as one; then the missing."""
    codes, texts = pd.factorize(values)
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    order = sorted(range(len(texts)), key=lambda code: (-counts[code], str(texts[code])))
    place = np.full(len(texts) + 1, min(len(order), most))
    for number, code in enumerate(order[:most]):
        place[code] = number
    place[-1] = min(len(order), most) + 1  # code -1
    return place[codes]


def share_explained(values: pd.Series, kind: ColumnType, target: np.ndarray) -> float:
    """Share of the target's uncertainty that a feature explains, 0 to 1.

    Args:
        values: The feature in the labelled rows of a sample, shape (n,).
        target: Cell of the target in the same rows, shape (n,).

    Source:
        Theil (1970), Amer. J. Sociol. 76(1), 103-154, from mutual information less what chance makes of it,
        (r - 1)(c - 1) / 2n nats (Miller 1955, Information Theory in Psychology, 95-100). Of a regression both are cut
        into tenths, so it counts how well the tenth is told.
    """
    cells = category_cells(values, LEVELS) if kind == "category" else number_cells(as_floats(values), CELLS)
    return uncertainty(cells, target)


def uncertainty(told: np.ndarray, target: np.ndarray) -> float:
    """Share of the target's entropy that the other takes away, less what chance makes of it; 0 to 1."""
    if not len(told):
        return 0.0
    width = int(target.max()) + 1
    table = np.bincount(told * width + target, minlength=(int(told.max()) + 1) * width).reshape(-1, width)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if 1 in table.shape:
        return 0.0
    share = table / table.sum()
    entropy = _nats(share.sum(axis=0))
    shared = _nats(share.sum(axis=1)) + entropy - _nats(share)
    by_chance = (table.shape[0] - 1) * (table.shape[1] - 1) / (2 * len(told))
    return float(np.clip((shared - by_chance) / entropy, 0.0, 1.0)) if entropy > 0 else 0.0


def _nats(share: np.ndarray) -> float:
    known = share[share > 0]
    return float(-(known * np.log(known)).sum())


MOST_LEVELS = 30
STRONG = 0.95
"""Strength from which two columns say nearly the same."""


@dataclass(frozen=True)
class Related:
    """Association between all pairs of columns.

    Args:
        names: Names of the columns.
        strength: -1 to 1 between numbers, 0 to 1 otherwise, shape (columns, columns); 0 where nothing is known.
    """

    names: tuple[str, ...]
    strength: np.ndarray

    def strong(self) -> list[tuple[str, str, float]]:
        """Pairs that say nearly the same, strongest first."""
        upper = np.triu(np.abs(self.strength), 1)
        found = [(int(row), int(column)) for row, column in np.argwhere(upper >= STRONG)]
        found.sort(key=lambda place: (-upper[place], place))
        return [(self.names[row], self.names[column], float(self.strength[row, column])) for row, column in found]


def related(sample: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> Related:
    """Strengths of all pairs of the columns named.

    Ranks of missing numbers are the middle one; missing is a category of its own. The correlation ratio is that of
    the ranks, so that one far value does not make it.

    Source:
        Spearman (1904), Amer. J. Psychol. 15(1), 72-101; Cramér's V less what chance makes of it: Bergsma (2013),
        J. Korean Stat. Soc. 42(3), 323-328; correlation ratio: Fisher (1925), Statistical Methods, section 45.
    """
    names = tuple(kinds)
    numeric = [place for place, name in enumerate(names) if kinds[name] != "category"]
    grouped = [place for place, name in enumerate(names) if kinds[name] == "category"]
    strength = np.eye(len(names))
    if len(sample) < 2:
        return Related(names, strength)
    ranks = {place: _ranks(as_floats(sample[names[place]])) for place in numeric}
    cells = {place: category_cells(sample[names[place]], MOST_LEVELS) for place in grouped}
    if numeric:
        scaled = np.column_stack([ranks[place] for place in numeric])
        strength[np.ix_(numeric, numeric)] = scaled.T @ scaled / len(sample)
    for number, place in enumerate(grouped):
        for other in grouped[:number]:
            strength[place, other] = strength[other, place] = _cramer(cells[place], cells[other])
        for other in numeric:
            strength[place, other] = strength[other, place] = _ratio(cells[place], ranks[other])
    np.fill_diagonal(strength, 1.0)
    return Related(names, np.clip(strength, -1.0, 1.0))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks of mean 0 and variance 1, the missing in the middle; all 0 of a constant column."""
    from scipy.stats import rankdata

    known = ~np.isnan(values)
    ranks = np.zeros(len(values))
    if known.any():
        own = rankdata(values[known])
        ranks[known] = own - own.mean()
    spread = float(ranks.std())
    return ranks / spread if spread > 0 else ranks


def _cramer(one: np.ndarray, other: np.ndarray) -> float:
    width = int(other.max()) + 1
    table = np.bincount(one * width + other, minlength=(int(one.max()) + 1) * width).reshape(-1, width)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if 1 in table.shape:
        return 0.0
    rows, (r, c) = len(one), table.shape
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / rows
    phi = max(float(((table - expected) ** 2 / expected).sum()) / rows - (r - 1) * (c - 1) / (rows - 1), 0.0)
    least = min(r - (r - 1) ** 2 / (rows - 1), c - (c - 1) ** 2 / (rows - 1)) - 1
    return float(np.sqrt(min(phi / least, 1.0))) if least > 0 else 0.0


def _ratio(cells: np.ndarray, scaled: np.ndarray) -> float:
    """The root of the share of variance between groups, less what chance makes of it."""
    rows = np.bincount(cells)
    there = rows > 0
    groups = int(there.sum())
    if groups < 2 or len(scaled) <= groups or not scaled.any():
        return 0.0
    means = np.bincount(cells, weights=scaled)[there] / rows[there]
    between = float((rows[there] * means**2).sum()) / len(scaled)
    adjusted = 1 - (1 - between) * (len(scaled) - 1) / (len(scaled) - groups)
    return float(np.sqrt(np.clip(adjusted, 0.0, 1.0)))


@dataclass(frozen=True)
class Duplicates:
    """Duplicate rows, ignoring event time and key.

    Args:
        rows: Rows with the same features and target as an earlier row.
        conflicting: Rows with the same features as another row and a different target.
    """

    rows: int
    conflicting: int


class Hashes:
    """The features of each row in one number, added to a column at a time."""

    def __init__(self, rows: int) -> None:
        self._whole = np.zeros(rows, dtype="uint64")

    def add(self, name: str, values: pd.Series) -> None:
        """Takes a feature in."""
        self._whole += hash_column(name, values)

    def doubles(self, target: pd.Series) -> Duplicates:
        """What comes more than once.

        Args:
            target: Of each row; rows without one conflict with none.
        """
        labelled = target.notna().to_numpy()
        answers = hash_column("", target)
        rows = pd.DataFrame({"features": self._whole, "target": answers})
        known = rows[labelled]
        conflicting = known.groupby("features")["target"].transform("nunique") > 1
        return Duplicates(rows=int(rows.duplicated().sum()), conflicting=int(conflicting.sum()))


def hash_column(name: str, values: pd.Series) -> np.ndarray:
    """A number for each cell, another in another column; missing cells of a column are alike."""
    from zlib import crc32

    hashed = pd.util.hash_pandas_object(values.reset_index(drop=True), index=False).to_numpy()
    salt = np.uint64(crc32(name.encode()) * 2 + 1)
    mixed = (hashed ^ salt) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))


CONSTANT = 1e-12
"""Standard deviation, in units of the largest number, up to which a column is constant: it is rounding."""
EXACT = 1e-9
"""Share of the variance of all columns, of a direction that is taken for none."""


@dataclass(frozen=True)
class Collinear:
    """How numbers hang together linearly.

    Args:
        inflation: Variance inflation factor of each column, 1 or more; infinite where the others give it exactly.
            From 5 or 10 on it is usually called high. Constant columns are left out.
    """

    inflation: dict[str, float]


def collinear(columns: Mapping[str, np.ndarray]) -> Collinear | None:
    """How these numbers hang together; None of fewer than 2 that vary, or no more rows than columns.

    Args:
        columns: Numbers by name, shape (n,) each; a missing one is taken for the median.

    Source:
        Belsley, Kuh and Welsch (1980), Regression Diagnostics, chapter 3.
    """
    names, standard = [], []
    for name, values in columns.items():
        if np.isnan(values).all():
            continue
        filled = np.where(np.isnan(values), np.nanmedian(values), values)
        scaled = filled / (np.abs(filled).max() or 1.0)
        if scaled.std() > CONSTANT:
            names.append(name)
            standard.append((scaled - scaled.mean()) / scaled.std())
    if len(names) < 2 or len(standard[0]) <= len(names):
        return None
    matrix = np.column_stack(standard)
    values, axes = np.linalg.eigh(matrix.T @ matrix / len(matrix))
    values = np.maximum(values, 0.0)
    none = values <= EXACT * values.sum()
    inflation = {}
    for place, name in enumerate(names):
        shares = axes[place] ** 2
        exact = bool((shares[none] > 1e-6).any())
        inflation[name] = float("inf") if exact else max(float((shares[~none] / values[~none]).sum()), 1.0)
    return Collinear(inflation)
