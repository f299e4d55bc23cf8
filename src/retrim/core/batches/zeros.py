"""Columns that are mostly 0, as rain an hour is: their unit shows in the few values that are not."""

import math
from dataclasses import dataclass

import numpy as np

from retrim.core.batches.concern import Concern, Gravity
from retrim.core.batches.units import UNITS

MOSTLY = 0.5  # share of zeros from which quantiles say nothing about a unit
EXPECTED = 20.0  # zeros that the least share of any window promises: hardly one of them left is no chance
FEW = 0.05  # of these: hardly one
FREQUENT = 0.05  # share of a window from which a value is frequent
CHANCE = 1e-6  # that so many values lie beyond all earlier ones without a cause


@dataclass(frozen=True)
class NotZero:
    """The values of a column, in all earlier windows, that are not 0.

    Args:
        count: How many.
        low: The least; of sizes, where some are below 0.
        high: The largest, likewise.
        sizes: Whether signs are left out, as there were both.
        zeros: The least share of zeros in any window.
        frequent: Values that were frequent in any window.
    """

    count: int
    low: float
    high: float
    sizes: bool
    zeros: float
    frequent: frozenset[float]

    def of(self, values: np.ndarray) -> np.ndarray:
        """What is not 0 among these values, as it is looked at."""
        rest = values[values != 0]
        return np.asarray(np.abs(rest) if self.sizes else rest)


def not_zero(windows: list[np.ndarray]) -> NotZero | None:
    """What is not 0 in a column that mostly is; None for any other, and where nothing is."""
    values = np.concatenate(windows)
    rest = values[values != 0]
    if len(rest) == 0 or len(rest) > (1 - MOSTLY) * len(values):
        return None
    sizes = bool((rest < 0).any())
    rest = np.abs(rest) if sizes else rest
    zeros = min(float((window == 0).mean()) for window in windows)
    frequent: set[float] = set()
    for window in windows:
        found, counts = np.unique(window, return_counts=True)
        frequent.update(found[counts >= FREQUENT * len(window)].tolist())
    return NotZero(len(rest), float(rest.min()), float(rest.max()), sizes, zeros, frozenset(frequent))


def gone_concern(name: str, values: np.ndarray, known: NotZero) -> Concern | None:
    """Hardly a 0 left, where every window had its share of them, and a value that was rare in their place."""
    share = float((values == 0).mean())
    if known.zeros * len(values) < EXPECTED or share > FEW * known.zeros:
        return None
    found, counts = np.unique(values, return_counts=True)
    value, taken = float(found[counts.argmax()]), float(counts.max() / len(values))
    if value in known.frequent or taken < max(known.zeros, FREQUENT):
        return None
    text = f"{share:.0%} of its values are 0, at least {known.zeros:.0%} before; {taken:.0%} are {value:g} now"
    return Concern("suspicious", "frequent value", name, text)


def unit_concern(name: str, values: np.ndarray, known: NotZero) -> Concern | None:
    """Values beyond all that were not 0 before, on one side of them: in another unit, or suspicious.

    That k of m values without a cause lie all beyond n earlier ones, on a given side, has about the chance
    (m over k) / (n + 1)^k.

    Args:
        name: Of the column.
        values: Of the batch, without the missing ones.
        known: What was not 0 before.
    """
    rest = known.of(values)
    beyond = rest < known.low if (rest < known.low).sum() > (rest > known.high).sum() else rest > known.high
    k, m = int(beyond.sum()), len(rest)
    if 2 * k < m or m == 0 or _chance(k, m, known.count) > math.log(CHANCE):
        return None
    was = f"{k} of {m} values that are not 0 lie beyond all {known.count} before, {known.low:.4g} to {known.high:.4g}"
    for unit in UNITS:
        old = rest / unit.factor
        if unit.offset == 0 and known.low <= old.min() and old.max() <= known.high:
            verdict: Gravity = "broken" if unit.sure else "suspicious"
            return Concern(verdict, "unit", name, f"as if in another unit, {unit.name}: {was}")
    return Concern("suspicious", "unit", name, was)


def _chance(k: int, m: int, n: int) -> float:
    """Logarithm of (m over k) / (n + 1)^k: either alone is more than a number holds."""
    return math.lgamma(m + 1) - math.lgamma(k + 1) - math.lgamma(m - k + 1) - k * math.log(n + 1)
