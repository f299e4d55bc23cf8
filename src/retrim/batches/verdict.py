"""The verdict on a batch that keeps its contract: ok, drifted, suspicious or broken.

Each column is compared with earlier windows of the same length: units, scales, swaps, filled-in values, constants,
missing cells, new categories, columns that no longer go together, and rows that came twice or are missing.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from typing import Literal

import numpy as np
import pandas as pd

from retrim.batches.concern import GRAVER, BatchParams, Concern, Gravity
from retrim.table.clock_columns import LEAST, MOST_VALUES, ClockColumn, ClockPart, clock_columns, parts_of
from retrim.table.data import DataParams


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

UNDONE = 0.25  # share of a column's distance from before that may be left once a change of unit is undone
MIDDLE = np.linspace(0.1, 0.9, 9)


def find_unit(before: pd.Series, now: pd.Series, *, undone: float = UNDONE) -> UnitChange | None:
    """The change of unit that turns what a column was into what it is; None if none does or it is not numeric.

    Args:
        undone: Share of the distance from before that may be left once the change is undone.
    """
    if not all(pd.api.types.is_numeric_dtype(values.dtype) and values.notna().any() for values in (before, now)):
        return None
    was, quantiles = (np.quantile(values.dropna().to_numpy("float64"), MIDDLE) for values in (before, now))
    apart = float(np.abs(quantiles - was).max())
    if apart == 0:
        return None
    left = [float(np.abs(unit.undo(quantiles) - was).max()) for unit in UNITS]
    least = int(np.argmin(left))
    return UNITS[least] if left[least] <= undone * apart and left[least] <= undone * (was[-1] - was[0]) else None


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
    text = f"{share:.0%} of its values are 0, at least {known.zeros:.0%} before; {taken:.0%} are now {value:g}"
    return Concern("suspicious", "frequent value", name, text)


def unit_concern(name: str, values: np.ndarray, known: NotZero) -> Concern | None:
    """Values beyond all that were not 0 before, on one side of them: in another unit, or suspicious.

    That k of m values without a cause lie all beyond n earlier ones, on a given side, has about the chance
    (m over k) / (n + 1)^k.
    """
    rest = known.of(values)
    beyond = rest < known.low if (rest < known.low).sum() > (rest > known.high).sum() else rest > known.high
    k, m = int(beyond.sum()), len(rest)
    if 2 * k < m or m == 0 or _chance(k, m, known.count) > math.log(CHANCE):
        return None
    was = f"{k} of {m} nonzero values lie outside the {known.count} earlier ones, {known.low:.4g} to {known.high:.4g}"
    for unit in UNITS:
        old = rest / unit.factor
        if unit.offset == 0 and known.low <= old.min() and old.max() <= known.high:
            verdict: Gravity = "broken" if unit.sure else "suspicious"
            return Concern(verdict, "unit", name, f"as if in another unit ({unit.name}): {was}")
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
    """
    quantiles = {name: np.quantile(own, GRID) for name, own in values.items()}
    news = {name: histories[name].novelty(quantiles[name]) for name in values}
    strange = {name: quantiles[name] for name in values if news[name] > max(histories[name].usual, NOTICEABLE)}
    swapped = _swapped(strange, histories)
    found: list[Concern | None] = []
    for name, own in values.items():
        history = histories[name]
        if name in swapped:
            text = f"looks as {swapped[name]} did before, and vice versa: the two columns are swapped"
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
        text = (
            f"{share:.0%} of the rows are {found[place]:g}; earlier values lie between {history.low:g} and "
            f"{history.high:g}"
        )
        off = max(history.low - found[place], found[place] - history.high)
        # a code or a limit beside those that were seen may be new, however many rows have it
        return Concern("broken" if off > history.high - history.low else "suspicious", "frequent value", name, text)
    # two, as what is filled in comes beside what was frequent before; a frequent value that moves is still one
    share, two = _of_two(values), found[np.sort(counts.argsort(kind="stable")[-2:])]
    if history.distinct >= MANY_VALUES and share > max(history.heaviest + FILLED, HEAVIER * history.heaviest):
        text = (
            f"{share:.0%} of the rows are {two[0]:g} or {two[1]:g}; no two values ever had more than "
            f"{history.heaviest:.0%}"
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
    text = f"as if with the other sign: {below:.0%} of the rows are below 0 (none before), {above:.0%} above"
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
            text = f"as if in another unit ({unit.name}): {_middles(quantiles, history)}"
            return Concern(verdict, "unit", name, text)
    return None


def _jumped(name: str, quantiles: np.ndarray, history: NumericHistory) -> Concern | None:
    """A column that moved, widened or narrowed at once by more than the world does, and by no unit that is known."""
    spread, spreads = float(_spread(quantiles)), _spread(history.windows[-NEWEST_FOR_WIDTH:])
    widest = float(_spread(history.windows).max())
    if spread > FAR_SCALE * widest > 0 or 0 < spread < spreads.min() / FAR_SCALE:
        text = f"its spread is {spread:.4g}; before, it was {float(spreads.min()):.4g} to {widest:.4g}"
        return Concern("suspicious", "spread", name, text)
    middle, middles = float(np.median(quantiles)), history.windows[:, len(GRID) // 2]
    if max(middle - middles.max(), middles.min() - middle) > FAR_PLACE * history.scale:
        moved = f"it moved by more than {FAR_PLACE:g} spreads at once: {_middles(quantiles, history)}"
        return Concern("suspicious", "spread", name, moved)
    return None


def _drifted(
    name: str, quantiles: np.ndarray, history: NumericHistory, new: float, *, novelty: float
) -> Concern | None:
    if new <= max(novelty * history.usual, NOTICEABLE):
        return None
    text = f"it is {new:.2g} spreads from the nearest earlier window, at most {history.usual:.2g} before"
    return Concern("drifted", "novelty", name, f"{text}: {_middles(quantiles, history)}")


def _middles(quantiles: np.ndarray, history: NumericHistory) -> str:
    return f"median {float(np.median(quantiles)):.4g}, {float(np.median(history.windows)):.4g} before"


def _spread(quantiles: np.ndarray) -> np.ndarray:
    """From the 10% to the 90% quantile."""
    return np.asarray(quantiles[..., -2] - quantiles[..., 1])


SPLIT = 2  # values that a batch has which lies across a midnight of another zone
CLOCK_OFF = 0.1  # share of these that are not as the time says


def clock_concern(name: str, values: pd.Series, parts: dict[str, ClockPart], column: ClockColumn) -> Concern | None:
    """A column that does not say what the time does.

    Values that were never seen are nobody's clock. Known ones at another time may be: clocks change in spring.
    """
    part = parts[column.part]
    number = part.numbers[part.places]
    told = np.array([int(key) in column.says for key in number]) & values.notna().to_numpy()
    if told.sum() < LEAST:
        return None
    own = values[told].tolist()
    says = [column.says[int(key)] for key in number[told]]
    off = np.array([one != other for one, other in zip(own, says, strict=True)])
    strange = np.array([bool(wrong) and value not in column.known for wrong, value in zip(off, own, strict=True)])
    if off.mean() <= CLOCK_OFF:
        return None
    first = int(off.argmax())
    text = (
        f"it follows the {column.part} of the event time, but not in {off.mean():.0%} of the rows, such as "
        f"{own[first]} instead of {says[first]}"
    )
    several = np.sort(np.unique(np.array([str(each) for each in says]), return_counts=True)[1])[:-SPLIT].sum() >= LEAST
    stuck = len(set(own)) == 1 and several
    return Concern("broken" if strange.mean() > CLOCK_OFF or stuck else "suspicious", "clock", name, text)


SURELY_VARIES = 20.0  # rows with another value that the least varied window promises: none of them is no chance
VARIED = 0.2  # share of other values in the least varied window, below which the commonest may be all for once
STAYS = 2.0  # times as many rows as the longest run of one value ever had
NEWEST_WINDOWS = 8  # newest windows
GONE = 0.95  # share missing from which a column is gone
MORE_MISSING = 0.4  # share missing that came on top of the most there was of late
UNKNOWN, ALL_UNKNOWN = 0.5, 0.9  # share of rows with unseen categories, on top of the most there ever was
FEW_VALUES = 20  # values, in a column that is mostly missing: the first of its kind is all of them, and says nothing
SPELT = 0.05  # share of rows whose categories are known but for case, blanks and signs


def missing_concern(name: str, values: pd.Series, windows: list[pd.Series]) -> Concern | None:
    """A column whose values are gone, or mostly."""
    share, most = float(values.isna().mean()), max(float(window.isna().mean()) for window in windows)
    if share <= most + MORE_MISSING:
        return None
    verdict: Gravity = "broken" if share >= GONE else "suspicious"
    text = f"{share:.0%} of its values are missing, at most {most:.0%} before"
    return Concern(verdict, "values missing", name, text)


def constant_concern(
    name: str, values: pd.Series, windows: list[pd.Series], tellers: Iterable[tuple[pd.Series, pd.Series]] = ()
) -> Concern | None:
    """A column that has one value, where every window had others and no value ever stayed nearly as long.

    A month, a price list or a dry spell stays the same for a while: the longest earlier stay says for how long. If
    another column of the batch varies and implies this value, as the week implies the month, it is no concern either.

    Args:
        values: Of the batch, shape (n,).
    """
    present = values.dropna()
    if len(present) == 0 or (present != present.iloc[0]).any():
        return None
    others = min(1 - float(window.value_counts(normalize=True, dropna=False).iloc[0]) for window in windows)
    past = pd.concat(windows)
    longest = _longest_stay(past.dropna())
    if others * len(present) < SURELY_VARIES or len(present) <= STAYS * longest:
        return None
    alike, there = (past == present.iloc[0]).to_numpy(dtype="float64"), values.notna().to_numpy()
    others = min([others, *(_others_told(batch[there], before, alike) for batch, before in tellers)])
    if others * len(present) < SURELY_VARIES:
        return None
    text = (
        f"all {len(present)} values are {present.iloc[0]!s}; before, at most {1 - others:.0%} were equal, and at most "
        f"{longest} in a row"
    )
    return Concern("broken" if others >= VARIED else "suspicious", "constant", name, text)


def _others_told(batch: pd.Series, before: pd.Series, alike: np.ndarray) -> float:
    """The share of a batch's rows that another column says have another value; 1 where it says nothing.

    Args:
        alike: Whether each earlier row had the value, shape of `before`.
    """
    codes = pd.factorize(pd.concat([before, batch]), use_na_sentinel=False)[0]
    past, now = codes[: len(before)], codes[len(before) :]
    seen, counts = np.bincount(past, minlength=codes.max() + 1), np.bincount(now)
    if (seen > 0).sum() > MOST_VALUES or len(now) - counts.max() < SURELY_VARIES:
        return 1.0
    hits = np.bincount(past, weights=alike, minlength=len(seen))
    share = np.where(seen > 0, hits / np.maximum(seen, 1), alike.mean())  # one never seen says what all rows say
    return 1 - float(share[now].mean())


def _longest_stay(values: pd.Series) -> int:
    """Rows in the longest run of one value."""
    codes = pd.factorize(values)[0]
    ends = np.flatnonzero(np.diff(codes, append=-2))
    return int(np.diff(ends, prepend=-1).max(initial=0))


def category_concern(name: str, values: pd.Series, windows: list[pd.Series]) -> Concern | None:
    """A category column whose categories are unknown, or spelt in another way."""
    present = values.dropna().astype("str")
    if len(present) == 0:
        return None
    known = {str(value) for window in windows for value in window.dropna().unique()}
    unseen = present[~present.isin(known)]
    if not len(unseen):
        return None
    plain = {_plain(value) for value in known}
    spelt = unseen[unseen.map(_plain).isin(plain)]
    if len(spelt) >= SPELT * len(present):
        text = (
            f"{len(spelt) / len(present):.0%} of its values differ from known ones only in spelling, such as "
            f"{spelt.iloc[0]!r}"
        )
        return Concern("broken", "spelling", name, text)
    if len(present) < FEW_VALUES:
        return None
    # Where hardly any name was ever expected, what is new stands where nothing stood: it counts among all rows.
    expected = min(float(window.notna().mean()) for window in windows[-NEWEST_WINDOWS:]) * len(values)
    share, most = len(unseen) / len(present if expected >= FEW_VALUES else values), _most_unseen(windows)
    if share <= most + UNKNOWN:
        few = share <= 2 * most + 0.01
        return None if few else Concern("drifted", "categories", name, f"{share:.0%} of its values are new")
    verdict: Gravity = "broken" if share >= ALL_UNKNOWN else "suspicious"
    text = f"{share:.0%} of its values were never seen, such as {unseen.iloc[0]!r}; at most {most:.0%} before"
    return Concern(verdict, "categories", name, text)


def _most_unseen(windows: list[pd.Series]) -> float:
    """The largest share of values, in any but the first windows, that no window before had; few values do not count."""
    seen: set[str] = set()
    most = 0.0
    for number, window in enumerate(windows):
        values = window.dropna().astype("str")
        if number >= len(windows) // 4 and number > 0 and len(values) >= FEW_VALUES:
            most = max(most, float((~values.isin(seen)).mean()))
        seen |= set(values.unique())
    return most


def _plain(value: str) -> str:
    return "".join(sign for sign in value.casefold() if sign.isalnum())


TOGETHER = 0.8  # correlation of a pair, by ranks, that every window of late but one had at least
APART = 0.3  # correlation below which the pair does not go together any more
AGAINST = -0.5  # ... and goes the other way
TIED = 0.9  # correlation from which one column says what the other has to be
RESIDUALS_OFF, OFF_OF_LATE = (
    4.0,
    3.0,
)  # residual spreads that it is off by on average, and times the most it was of late


def pair_concerns(batch: np.ndarray, windows: Sequence[np.ndarray], names: Sequence[str]) -> list[Concern]:
    """Pairs of numeric columns that went together in every window but one at most, and do not in the batch.

    Args:
        batch: Values, shape (n, columns), missing as NaN.
        windows: Likewise of the windows of late; 2 or more.
    """
    if len(names) < 2:
        return []
    before, now = np.stack([_by_ranks(window) for window in windows]), _by_ranks(batch)
    found: list[Concern] = []
    for one in range(len(names)):
        for other in range(one + 1, len(names)):
            were = before[:, one, other]
            sign = float(np.sign(np.median(were)))
            # a single window may be odd: a sensor that stood still for a day
            least, is_now = float(np.sort(were * sign)[1]), float(now[one, other] * sign)
            if np.isnan(least) or np.isnan(is_now) or least < TOGETHER:
                continue
            if is_now <= APART:
                text = (
                    f"its correlation with {names[other]} is {is_now * sign:.2f}; its absolute value was at least "
                    f"{least:.2f} before"
                )
                found.append(
                    Concern("broken" if is_now < AGAINST else "suspicious", "pair", names[one], text, names[other])
                )
            elif least >= TIED:
                off = _off([window[:, [one, other]] for window in windows], batch[:, [one, other]])
                if off is not None:
                    text = (
                        f"it is {off:.2g} spreads off the value expected from {names[other]}: one of the two has "
                        "changed"
                    )
                    found.append(Concern("suspicious", "pair", names[one], text, names[other]))
    return found


def _off(windows: Sequence[np.ndarray], batch: np.ndarray) -> float | None:
    """How far the first column is off its line with the second on average, in residual spreads; None if not far."""
    x, y = np.concatenate([_whole(window) for window in windows]).T[::-1]
    slope, level = np.polyfit(x, y, 1)

    def residuals(rows: np.ndarray) -> np.ndarray:
        whole = _whole(rows)
        return np.asarray(whole[:, 0] - slope * whole[:, 1] - level)

    spread = float(residuals(np.concatenate(windows)).std())
    most = max(abs(float(residuals(window).mean())) for window in windows)
    mean = abs(float(residuals(batch).mean()))
    return mean / spread if spread > 0 and mean > max(RESIDUALS_OFF * spread, OFF_OF_LATE * most) else None


def _whole(values: np.ndarray) -> np.ndarray:
    return np.asarray(values[~np.isnan(values).any(axis=1)])


def _by_ranks(values: np.ndarray) -> np.ndarray:
    """Rank correlations of the rows without a missing value: NaN where a column has one value."""
    whole = _whole(values)
    if len(whole) < 3:
        return np.full((values.shape[1], values.shape[1]), np.nan)
    ranks = whole.argsort(axis=0, kind="stable").argsort(axis=0).astype("float64")
    ranks[:, [bool((column == column[0]).all()) for column in whole.T]] = np.nan
    with np.errstate(invalid="ignore"):
        return np.atleast_2d(np.corrcoef(ranks, rowvar=False))


TWICE = 0.1  # share of rows that are there twice, on top of the most there ever was
RESENT = 0.5  # share of runs of rows that were sent before, on top of the most there ever was
RUN = 3  # rows of a run: one row may be like another by chance, three in a row hardly
LEAST_SPANS = 4  # earlier batches, at least, to know what a usual span is
FEW_FOR_SPAN = 0.1  # rows for its span, as a share of the fewest there ever were in as much time
SURELY_ROWS = 20.0  # rows that are usual for its span at least: hardly any of them is no chance
EVEN = 1.25  # the longest of even steps over the shortest: months are such


def twice_concern(rows: pd.DataFrame, windows: Sequence[pd.DataFrame]) -> Concern | None:
    """Rows of the batch that are there twice, all their columns alike.

    Where rows come twice by themselves, only a batch that was doubled as a whole is surely broken.
    """
    usual = [_twice(window) for window in windows]
    share, most = _twice(rows), max(usual)
    if share <= most + TWICE:
        return None
    verdict: Gravity = "broken" if most <= TWICE or share >= (1 + min(usual)) / 2 else "suspicious"
    return Concern(verdict, "rows twice", "", f"{share:.0%} of its rows occur twice, at most {most:.0%} before")


def _twice(rows: pd.DataFrame) -> float:
    return float(rows.duplicated().mean())


def resent_concern(rows: pd.DataFrame, windows: Sequence[pd.DataFrame]) -> Concern | None:
    """Rows that were sent before under other times and keys, told by runs of rows alike in all else.

    Args:
        rows: Of the batch without time and key, in order of time.
    """
    hashes, length = _hashes(pd.concat([*windows, rows])), len(windows[0])
    seen = _runs(hashes[:length])
    most = 0.0
    for place in range(1, len(windows)):
        own = _runs(hashes[place * length : (place + 1) * length])
        most = max(most, float(np.isin(own, seen).mean()) if len(own) else 0.0)
        seen = np.concatenate([seen, own])
    runs = _runs(hashes[len(windows) * length :])
    share = float(np.isin(runs, seen).mean()) if len(runs) else 0.0
    if share <= most + RESENT:
        return None
    text = f"{share:.0%} of its rows were sent before under other times, at most {most:.0%} in any earlier batch"
    return Concern("broken", "sent before", "", text)


def _hashes(rows: pd.DataFrame) -> np.ndarray:
    """A number for every row: the same for the same row."""
    numbers = [name for name in rows.columns if pd.api.types.is_numeric_dtype(rows[name])]
    plain = rows.reset_index(drop=True).astype(dict.fromkeys(numbers, "float64"))
    return np.asarray(pd.util.hash_pandas_object(plain, index=False).to_numpy())


def _runs(hashes: np.ndarray) -> np.ndarray:
    """A number for every run of rows: the same for the same rows in the same order."""
    if len(hashes) < RUN:
        return np.empty(0, dtype="uint64")
    runs = np.zeros(len(hashes) - RUN + 1, dtype="uint64")
    for place in range(RUN):
        runs = runs * np.uint64(0x9E3779B97F4A7C15) + hashes[place : len(runs) + place]
    return runs


def cut_concern(
    event: pd.Series,
    arrives: pd.Timestamp,
    ends: Sequence[pd.Timestamp],
    lags: Sequence[pd.Timedelta],
    counts: Sequence[int],
    *,
    share: float,
) -> Concern | None:
    """A batch that ends long before it arrives and covers hardly any time, or has hardly any rows for its time.

    It is broken where it came when one was due. Otherwise files may have begun to come more often.
    """
    if len(ends) <= LEAST_SPANS:
        return None
    pairs = [(later - earlier, rows) for (earlier, later), rows in zip(pairwise(ends), counts[1:], strict=True)]
    spans = [(span, rows) for span, rows in pairs if span > pd.Timedelta(0)]
    covered = event.max() - max(ends)
    if len(spans) < LEAST_SPANS or covered <= pd.Timedelta(0):
        return None
    shortest, lag = min(span for span, _ in spans), arrives - event.max()
    # one that comes early covers less and is whole
    if covered < share * shortest and lag > max(lags) + share * shortest:
        text = (
            f"it ends {_days(covered)} after the previous batch and {_days(lag)} before its arrival; the shortest "
            f"earlier batch covered {_days(shortest)}: cut short"
        )
        arrivals = [end + each for end, each in zip(ends, lags, strict=True)]
        verdict: Gravity = "broken" if _was_due(arrives, arrivals[-LEAST_SPANS - 1 :]) else "suspicious"
        return Concern(verdict, "cut short", "", text)
    least = min(rows / span.total_seconds() for span, rows in spans) * covered.total_seconds()
    if least >= SURELY_ROWS and len(event) < FEW_FOR_SPAN * least:
        text = f"it has {len(event)} rows, but at least {least:.0f} are usual for its span: cut short, or sampled"
        return Concern("suspicious", "cut short", "", text)
    return None


def _was_due(arrives: pd.Timestamp, arrivals: Sequence[pd.Timestamp]) -> bool:
    """Whether batches came in even steps, and this one a step after the last."""
    steps = [later - earlier for earlier, later in pairwise(arrivals)]
    even = pd.Timedelta(0) < max(steps) <= EVEN * min(steps)
    return bool(even and min(steps) / EVEN <= arrives - arrivals[-1] <= EVEN * max(steps))


def _days(span: pd.Timedelta) -> str:
    return f"{span / pd.Timedelta('1D'):.3g} days"


VerdictKind = Literal["ok", "drifted", "suspicious", "broken"]
RANK: tuple[VerdictKind, ...] = ("ok", "drifted", "suspicious", "broken")


@dataclass(frozen=True)
class History:
    """What came before.

    Args:
        rows: The newest landed rows in order of event time, typed as the batch.
        ends: Event time of the newest row of each earlier batch, oldest first.
        lags: From there to the arrival of each.
        counts: Rows of each.
        without: Of a column that some of these batches landed without: which they are, as `_batch` of the rows.
    """

    rows: pd.DataFrame
    ends: Sequence[pd.Timestamp]
    lags: Sequence[pd.Timedelta]
    counts: Sequence[int]
    without: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchVerdict:
    """What a batch is, and everything that is not as it was; the gravest first."""

    concerns: tuple[Concern, ...]

    @property
    def kind(self) -> VerdictKind:
        """The gravest of its concerns; ok without any."""
        return max((concern.verdict for concern in self.concerns), key=RANK.index, default="ok")

    @property
    def holds(self) -> bool:
        """Whether the batch is quarantined."""
        return self.kind == "broken"


def look_at(
    batch: pd.DataFrame,
    history: History,
    data: DataParams,
    params: BatchParams,
    *,
    arrives: pd.Timestamp,
    made: Collection[str] = (),
    zone: str = "UTC",
) -> BatchVerdict:
    """Holds a batch against earlier windows as long as it is.

    A change of unit, a swap, a column gone constant, missing or unknown, rows there twice or sent
    before, and a load cut short make a batch broken: nothing that happens in the world does it.
    What could be either is suspicious. What a check says of the batch and would have said of an earlier window
    happens in this table, and counts for one step less. With too few rows, or too short a history, columns say nothing.

    Args:
        batch: Typed rows, shape (n, columns), n at least 1.
    """
    batch = batch.sort_values(data.time, kind="stable")
    ends, lags, counts = history.ends, history.lags, history.counts
    found = [cut_concern(batch[data.time], arrives, ends, lags, counts, share=params.cut_short)]
    windows = _windows(history.rows, len(batch), params)
    if len(batch) >= params.least_rows and len(windows) >= params.least_windows:
        names = [name for name in (*data.own_features, data.target) if name not in (*made, *params.skip)]
        own = [name for name in names if name != data.target]
        clocks = clock_columns(history.rows, own, zone, time=data.time)
        columns = _Columns(data, params, history.without, clocks, zone)
        found += [columns.weighed(each, windows) for each in columns.concerns(batch, windows, names)]
        if not data.key:
            found.append(twice_concern(batch[list(data.columns)], [window[list(data.columns)] for window in windows]))
        # What was sent before cannot be told by columns that were not sent then.
        besides = (data.time, data.due, *data.key, *history.without)
        told = [name for name in data.columns if name not in besides]
        found.append(resent_concern(batch[told], [window[told] for window in windows]))
    concerns = [concern for concern in found if concern is not None and concern.check not in params.skip]
    return BatchVerdict(tuple(sorted(concerns, key=lambda each: (-RANK.index(each.verdict), each.column))))


def _windows(rows: pd.DataFrame, length: int, params: BatchParams) -> list[pd.DataFrame]:
    """The newest whole windows of that many rows, oldest first."""
    count = min(len(rows) // max(length, 1), params.most_windows)
    start = len(rows) - count * length
    return [rows.iloc[start + number * length : start + (number + 1) * length] for number in range(count)]


@dataclass(frozen=True)
class _Columns:
    """How the columns of a window are held against earlier ones.

    Args:
        data: What the table is.
        params: How far off is too far.
        without: Of a column, the batches that landed without it.
        clocks: Columns that the event time decides.
        zone: Whose clocks they show.
    """

    data: DataParams
    params: BatchParams
    without: Mapping[str, Collection[str]]
    clocks: Mapping[str, ClockColumn]
    zone: str

    def concerns(self, batch: pd.DataFrame, windows: list[pd.DataFrame], names: Sequence[str]) -> list[Concern]:
        """What is the matter with some columns of a window."""
        found: list[Concern | None] = []
        values: dict[str, np.ndarray] = {}
        histories: dict[str, NumericHistory] = {}
        parts = parts_of(batch[self.data.time], self.zone) if any(name in self.clocks for name in names) else {}
        for name in names:
            own = batch[name]
            kept = [each for each in windows if _has(each, self.without.get(name, ()))]
            before = [each[name] for each in kept]
            if len(before) < self.params.least_windows:  # it is new: nobody knows how it usually is
                continue
            gone = missing_concern(name, own, before)
            if name in self.clocks:
                found.append(gone or clock_concern(name, own, parts, self.clocks[name]))
                continue
            gone = gone or constant_concern(name, own, before, self._tellers(batch, kept, name))
            if gone is not None:
                found.append(gone)
                continue
            if self.data.columns[name].type == "category":
                found.append(category_concern(name, own, before))
                continue
            present, past = _present(own), [numbers for each in before if len(numbers := _present(each))]
            known = history_of(past) if len(present) and len(past) >= self.params.least_windows else None
            if known is not None:
                values[name], histories[name] = present, known
        paired = [name for name in values if name != self.data.target]
        lately = [_matrix(window, paired) for window in windows[-NEWEST_FOR_WIDTH:]]
        found += pair_concerns(_matrix(batch, paired), lately, paired)
        found += numeric_concerns(values, histories, novelty=self.params.novelty)
        return [concern for concern in found if concern is not None]

    def _tellers(
        self, batch: pd.DataFrame, windows: list[pd.DataFrame], name: str
    ) -> Iterator[tuple[pd.Series, pd.Series]]:
        """What may say which value a column has to have: the day of the event time, and the other features."""
        past = pd.concat(windows)
        batch_day, past_day = (rows[self.data.time].dt.tz_convert(self.zone).dt.day_of_year for rows in (batch, past))
        yield batch_day, past_day
        for other in self.data.own_features:
            if other != name and not self.without.get(other):
                yield batch[other], past[other]

    def weighed(self, concern: Concern, windows: list[pd.DataFrame]) -> Concern:
        """A concern, one step less grave where the same check would have said so of an earlier window.

        The check is made again on each window that has enough others before it.
        """
        step = GRAVER.index(concern.verdict)
        asked = [name for name in (concern.column, concern.beside) if name]
        for place in range(self.params.least_windows, len(windows) if step else 0):
            for other in self.concerns(windows[place], windows[:place], asked):
                like = (other.column, other.check) == (concern.column, concern.check)
                if like and GRAVER.index(other.verdict) >= step:
                    text = f"{concern.text} (like the window that ended {windows[place][self.data.time].iloc[-1]:%F})"
                    return replace(concern, verdict=GRAVER[step - 1], text=text)
        return concern


def _has(window: pd.DataFrame, without: Collection[str]) -> bool:
    """Whether all rows of a window came in batches that had a column."""
    return not without or not window["_batch"].isin(without).any()


def _matrix(rows: pd.DataFrame, names: list[str]) -> np.ndarray:
    return rows[names].to_numpy(dtype="float64", na_value=np.nan)


def _present(values: pd.Series) -> np.ndarray:
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    return np.asarray(numbers[np.isfinite(numbers)])
