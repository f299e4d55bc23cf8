"""What is new in the numeric columns of a batch: units, signs, swaps, filled-in values, places and spreads."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from retrim.batches.concern import Concern
from retrim.batches.units import UNITS

# Columns that are mostly 0: quantiles say nothing about their unit.
MOSTLY = 0.5  # share of zeros that makes a column such
EXPECTED = 20.0  # zeros that the least share of any window promises: hardly one of them left is no chance
FEW = 0.05  # of these: hardly one
FREQUENT = 0.05  # share of a window from which a value is frequent
CHANCE = 1e-6  # that that many values lie beyond all earlier ones without a cause

GRID = np.linspace(0.05, 0.95, 19)  # symmetric, so that the other sign is the same grid backwards
LEAST_SCALE = 0.25  # of a column's spread: windows that differ by less are alike
NOTICEABLE = 0.5  # of a column's spread: what is less new than that is nobody's mistake in the unit
EXPLAINED = 0.25  # of the novelty: as much a unit may leave
ALIKE = 1.35  # how many times wider or narrower than the window it is like a column may be in its own unit
FEW_ABOVE = 0.05  # rows above 0 for each one below, where the sign was turned
STEP = 0.5  # of a column's spread: as wide as that within
NOVELTY = 2.0  # times as unusual as a column was in its most unusual earlier window: drift
FAR_SCALE = 4.0  # a spread that grew or shrank that many times at once, by no unit that is known
FAR_PLACE = 8.0  # spreads by which a column's middle moved at once
UNSURE_LEFT, UNSURE_ALIKE = 0.25, 1.12  # both tighter where growth could look like the unit
FILLED, HEAVIER = 0.12, 1.4  # share of rows that two values took over, on top of and times what any ever had
STRANGE = 0.05  # share of rows with one value that lies far outside all that was seen
OUTSIDE = 0.1  # of the range seen: as far, and a spread, beyond it is far
MANY_VALUES = 20  # distinct values from which a column is no code
JUST_BEFORE = 3  # newest windows, one of which the column is like in its own unit where growth could look like it
NEWEST_FOR_WIDTH = 8  # newest windows that say how wide a column is now


@dataclass(frozen=True)
class Nonzeros:
    """The values that are not 0 in a column that mostly is, in all earlier windows."""

    count: int
    low: float  # of sizes, where some are below 0, as is `high`
    high: float
    sizes: bool  # whether signs are left out, as there were both
    zeros: float  # the least share of zeros in any window
    frequent: frozenset[float]  # values that were frequent in any window

    @classmethod
    def of(cls, windows: list[np.ndarray]) -> "Nonzeros | None":
        """Those of a column; None where it is not mostly 0, or all 0."""
        values = np.concatenate(windows)
        rest = values[values != 0]
        if len(rest) == 0 or len(rest) > (1 - MOSTLY) * len(values):
            return None
        sizes = bool((rest < 0).any())
        rest = np.abs(rest) if sizes else rest
        zeros = min(float((window == 0).mean()) for window in windows)
        frequent: set[float] = set()
        for window in windows:
            distinct, counts = np.unique(window, return_counts=True)
            frequent.update(distinct[counts >= FREQUENT * len(window)].tolist())
        return cls(len(rest), float(rest.min()), float(rest.max()), sizes, zeros, frozenset(frequent))

    def gone(self, name: str, values: np.ndarray) -> Concern | None:
        """Hardly a 0 left, where every window had its share of them, and a value that was rare in their place."""
        share = float((values == 0).mean())
        if self.zeros * len(values) < EXPECTED or share > FEW * self.zeros:
            return None
        distinct, counts = np.unique(values, return_counts=True)
        value, taken = float(distinct[counts.argmax()]), float(counts.max() / len(values))
        if value in self.frequent or taken < max(self.zeros, FREQUENT):
            return None
        text = f"{share:.0%} of its values are 0, at least {self.zeros:.0%} before; {taken:.0%} are now {value:g}"
        return Concern("suspicious", "frequent value", name, text)

    def in_another_unit(self, name: str, values: np.ndarray) -> Concern | None:
        """Values beyond all that were not 0 before, on one side of them: in another unit, or suspicious."""
        rest = values[values != 0]
        rest = np.abs(rest) if self.sizes else rest
        below, above = rest < self.low, rest > self.high
        k, m = max(int(below.sum()), int(above.sum())), len(rest)
        # That k of m values without a cause lie all beyond n earlier ones, on a given side, has about the chance
        # (m over k) / (n + 1)^k: in logarithms, as either alone is more than a number holds.
        chance = math.lgamma(m + 1) - math.lgamma(k + 1) - math.lgamma(m - k + 1) - k * math.log(self.count + 1)
        if 2 * k < m or m == 0 or chance > math.log(CHANCE):
            return None
        was = f"{k} of {m} nonzero values lie outside the {self.count} earlier ones, {self.low:.4g} to {self.high:.4g}"
        for unit in UNITS:
            old = rest / unit.factor
            if unit.offset == 0 and self.low <= old.min() and old.max() <= self.high:
                text = f"as if in another unit ({unit.name}): {was}"
                return Concern("broken" if unit.sure else "suspicious", "unit", name, text)
        return Concern("suspicious", "unit", name, was)


@dataclass(frozen=True)
class NumericHistory:
    """A column in earlier windows; distances are in spreads, `scale`."""

    windows: np.ndarray  # quantiles on `GRID` of each, oldest first, shape (windows, 19)
    scale: float
    usual: float  # how far the newest window ever was from all before it
    low: float
    high: float
    distinct: int
    heaviest: float  # the largest share that two values together had in any window
    nonzeros: Nonzeros | None

    @classmethod
    def of(cls, windows: list[np.ndarray]) -> "NumericHistory":
        """The history of a column.

        Args:
            windows: Values of each window that has any, without the missing ones, oldest first; 2 or more.
        """
        quantiles = np.stack([np.quantile(values, GRID) for values in windows])
        pooled = np.concatenate(windows)
        low, high = np.quantile(pooled, [0.25, 0.75])
        scale = float((high - low) / 1.349) or float(pooled.std()) or float(abs(pooled[0])) or 1.0
        strays = [_apart(quantiles[end], quantiles[:end]).min() / scale for end in range(1, len(quantiles))]
        usual, heaviest = max(float(max(strays)), LEAST_SCALE), max(_share_of_two(values) for values in windows)
        extremes = float(pooled.min()), float(pooled.max())
        return cls(quantiles, scale, usual, *extremes, len(np.unique(pooled)), heaviest, Nonzeros.of(windows))

    def distance(self, quantiles: np.ndarray) -> float:
        """How far the nearest earlier window lies from these quantiles."""
        return float(_apart(quantiles, self.windows).min() / self.scale)


def numeric_concerns(values: Mapping[str, np.ndarray], histories: Mapping[str, NumericHistory]) -> list[Concern]:
    """What is new in the numeric columns of a batch.

    Args:
        values: Of each column, without the missing ones, at least 1.
    """
    columns = [NumericColumn.of(name, numbers, histories[name]) for name, numbers in values.items()]
    swapped = _swapped([column for column in columns if column.new > max(column.history.usual, NOTICEABLE)])
    concerns: list[Concern | None] = []
    for column in columns:
        name, numbers, nonzeros = column.name, column.values, column.history.nonzeros
        if name in swapped:
            text = f"looks as {swapped[name]} did before, and vice versa: the two columns are swapped"
            concerns.append(Concern("broken", "swap", name, text, swapped[name]))
            continue
        concerns += [
            column.filled(),
            column.turned()
            or (nonzeros and nonzeros.in_another_unit(name, numbers))
            or column.in_another_unit()
            or (nonzeros and nonzeros.gone(name, numbers))
            or column.jumped()
            or column.drifted(),
        ]
    return [concern for concern in concerns if concern is not None]


@dataclass(frozen=True)
class NumericColumn:
    """A column of a batch beside its history."""

    name: str
    values: np.ndarray  # without the missing ones, shape (n,), n at least 1
    history: NumericHistory
    quantiles: np.ndarray  # on `GRID`
    new: float  # its distance from the nearest earlier window

    @classmethod
    def of(cls, name: str, values: np.ndarray, history: NumericHistory) -> "NumericColumn":
        quantiles = np.quantile(values, GRID)
        return cls(name, values, history, quantiles, history.distance(quantiles))

    def filled(self) -> Concern | None:
        """One value that took over, far outside what was seen, or within."""
        history, rows = self.history, len(self.values)
        distinct, counts = np.unique(self.values, return_counts=True)
        if len(distinct) == 1:
            return None
        margin = max(history.scale, OUTSIDE * (history.high - history.low))
        beyond = (distinct < history.low - margin) | (distinct > history.high + margin)
        outside = np.flatnonzero(beyond & (counts >= STRANGE * rows))
        if len(outside):
            commonest = outside[counts[outside].argmax()]
            value = distinct[commonest]
            text = f"{counts[commonest] / rows:.0%} of the rows are {value:g}; earlier values lie between "
            text += f"{history.low:g} and {history.high:g}"
            off = max(history.low - value, value - history.high)
            # a code or a limit beside those that were seen may be new, however many rows have it
            is_far = off > history.high - history.low
            return Concern("broken" if is_far else "suspicious", "frequent value", self.name, text)
        # two, as what is filled in comes beside what was frequent before; a frequent value that moves is still one
        share, two = _share_of_two(self.values), distinct[np.sort(counts.argsort(kind="stable")[-2:])]
        if history.distinct < MANY_VALUES or share <= max(history.heaviest + FILLED, HEAVIER * history.heaviest):
            return None
        text = f"{share:.0%} of the rows are {two[0]:g} or {two[1]:g}; no two values ever had more than "
        return Concern("suspicious", "frequent value", self.name, text + f"{history.heaviest:.0%}")

    def turned(self) -> Concern | None:
        """A column that was never below 0 and is now hardly ever above it."""
        below, above = float((self.values < 0).mean()), float((self.values > 0).mean())
        if self.history.low < 0 or below <= FILLED or above > FEW_ABOVE * below:
            return None
        text = f"as if with the other sign: {below:.0%} of the rows are below 0 (none before), {above:.0%} above"
        return Concern("broken", "sign", self.name, text)

    def in_another_unit(self) -> Concern | None:
        """A column that is as it was of late, once a change of unit is undone: near a window, and as wide as that.

        Only of late: in a table that grows or has seasons, some old window is a tenth of anything.
        """
        history, quantiles = self.history, self.quantiles
        spread, spreads = _spread(quantiles), _spread(history.windows[-NEWEST_FOR_WIDTH:])
        shrunk = spread < spreads.min() / FAR_SCALE
        if self.new <= NOTICEABLE and not (shrunk and spread > 0):
            return None
        for unit in UNITS:
            old = unit.undo(quantiles)
            if history.nonzeros and not unit.offset:
                continue  # `Nonzeros.in_another_unit` looks at these
            if old[0] < unit.between[0] or old[-1] > unit.between[1]:
                continue
            windows = history.windows[-(NEWEST_FOR_WIDTH if unit.sure else JUST_BEFORE) :]
            apart = _apart(old, windows) / history.scale
            nearest = int(apart.argmin())
            wide, was, left = _spread(old), _spread(windows[nearest]), float(apart[nearest])
            most_left, times = (1.5, ALIKE) if unit.sure else (UNSURE_LEFT, UNSURE_ALIKE)
            alike = wide == was if was == 0 else 1 / times <= wide / was <= times
            # counts such as 0, 1, 2 widen by steps
            alike = alike or (unit.sure and wide > 0 and was > 0 and abs(wide - was) <= STEP * history.scale)
            if alike and left <= most_left * history.usual and (left <= EXPLAINED * self.new or shrunk):
                beyond = quantiles[-6] < history.low or quantiles[5] > history.high
                never = beyond or unit.offset != 0 or shrunk
                text = f"as if in another unit ({unit.name}): {self._middles()}"
                return Concern("broken" if unit.sure and never else "suspicious", "unit", self.name, text)
        return None

    def jumped(self) -> Concern | None:
        """A column that moved, widened or narrowed at once by more than the world does, and by no unit known."""
        history, spread = self.history, float(_spread(self.quantiles))
        least, widest = float(_spread(history.windows[-NEWEST_FOR_WIDTH:]).min()), float(_spread(history.windows).max())
        if spread > FAR_SCALE * widest > 0 or 0 < spread < least / FAR_SCALE:
            text = f"its spread is {spread:.4g}; before, it was {least:.4g} to {widest:.4g}"
            return Concern("suspicious", "spread", self.name, text)
        middle, middles = float(np.median(self.quantiles)), history.windows[:, len(GRID) // 2]
        if max(middle - middles.max(), middles.min() - middle) <= FAR_PLACE * history.scale:
            return None
        text = f"it moved by more than {FAR_PLACE:g} spreads at once: {self._middles()}"
        return Concern("suspicious", "spread", self.name, text)

    def drifted(self) -> Concern | None:
        """A column that is `NOVELTY` times as new as any window ever was."""
        if self.new <= max(NOVELTY * self.history.usual, NOTICEABLE):
            return None
        text = f"it is {self.new:.2g} spreads from the nearest earlier window, at most {self.history.usual:.2g} before"
        return Concern("drifted", "novelty", self.name, f"{text}: {self._middles()}")

    def _middles(self) -> str:
        return f"median {float(np.median(self.quantiles)):.4g}, {float(np.median(self.history.windows)):.4g} before"


def _swapped(strange: list[NumericColumn]) -> dict[str, str]:
    """Pairs of columns each of which is as the other was."""
    pairs: dict[str, str] = {}
    for one, other in combinations(strange, 2):
        if all(
            there.history.distance(here.quantiles) <= 1.5 * there.history.usual
            for here, there in ((one, other), (other, one))
        ):
            pairs |= {one.name: other.name, other.name: one.name}
    return pairs


def _share_of_two(values: np.ndarray) -> float:
    """Share of the two most frequent values together."""
    counts = np.unique(values, return_counts=True)[1]
    return float(np.sort(counts)[-2:].sum() / len(values))


def _apart(quantiles: np.ndarray, windows: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(windows - quantiles).mean(axis=1))


def _spread(quantiles: np.ndarray) -> np.ndarray:
    """From the 10% to the 90% quantile."""
    return np.asarray(quantiles[..., -2] - quantiles[..., 1])
