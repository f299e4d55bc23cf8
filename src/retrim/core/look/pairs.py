"""Each feature against the target: what the target is where the feature lies, and how much that tells."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.drift.cells import as_floats
from retrim.core.table import ColumnType

CELLS, LEVELS = 10, 30
SHOWN = 12


@dataclass(frozen=True)
class Pair:
    """A feature against the target.

    Args:
        name: The feature.
        tells: Share of the target's uncertainty that it takes away, 0 to 1.
        labels: What each cell of the feature is called; the last may be `missing`.
        rows: Rows of each cell, shape (cells,).
        middle: Mean of the target in each, or share of the class asked for, shape (cells,).
        spread: Standard deviation of the target in each; of a share, of its estimate; shape (cells,).
    """

    name: str
    tells: float
    labels: tuple[str, ...]
    rows: np.ndarray
    middle: np.ndarray
    spread: np.ndarray

    def as_record(self) -> dict[str, Any]:
        return {"name": self.name, "tells": round(self.tells, 6)}


@dataclass(frozen=True)
class Goal:
    """The target of a sample.

    Args:
        numbers: As numbers: itself, or 1 where it is the class asked for; shape (n,).
        cells: Its cell, shape (n,): a tenth of a regression's rows, or a class.
        classes: Whether it is classes.
        asked: The class whose share is shown; empty of a regression.
    """

    numbers: np.ndarray
    cells: np.ndarray
    classes: bool
    asked: str


def goal_of(values: pd.Series, *, task: str, positive: str | None) -> Goal:
    """The target as pairs take it; no cell is missing, none infinite."""
    if task == "regression":
        numbers = as_floats(values)
        return Goal(numbers, number_cells(numbers, CELLS)[0], classes=False, asked="")
    codes, texts = pd.factorize(values, sort=True)
    counts = np.bincount(codes, minlength=len(texts))
    asked = positive if positive is not None else str(texts[int(counts.argmax())]) if len(texts) else ""
    return Goal((values.astype("str") == asked).to_numpy(dtype="float64"), codes, classes=True, asked=asked)


def number_cells(numbers: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The quantile cell of each number and the upper ends of all but the last; a missing one has the cell after."""
    known = numbers[~np.isnan(numbers)]
    ordered = np.sort(known)
    if not len(ordered):
        return np.ones(len(numbers), dtype="int64"), np.zeros(0)
    at = np.maximum(np.ceil(np.arange(1, cells) * len(ordered) / cells).astype("int64") - 1, 0)
    cuts = np.unique(ordered[at])
    cuts = cuts[cuts < ordered[-1]]
    found = np.searchsorted(cuts, numbers, side="left")
    return np.where(np.isnan(numbers), len(cuts) + 1, found), cuts


def category_cells(values: pd.Series, most: int) -> tuple[np.ndarray, list[str]]:
    """The place of each category among the commonest; then the others as one; then the missing."""
    codes, texts = pd.factorize(values)
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    order = sorted(range(len(texts)), key=lambda code: (-counts[code], str(texts[code])))
    place = np.full(len(texts) + 1, min(len(order), most))
    for number, code in enumerate(order[:most]):
        place[code] = number
    place[-1] = min(len(order), most) + 1  # code -1
    return place[codes], [str(texts[code]) for code in order[:most]]


def pair_of(name: str, values: pd.Series, kind: ColumnType, goal: Goal) -> Pair:
    """A feature against the target.

    Args:
        name: The feature.
        values: Of the labelled rows of a sample, shape (n,).
        kind: Its type.
        goal: The target of the same rows.

    Source:
        Share of uncertainty: Theil (1970), Amer. J. Sociol. 76(1), 103-154, from mutual information less what chance
        makes of it, (r - 1)(c - 1) / 2n nats (Miller 1955, Information Theory in Psychology, 95-100). Of a regression
        both are cut into tenths, so it counts how well the tenth is told.
    """
    if kind == "category":
        cells, labels = category_cells(values, LEVELS)
        labels = [*labels, "others", "missing"]
    else:
        cells, cuts = number_cells(as_floats(values), CELLS)
        labels = [*(f"≤ {cut:.4g}" for cut in cuts), f"> {cuts[-1]:.4g}" if len(cuts) else "all", "missing"]
    width = len(labels)
    rows = np.bincount(cells, minlength=width)
    with np.errstate(all="ignore"):
        middle = np.bincount(cells, weights=goal.numbers, minlength=width) / rows
        away = (goal.numbers - middle[cells]) ** 2
        spread = np.sqrt(np.bincount(cells, weights=away, minlength=width) / rows)
        if goal.classes:
            spread = spread / np.sqrt(rows)
    there = np.flatnonzero(rows)
    kept = there if len(there) <= SHOWN else np.append(there[: SHOWN - 1], there[-1])
    return Pair(
        name,
        uncertainty(cells, goal.cells),
        tuple(labels[cell] for cell in kept),
        rows[kept],
        middle[kept],
        spread[kept],
    )


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
