"""What is new in the numeric columns of a batch: units, signs, swaps, filled-in values, places and spreads."""

import math
from dataclasses import dataclass
from functools import cached_property
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
class NumericColumn:
    """A column of a batch beside its past; distances are in spreads, `scale`."""

    name: str
    values: np.ndarray  # without the missing ones, shape (n,), n at least 1
    past: list[np.ndarray]  # likewise in each earlier window that has any, oldest first; 2 or more

    @cached_property
    def quantiles(self) -> np.ndarray:
        return np.asarray(np.quantile(self.values, GRID))

    @cached_property
    def windows(self) -> np.ndarray:
        """Quantiles on `GRID` of each earlier window, shape (windows, 19)."""
        return np.stack([np.quantile(values, GRID) for values in self.past])

    @cached_property
    def pooled(self) -> np.ndarray:
        return np.concatenate(self.past)

    @cached_property
    def scale(self) -> float:
        low, high = np.quantile(self.pooled, [0.25, 0.75])
        return float((high - low) / 1.349) or float(self.pooled.std()) or float(abs(self.pooled[0])) or 1.0

    @cached_property
    def usual(self) -> float:
        """How far the newest window ever was from all before it."""
        strays = [_apart(self.windows[end], self.windows[:end]).min() for end in range(1, len(self.windows))]
        return max(float(max(strays)) / self.scale, LEAST_SCALE)

    @cached_property
    def is_mostly_zero(self) -> bool:
        return bool(0 < np.count_nonzero(self.pooled) <= (1 - MOSTLY) * len(self.pooled))

    def distance(self, quantiles: np.ndarray) -> float:
        """How far the nearest earlier window lies from these quantiles."""
        return float(_apart(quantiles, self.windows).min() / self.scale)

    @cached_property
    def new(self) -> float:
        return self.distance(self.quantiles)

    def filled(self) -> Concern | None:
        """One value that took over, far outside what was seen, or within."""
        rows, low, high = len(self.values), self.pooled.min(), self.pooled.max()
        distinct, counts = np.unique(self.values, return_counts=True)
        if len(distinct) == 1:
            return None
        margin = max(self.scale, OUTSIDE * (high - low))
        outside = np.flatnonzero(((distinct < low - margin) | (distinct > high + margin)) & (counts >= STRANGE * rows))
        if len(outside):
            commonest = outside[counts[outside].argmax()]
            value = distinct[commonest]
            text = f"{counts[commonest] / rows:.0%} of the rows are {value:g}; earlier values lie between "
            # a code or a limit beside those that were seen may be new, however many rows have it
            is_far = max(low - value, value - high) > high - low
            text += f"{low:g} and {high:g}"
            return Concern("broken" if is_far else "suspicious", "frequent value", self.name, text)
        # two, as what is filled in comes beside what was frequent before; a frequent value that moves is still one
        share, heaviest = _share_of_two(self.values), max(map(_share_of_two, self.past))
        if share <= max(heaviest + FILLED, HEAVIER * heaviest) or len(np.unique(self.pooled)) < MANY_VALUES:
            return None
        one, other = distinct[np.sort(counts.argsort(kind="stable")[-2:])]
        text = f"{share:.0%} of the rows are {one:g} or {other:g}; no two values ever had more than {heaviest:.0%}"
        return Concern("suspicious", "frequent value", self.name, text)

    def turned(self) -> Concern | None:
        """A column that was never below 0 and is now hardly ever above it."""
        below, above = float((self.values < 0).mean()), float((self.values > 0).mean())
        if self.pooled.min() < 0 or below <= FILLED or above > FEW_ABOVE * below:
            return None
        text = f"as if with the other sign: {below:.0%} of the rows are below 0 (none before), {above:.0%} above"
        return Concern("broken", "sign", self.name, text)

    def nonzeros_in_another_unit(self) -> Concern | None:
        """Values beyond all that were not 0 before, on one side of them: in another unit, or suspicious."""
        before, rest = self.pooled[self.pooled != 0], self.values[self.values != 0]
        if not self.is_mostly_zero or not len(rest):
            return None
        if before.min() < 0:
            before, rest = np.abs(before), np.abs(rest)
        low, high, m = before.min(), before.max(), len(rest)
        k = max(int((rest < low).sum()), int((rest > high).sum()))
        # That k of m values without a cause lie all beyond n earlier ones, on a given side, has about the chance
        # (m over k) / (n + 1)^k: in logarithms, as either alone is more than a number holds.
        chance = math.lgamma(m + 1) - math.lgamma(k + 1) - math.lgamma(m - k + 1) - k * math.log(len(before) + 1)
        if 2 * k < m or chance > math.log(CHANCE):
            return None
        was = f"{k} of {m} nonzero values lie outside the {len(before)} earlier ones, {low:.4g} to {high:.4g}"
        for unit in UNITS:
            old = rest / unit.factor
            if unit.offset == 0 and low <= old.min() and old.max() <= high:
                text = f"as if in another unit ({unit.name}): {was}"
                return Concern("broken" if unit.sure else "suspicious", "unit", self.name, text)
        return Concern("suspicious", "unit", self.name, was)

    def in_another_unit(self) -> Concern | None:
        """A column that is as it was of late, once a change of unit is undone: near a window, and as wide as that.

        Only of late: in a table that grows or has seasons, some old window is a tenth of anything.
        """
        quantiles, spreads = self.quantiles, _spread(self.windows[-NEWEST_FOR_WIDTH:])
        shrunk = 0 < _spread(quantiles) < spreads.min() / FAR_SCALE
        if self.new <= NOTICEABLE and not shrunk:
            return None
        for unit in UNITS:
            old = unit.undo(quantiles)
            if self.is_mostly_zero and not unit.offset:
                continue  # `nonzeros_in_another_unit` looks at these
            if old[0] < unit.between[0] or old[-1] > unit.between[1]:
                continue
            windows = self.windows[-(NEWEST_FOR_WIDTH if unit.sure else JUST_BEFORE) :]
            apart = _apart(old, windows) / self.scale
            nearest = int(apart.argmin())
            wide, was, left = _spread(old), _spread(windows[nearest]), float(apart[nearest])
            most_left, times = (1.5, ALIKE) if unit.sure else (UNSURE_LEFT, UNSURE_ALIKE)
            alike = wide == was if was == 0 else 1 / times <= wide / was <= times
            # counts such as 0, 1, 2 widen by steps
            alike = alike or (unit.sure and wide > 0 and was > 0 and abs(wide - was) <= STEP * self.scale)
            if alike and left <= most_left * self.usual and (left <= EXPLAINED * self.new or shrunk):
                beyond = quantiles[-6] < self.pooled.min() or quantiles[5] > self.pooled.max()
                never = beyond or unit.offset != 0 or shrunk
                text = f"as if in another unit ({unit.name}): {self._middles()}"
                return Concern("broken" if unit.sure and never else "suspicious", "unit", self.name, text)
        return None

    def lost_zeros(self) -> Concern | None:
        """Hardly a 0 left, where every window had its share of them, and a value that was rare in their place."""
        share, least = float((self.values == 0).mean()), min(float((window == 0).mean()) for window in self.past)
        if not self.is_mostly_zero or least * len(self.values) < EXPECTED or share > FEW * least:
            return None
        distinct, counts = np.unique(self.values, return_counts=True)
        value, taken = float(distinct[counts.argmax()]), float(counts.max() / len(self.values))
        was_frequent = any(np.count_nonzero(window == value) >= FREQUENT * len(window) for window in self.past)
        if was_frequent or taken < max(least, FREQUENT):
            return None
        text = f"{share:.0%} of its values are 0, at least {least:.0%} before; {taken:.0%} are now {value:g}"
        return Concern("suspicious", "frequent value", self.name, text)

    def jumped(self) -> Concern | None:
        """A column that moved, widened or narrowed at once by more than the world does, and by no unit known."""
        spread, spreads = float(_spread(self.quantiles)), _spread(self.windows)
        least, widest = float(spreads[-NEWEST_FOR_WIDTH:].min()), float(spreads.max())
        if spread > FAR_SCALE * widest > 0 or 0 < spread < least / FAR_SCALE:
            text = f"its spread is {spread:.4g}; before, it was {least:.4g} to {widest:.4g}"
            return Concern("suspicious", "spread", self.name, text)
        middle, middles = float(np.median(self.quantiles)), self.windows[:, len(GRID) // 2]
        if max(middle - middles.max(), middles.min() - middle) <= FAR_PLACE * self.scale:
            return None
        text = f"it moved by more than {FAR_PLACE:g} spreads at once: {self._middles()}"
        return Concern("suspicious", "spread", self.name, text)

    def drifted(self) -> Concern | None:
        """A column that is `NOVELTY` times as new as any window ever was."""
        if self.new <= max(NOVELTY * self.usual, NOTICEABLE):
            return None
        text = f"it is {self.new:.2g} spreads from the nearest earlier window, at most {self.usual:.2g} before"
        return Concern("drifted", "novelty", self.name, f"{text}: {self._middles()}")

    def _middles(self) -> str:
        return f"median {float(np.median(self.quantiles)):.4g}, {float(np.median(self.windows)):.4g} before"


def numeric_concerns(columns: list[NumericColumn]) -> list[Concern]:
    """What is new in the numeric columns of a batch."""
    swapped = _swapped([column for column in columns if column.new > max(column.usual, NOTICEABLE)])
    concerns: list[Concern | None] = []
    for column in columns:
        if column.name in swapped:
            text = f"looks as {swapped[column.name]} did before, and vice versa: the two columns are swapped"
            concerns.append(Concern("broken", "swap", column.name, text, swapped[column.name]))
            continue
        concerns += [
            column.filled(),
            column.turned()
            or column.nonzeros_in_another_unit()
            or column.in_another_unit()
            or column.lost_zeros()
            or column.jumped()
            or column.drifted(),
        ]
    return [concern for concern in concerns if concern is not None]


def _swapped(strange: list[NumericColumn]) -> dict[str, str]:
    """Pairs of columns each of which is as the other was."""
    pairs: dict[str, str] = {}
    for one, other in combinations(strange, 2):
        if all(to.distance(column.quantiles) <= 1.5 * to.usual for column, to in ((one, other), (other, one))):
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
