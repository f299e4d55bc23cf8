"""What is new in a column of any type, or in a pair: missing, constant, unknown, off the clock, no longer together."""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from retrim.batches.concern import Concern
from retrim.table.clock_columns import LEAST, MOST_VALUES, ClockColumn, ClockPart

GONE = 0.95  # share missing from which a column is gone
MORE_MISSING = 0.4  # share missing that came on top of the most there was of late

SPLIT = 2  # values that a batch has which lies across a midnight of another zone
CLOCK_OFF = 0.1  # share of these that are not as the time says

SURELY_VARIES = 20.0  # rows with another value that the least varied window promises: none of them is no chance
VARIED = 0.2  # share of other values in the least varied window, below which the commonest may be all for once
STAYS = 2.0  # times as many rows as the longest run of one value ever had

NEWEST_WINDOWS = 8
UNKNOWN, ALL_UNKNOWN = 0.5, 0.9  # share of rows with unseen categories, on top of the most there ever was
FEW_VALUES = 20  # values, in a column that is mostly missing: the first of its kind is all of them, and says nothing
SPELT = 0.05  # share of rows whose categories are known but for case, blanks and signs

TOGETHER = 0.8  # correlation of a pair, by ranks, that every window of late but one had at least
APART = 0.3  # correlation below which the pair does not go together any more
AGAINST = -0.5  # ... and goes the other way
TIED = 0.9  # correlation from which one column says what the other has to be
RESIDUALS_OFF, OFF_OF_LATE = 4.0, 3.0  # residual spreads that it is off on average, and times the most it was of late


def missing_concern(name: str, values: pd.Series, windows: list[pd.Series]) -> Concern | None:
    """A column whose values are gone, or mostly."""
    share, most = float(values.isna().mean()), max(float(window.isna().mean()) for window in windows)
    if share <= most + MORE_MISSING:
        return None
    text = f"{share:.0%} of its values are missing, at most {most:.0%} before"
    return Concern("broken" if share >= GONE else "suspicious", "values missing", name, text)


def clock_concern(name: str, values: pd.Series, parts: dict[str, ClockPart], column: ClockColumn) -> Concern | None:
    """A column that does not say what the time does.

    Values that were never seen are nobody's clock. Known ones at another time may be: clocks change in spring.
    """
    part = parts[column.part]
    numbers = part.numbers[part.places]
    is_told = np.array([int(number) in column.says for number in numbers]) & values.notna().to_numpy()
    if is_told.sum() < LEAST:
        return None
    actual, wanted = values[is_told].tolist(), [column.says[int(number)] for number in numbers[is_told]]
    off = np.array([value != due for value, due in zip(actual, wanted, strict=True)])
    if off.mean() <= CLOCK_OFF:
        return None
    strange = np.mean([wrong and value not in column.known for wrong, value in zip(off, actual, strict=True)])
    first = int(off.argmax())
    text = f"it follows the {column.part} of the event time, but not in {off.mean():.0%} of the rows, such as "
    text += f"{actual[first]} instead of {wanted[first]}"
    counts = np.unique(np.array([str(due) for due in wanted]), return_counts=True)[1]
    is_stuck = len(set(actual)) == 1 and np.sort(counts)[:-SPLIT].sum() >= LEAST
    return Concern("broken" if strange > CLOCK_OFF or is_stuck else "suspicious", "clock", name, text)


def constant_concern(
    name: str, values: pd.Series, windows: list[pd.Series], tellers: Iterable[tuple[pd.Series, pd.Series]] = ()
) -> Concern | None:
    """A column that has one value, where every window had others and no value ever stayed nearly as long.

    A month, a price list or a dry spell stays the same for a while: the longest earlier stay says for how long. If
    another column of the batch varies and implies this value, as the week implies the month, it is no concern either.
    """
    present = values.dropna()
    if len(present) == 0 or (present != present.iloc[0]).any():
        return None
    others = min(1 - float(window.value_counts(normalize=True, dropna=False).iloc[0]) for window in windows)
    past = pd.concat(windows)
    ends = np.flatnonzero(np.diff(pd.factorize(past.dropna())[0], append=-2))
    longest = int(np.diff(ends, prepend=-1).max(initial=0))  # rows in the longest run of one value
    if others * len(present) < SURELY_VARIES or len(present) <= STAYS * longest:
        return None
    alike, there = (past == present.iloc[0]).to_numpy(dtype="float64"), values.notna().to_numpy()
    others = min([others, *(_others_implied(batch[there], before, alike) for batch, before in tellers)])
    if others * len(present) < SURELY_VARIES:
        return None
    text = f"all {len(present)} values are {present.iloc[0]!s}; before, at most {1 - others:.0%} were equal, and at "
    text += f"most {longest} in a row"
    return Concern("broken" if others >= VARIED else "suspicious", "constant", name, text)


