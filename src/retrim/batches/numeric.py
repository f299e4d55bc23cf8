"""Units that a column is known to be mistaken in: value in the new unit = factor x value + offset.

Columns that are mostly 0, as rain an hour is: their unit shows in the few values that are not.

Numeric columns of a batch against earlier windows as long: a new unit, a scale, a swap, a filled-in value.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from retrim.batches.concern import Concern, Gravity


@dataclass(frozen=True)
class UnitChange:
    """A change of unit.

    Args:
        name: In words.
        factor: Not 0.
        offset: Added after.
        sure: Whether hardly anything else does this to a column; growth by half again may be growth.
        between: Bounds of what is measured so, in the old unit: air has no 100 degrees Celsius.
    """

    name: str
    factor: float
    offset: float
    sure: bool
    between: tuple[float, float]

    def undo(self, quantiles: np.ndarray) -> np.ndarray:
        """Quantiles in the old unit, of a column with these in the new; ascending, on a symmetric grid."""
        old = (quantiles - self.offset) / self.factor
        return old[::-1] if self.factor < 0 else old


ANY = (float("-inf"), float("inf"))
CELSIUS, FAHRENHEIT, KELVIN = (-90.0, 60.0), (-130.0, 140.0), (183.0, 333.0)


def _both(name: str, back: str, factor: float, *, sure: bool) -> list[UnitChange]:
    return [UnitChange(name, factor, 0.0, sure, ANY), UnitChange(back, 1 / factor, 0.0, sure, ANY)]


UNITS: tuple[UnitChange, ...] = (
    *_both("times 10", "a tenth", 10.0, sure=True),
    *_both("times 100, as percent for a share", "a hundredth, as a share for percent", 100.0, sure=True),
    *_both("times 1000", "a thousandth", 1000.0, sure=True),
    *_both("times 1,000,000", "a millionth", 1e6, sure=True),
    *_both("times 60, as minutes for hours", "a 60th, as hours for minutes", 60.0, sure=True),
    *_both("times 3600, as seconds for hours", "a 3600th, as hours for seconds", 3600.0, sure=True),
    *_both("times 24, as hours for days", "a 24th, as days for hours", 24.0, sure=True),
    *_both("times 7, as days for weeks", "a 7th, as weeks for days", 7.0, sure=False),
    *_both("times 25.4, as millimetres for inches", "divided by 25.4, as inches for millimetres", 25.4, sure=True),
    *_both("times 3.28, as feet for metres", "divided by 3.28, as metres for feet", 3.28084, sure=False),
    *_both("times 3.6, as km/h for m/s", "divided by 3.6, as m/s for km/h", 3.6, sure=False),
    *_both("times 2.2, as pounds for kilograms", "divided by 2.2, as kilograms for pounds", 2.20462, sure=False),
    *_both("times 1.61, as kilometres for miles", "divided by 1.61, as miles for kilometres", 1.609344, sure=False),
    *_both("times 28.35, as grams for ounces", "divided by 28.35, as ounces for grams", 28.3495, sure=True),
    UnitChange("Fahrenheit for Celsius", 1.8, 32.0, sure=True, between=CELSIUS),
    UnitChange("Celsius for Fahrenheit", 1 / 1.8, -32 / 1.8, sure=True, between=FAHRENHEIT),
    UnitChange("Kelvin for Celsius", 1.0, 273.15, sure=True, between=CELSIUS),
    UnitChange("Celsius for Kelvin", 1.0, -273.15, sure=True, between=KELVIN),
    UnitChange("the other sign", -1.0, 0.0, sure=True, between=ANY),
)

MOSTLY = 0.5  # share of zeros from which quantiles say nothing about a unit
EXPECTED = 20.0  # zeros that the least share of any window promises: hardly one of them left is no chance
FEW = 0.05  # of these: hardly one
FREQUENT = 0.05  # share of a window from which a value is frequent
CHANCE = 1e-6  # that that many values lie beyond all earlier ones without a cause


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


GRID = np.linspace(0.05, 0.95, 19)  # symmetric, so that the other sign is the same grid backwards
LEAST_SCALE = 0.25  # of a column's spread: windows that differ by less are alike
NOTICEABLE = 0.5  # of a column's spread: what is less new than that is nobody's mistake in the unit
EXPLAINED = 0.25  # of the novelty: as much a unit may leave
ALIKE = 1.35  # how many times wider or narrower than the window it is like a column may be in its own unit
FEW_ABOVE = 0.05  # rows above 0 for each one below, where the sign was turned
STEP = 0.5  # of a column's spread: as wide as that within
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
class NumericHistory:
    """A column in earlier windows.

    Args:
        windows: Quantiles on `GRID` of each, oldest first, shape (windows, 19).
        scale: Spread of the column over all of them, above 0.
        usual: How new the newest window ever was when it came, in spreads.
        low: Least value seen.
        high: Largest.
        distinct: Distinct values seen.
        heaviest: The largest share that two values together had in any window.
        rest: What is not 0, in a column that mostly is; None for any other.
    """

    windows: np.ndarray
    scale: float
    usual: float
    low: float
    high: float
    distinct: int
    heaviest: float
    rest: NotZero | None

    def novelty(self, quantiles: np.ndarray) -> float:
        """How far the nearest earlier window lies from these quantiles, in spreads."""
        return float(_apart(quantiles, self.windows).min() / self.scale)


def history_of(windows: list[np.ndarray]) -> NumericHistory:
    """The history of a column.

    Args:
        windows: Values of each window that has any, without the missing ones, oldest first; 2 or more.
    """
    quantiles = np.stack([np.quantile(values, GRID) for values in windows])
    every = np.concatenate(windows)
    low, high = np.quantile(every, [0.25, 0.75])
    scale = float((high - low) / 1.349) or float(every.std()) or float(abs(every[0])) or 1.0
    came = [_apart(quantiles[place], quantiles[:place]).min() / scale for place in range(1, len(quantiles))]
    heaviest = max(_of_two(values) for values in windows)
    return NumericHistory(
        quantiles,
        scale,
        max(float(max(came)), LEAST_SCALE),
        float(every.min()),
        float(every.max()),
        len(np.unique(every)),
        heaviest,
        not_zero(windows),
    )


def _apart(quantiles: np.ndarray, windows: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(windows - quantiles).mean(axis=1))


def numeric_concerns(
    values: Mapping[str, np.ndarray], histories: Mapping[str, NumericHistory], *, novelty: float
) -> list[Concern]:
    """What is new in the numeric columns of a batch.

    Args:
        values: Of each column, without the missing ones, at least 1.
        histories: Of the same columns.
        novelty: How many times as new as ever a column has to be.
    """
    quantiles = {name: np.quantile(own, GRID) for name, own in values.items()}
    news = {name: histories[name].novelty(quantiles[name]) for name in values}
    strange = {name: quantiles[name] for name in values if news[name] > max(histories[name].usual, NOTICEABLE)}
    swapped = _swapped(strange, histories)
    found: list[Concern | None] = []
    for name, own in values.items():
        history = histories[name]
        if name in swapped:
            text = f"looks like {swapped[name]} did, and that like {name}: the two are swapped"
            found.append(Concern("broken", "swap", name, text, swapped[name]))
            continue
        found += [
            _filled(name, own, history),
            _turned(name, own, history)
            or (unit_concern(name, own, history.rest) if history.rest is not None else None)
            or _in_another_unit(name, quantiles[name], history, news[name])
            or (gone_concern(name, own, history.rest) if history.rest is not None else None)
            or _jumped(name, quantiles[name], history)
            or _drifted(name, quantiles[name], history, news[name], novelty=novelty),
        ]
    return [concern for concern in found if concern is not None]


def _filled(name: str, values: np.ndarray, history: NumericHistory) -> Concern | None:
    """One value that took over, far outside what was seen, or within."""
    found, counts = np.unique(values, return_counts=True)
    if len(found) == 1:
        return None
    margin = max(history.scale, OUTSIDE * (history.high - history.low))
    beyond = (found < history.low - margin) | (found > history.high + margin)
    outside = np.flatnonzero(beyond & (counts >= STRANGE * len(values)))
    if len(outside):
        place = outside[counts[outside].argmax()]
        share = counts[place] / len(values)
        text = f"{share:.0%} of the rows are {found[place]:g}, {history.low:g} to {history.high:g} were seen before"
        off = max(history.low - found[place], found[place] - history.high)
        # a code or a limit beside those that were seen may be new, however many rows have it
        return Concern("broken" if off > history.high - history.low else "suspicious", "frequent value", name, text)
    # two, as what is filled in comes beside what was frequent before; a frequent value that moves is still one
    share, two = _of_two(values), found[np.sort(counts.argsort(kind="stable")[-2:])]
    if history.distinct >= MANY_VALUES and share > max(history.heaviest + FILLED, HEAVIER * history.heaviest):
        text = (
            f"{share:.0%} of the rows are {two[0]:g} or {two[1]:g}; no two values ever had over {history.heaviest:.0%}"
        )
        return Concern("suspicious", "frequent value", name, text)
    return None


def _of_two(values: np.ndarray) -> float:
    """Share of the two most frequent values together."""
    counts = np.unique(values, return_counts=True)[1]
    return float(np.sort(counts)[-2:].sum() / len(values))


def _swapped(strange: Mapping[str, np.ndarray], histories: Mapping[str, NumericHistory]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for one, other in combinations(strange, 2):
        fits = [
            histories[there].novelty(strange[here]) <= 1.5 * histories[there].usual
            for here, there in ((one, other), (other, one))
        ]
        if all(fits):
            pairs |= {one: other, other: one}
    return pairs


def _turned(name: str, values: np.ndarray, history: NumericHistory) -> Concern | None:
    """A column that was never below 0 and is now hardly ever above it."""
    below, above = float((values < 0).mean()), float((values > 0).mean())
    if history.low < 0 or below <= FILLED or above > FEW_ABOVE * below:
        return None
    text = f"as if with the other sign: {below:.0%} of the rows are below 0, {above:.0%} above, and none was before"
    return Concern("broken", "sign", name, text)


def _in_another_unit(name: str, quantiles: np.ndarray, history: NumericHistory, new: float) -> Concern | None:
    """A column that is as it was of late, once a change of unit is undone: near a window, and as wide as that.

    Only of late: in a table that grows or has seasons, some old window is a tenth of anything.
    """
    spread, spreads = _spread(quantiles), _spread(history.windows[-NEWEST_FOR_WIDTH:])
    if new <= NOTICEABLE and not 0 < spread < spreads.min() / FAR_SCALE:
        return None
    for unit in UNITS if history.rest is None else (unit for unit in UNITS if unit.offset):
        old = unit.undo(quantiles)
        if old[0] < unit.between[0] or old[-1] > unit.between[1]:
            continue
        windows = history.windows[-(NEWEST_FOR_WIDTH if unit.sure else JUST_BEFORE) :]
        apart = _apart(old, windows) / history.scale
        near = int(apart.argmin())
        wide, was = _spread(old), _spread(windows[near])
        most_left, times = (1.5, ALIKE) if unit.sure else (UNSURE_LEFT, UNSURE_ALIKE)
        alike = wide == was if was == 0 else 1 / times <= wide / was <= times
        # counts such as 0, 1, 2 widen by steps
        alike = alike or (unit.sure and wide > 0 and was > 0 and abs(wide - was) <= STEP * history.scale)
        left = float(apart[near])
        if not alike or left > most_left * history.usual:
            continue
        if left <= EXPLAINED * new or spread < spreads.min() / FAR_SCALE:
            beyond = quantiles[-6] < history.low or quantiles[5] > history.high
            never = beyond or unit.offset != 0 or spread < spreads.min() / FAR_SCALE
            verdict: Gravity = "broken" if unit.sure and never else "suspicious"
            return Concern(verdict, "unit", name, f"as if in another unit, {unit.name}: {_middles(quantiles, history)}")
    return None


def _jumped(name: str, quantiles: np.ndarray, history: NumericHistory) -> Concern | None:
    """A column that moved, widened or narrowed at once by more than the world does, and by no unit that is known."""
    spread, spreads = float(_spread(quantiles)), _spread(history.windows[-NEWEST_FOR_WIDTH:])
    widest = float(_spread(history.windows).max())
    if spread > FAR_SCALE * widest > 0 or 0 < spread < spreads.min() / FAR_SCALE:
        text = f"its spread is {spread:.4g}, {float(spreads.min()):.4g} to {widest:.4g} before"
        return Concern("suspicious", "spread", name, text)
    middle, middles = float(np.median(quantiles)), history.windows[:, len(GRID) // 2]
    if max(middle - middles.max(), middles.min() - middle) > FAR_PLACE * history.scale:
        moved = f"it moved by more than {FAR_PLACE:g} of its spreads at once: {_middles(quantiles, history)}"
        return Concern("suspicious", "spread", name, moved)
    return None


def _drifted(
    name: str, quantiles: np.ndarray, history: NumericHistory, new: float, *, novelty: float
) -> Concern | None:
    if new <= max(novelty * history.usual, NOTICEABLE):
        return None
    text = f"{new:.2g} spreads from any earlier window, {history.usual:.2g} at most before"
    return Concern("drifted", "novelty", name, f"{text}: {_middles(quantiles, history)}")


def _middles(quantiles: np.ndarray, history: NumericHistory) -> str:
    return f"median {float(np.median(quantiles)):.4g}, {float(np.median(history.windows)):.4g} before"


def _spread(quantiles: np.ndarray) -> np.ndarray:
    """From the 10 % to the 90 % quantile."""
    return np.asarray(quantiles[..., -2] - quantiles[..., 1])
