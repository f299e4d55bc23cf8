"""Numeric columns of a batch against earlier windows as long: a new unit, a scale, a swap, a filled-in value."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from retrim.core.batches.concern import Concern, Gravity
from retrim.core.batches.units import UNITS
from retrim.core.batches.zeros import NotZero, gone_concern, not_zero, unit_concern

GRID = np.linspace(0.05, 0.95, 19)  # symmetric, so that the other sign is the same grid backwards
LEAST_SCALE = 0.25  # of a column's spread: windows that differ by less are alike
NOTICEABLE = 0.5  # of a column's spread: what is less new than that is nobody's mistake in the unit
EXPLAINED = 0.25  # of the novelty: as much a unit may leave
ALIKE = 1.35  # how many times wider or narrower than the window it is like a column may be in its own unit
FEW_ABOVE = 0.05  # rows above 0 for each one below, where the sign was turned
STEP = 0.5  # of a column's spread: as wide as that within
FAR_SCALE = 4.0  # a spread that grew or shrank so many times at once, by no unit that is known
FAR_PLACE = 8.0  # spreads by which a column's middle moved at once
UNSURE_LEFT, UNSURE_ALIKE = 0.25, 1.12  # both tighter where growth could look like the unit
FILLED, HEAVIER = 0.12, 1.4  # share of rows that two values took over, on top of and times what any ever had
STRANGE = 0.05  # share of rows with one value that lies far outside all that was seen
OUTSIDE = 0.1  # of the range seen: as far, and a spread, beyond it is far
MANY_VALUES = 20  # distinct values from which a column is no code
JUST_BEFORE = 3  # newest windows, one of which the column is like in its own unit where growth could look like it
LATELY = 8  # newest windows that say how wide a column is now


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
        return Concern("broken", "frequent value", name, text)
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
    spread, spreads = _spread(quantiles), _spread(history.windows[-LATELY:])
    if new <= NOTICEABLE and not 0 < spread < spreads.min() / FAR_SCALE:
        return None
    for unit in UNITS if history.rest is None else (unit for unit in UNITS if unit.offset):
        old = unit.undo(quantiles)
        if old[0] < unit.between[0] or old[-1] > unit.between[1]:
            continue
        windows = history.windows[-(LATELY if unit.sure else JUST_BEFORE) :]
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
    spread, spreads = float(_spread(quantiles)), _spread(history.windows[-LATELY:])
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