def _others_implied(batch: pd.Series, before: pd.Series, alike: np.ndarray) -> float:
    """The share of a batch's rows that another column says have another value; 1 where it says nothing."""
    codes = pd.factorize(pd.concat([before, batch]), use_na_sentinel=False)[0]
    past, now = codes[: len(before)], codes[len(before) :]
    seen, counts = np.bincount(past, minlength=codes.max() + 1), np.bincount(now)
    if (seen > 0).sum() > MOST_VALUES or len(now) - counts.max() < SURELY_VARIES:
        return 1.0
    hits = np.bincount(past, weights=alike, minlength=len(seen))
    share = np.where(seen > 0, hits / np.maximum(seen, 1), alike.mean())  # one never seen says what all rows say
    return 1 - float(share[now].mean())


def category_concern(name: str, values: pd.Series, windows: list[pd.Series]) -> Concern | None:
    """A category column whose categories are unknown, or spelt in another way."""
    present = values.dropna().astype("str")
    known = {str(value) for window in windows for value in window.dropna().unique()}
    unseen = present[~present.isin(known)]
    if not len(unseen):
        return None
    respelt = unseen[unseen.map(_plain).isin({_plain(value) for value in known})]
    if len(respelt) >= SPELT * len(present):
        text = f"{len(respelt) / len(present):.0%} of its values differ from known ones only in spelling, such as "
        return Concern("broken", "spelling", name, f"{text}{respelt.iloc[0]!r}")
    if len(present) < FEW_VALUES:
        return None
    # Where hardly any name was ever expected, what is new stands where nothing stood: it counts among all rows.
    expected = min(float(window.notna().mean()) for window in windows[-NEWEST_WINDOWS:]) * len(values)
    share, most = len(unseen) / len(present if expected >= FEW_VALUES else values), _most_unseen(windows)
    if share > most + UNKNOWN:
        text = f"{share:.0%} of its values were never seen, such as {unseen.iloc[0]!r}; at most {most:.0%} before"
        return Concern("broken" if share >= ALL_UNKNOWN else "suspicious", "categories", name, text)
    is_usual = share <= 2 * most + 0.01
    return None if is_usual else Concern("drifted", "categories", name, f"{share:.0%} of its values are new")


def _most_unseen(windows: list[pd.Series]) -> float:
    """The largest share of values, in any but the first windows, that no window before had; few values do not count."""
    seen: set[str] = set()
    most = 0.0
    for number, window in enumerate(windows):
        values = window.dropna().astype("str")
        if number >= max(len(windows) // 4, 1) and len(values) >= FEW_VALUES:
            most = max(most, float((~values.isin(seen)).mean()))
        seen |= set(values.unique())
    return most


def _plain(value: str) -> str:
    return "".join(sign for sign in value.casefold() if sign.isalnum())


def pair_concerns(batch: np.ndarray, windows: Sequence[np.ndarray], names: Sequence[str]) -> list[Concern]:
    """Pairs of numeric columns that went together in every window but one at most, and do not in the batch.

    Args:
        batch: Values, shape (n, columns), missing as NaN.
        windows: Likewise of the windows of late; 2 or more.
    """
    if len(names) < 2:
        return []
    before, now = np.stack([_by_ranks(window) for window in windows]), _by_ranks(batch)
    concerns: list[Concern] = []
    for one, other in combinations(range(len(names)), 2):
        name, beside = names[one], names[other]
        signed = before[:, one, other]
        sign = float(np.sign(np.median(signed)))
        # a single window may be odd: a sensor that stood still for a day
        least, is_now = float(np.sort(signed * sign)[1]), float(now[one, other] * sign)
        if np.isnan(least) or np.isnan(is_now) or least < TOGETHER:
            continue
        if is_now <= APART:
            text = f"its correlation with {beside} is {is_now * sign:.2f}; its absolute value was at least "
            text += f"{least:.2f} before"
            concerns.append(Concern("broken" if is_now < AGAINST else "suspicious", "pair", name, text, beside))
        elif least >= TIED:
            off = _off_line([window[:, [one, other]] for window in windows], batch[:, [one, other]])
            if off is not None:
                text = f"it is {off:.2g} spreads off the value expected from {beside}: one of the two has changed"
                concerns.append(Concern("suspicious", "pair", name, text, beside))
    return concerns


def _off_line(windows: Sequence[np.ndarray], batch: np.ndarray) -> float | None:
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
    ranks[:, (whole == whole[0]).all(axis=0)] = np.nan
    with np.errstate(invalid="ignore"):
        return np.atleast_2d(np.corrcoef(ranks, rowvar=False))
