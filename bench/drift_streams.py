"""Streams without drift, for false_alarms.py: 30 columns as counts, block by block.

20 numeric columns in 20 quantile cells, every fourth of them with 1% missing; 10 categorical ones of 2 to 10
categories, some of them rare. `iid`: independent rows. `ar`: every column is made from an AR(1) of 0.9 from row to row
on a daily wave of 24 rows that has a third of the variance (the missing values too, so they come in bursts). A
reference is 60 windows of 8 blocks each; most windows are no whole number of days.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from retrim.drift.cells import CategoryCells, NumericCells
from retrim.drift.profile import ColumnProfile, Profile

KINDS = ("iid", "ar")
REFERENCE_WINDOWS, BLOCKS, CELLS = 60, 8, 20
RHO, DAY, WAVE = 0.9, 24, 0.5
NUMERIC = 20
MISSING = 0.01
SHARES = [
    np.array(shares)
    for shares in (
        [0.5, 0.5],
        [0.9, 0.1],
        [0.4, 0.3, 0.2, 0.1],
        [0.25] * 4,
        [0.6, 0.3, 0.09, 0.01],
        [0.2] * 5,
        [0.1] * 10,
        [0.5, 0.2, 0.15, 0.1, 0.04, 0.01],
        [0.98, 0.02],
        [0.3, 0.3, 0.2, 0.1, 0.05, 0.03, 0.015, 0.005],
    )
]
PIECE = DAY * 1000  # rows made at once
GRID = 4096  # values are rounded to that many steps over 12 standard deviations: counting is a look-up then


@dataclass(frozen=True)
class Stream:
    """A reference, and windows that follow it."""

    profile: Profile
    later: dict[str, np.ndarray]  # by column, shape (windows, cells + 1)


@dataclass(frozen=True)
class Change:
    """What happens to a column after the reference."""

    shift: float = 0.0  # in standard deviations
    unseen: float = 0.0  # share of rows with a new category
    missing: float = MISSING  # share of rows missing, where there are any


def stream(kind: str, *, rows: int, later: int, seed: int) -> Stream:
    """30 columns, and that many windows after the reference."""
    columns, after = {}, {}
    for number in range(NUMERIC + len(SHARES)):
        name, columns[name], after[name] = column(kind, number, rows=rows, later=later, seed=seed, change=Change())
    edges = _edges(rows * REFERENCE_WINDOWS, REFERENCE_WINDOWS * BLOCKS)
    times = pd.Timestamp("2000-01-01", tz="UTC") + pd.to_timedelta(edges, unit="h")
    blocks = pd.DataFrame({"first": times[:-1], "last": times[1:] - pd.Timedelta("1h"), "rows": np.diff(edges)})
    return Stream(Profile(columns, blocks, pd.DataFrame()), after)


def column(
    kind: str, number: int, *, rows: int, later: int, seed: int, change: Change
) -> tuple[str, ColumnProfile, np.ndarray]:
    """Name, reference and later windows of one column; the reference is the same whatever the change."""
    rng = np.random.default_rng([seed, number])
    count = _independent if kind == "iid" else _autocorrelated
    name, cells, shares = _column(number)
    counts, after = count(rng, shares, rows, later, change, has_missing=number < NUMERIC and number % 4 == 0)
    return name, ColumnProfile("numeric" if number < NUMERIC else "categorical", cells, counts), after


def rows_of_column(
    kind: str, number: int, *, rows: int, later: int, seed: int, change: Change
) -> tuple[np.ndarray, np.ndarray]:
    """The same column row by row, reference and later windows: what `column` has counted.

    Returns:
        Numbers, NaN where missing, float32; or codes of categories, int8, the one after the last for a new category.
    """
    rng, fine = np.random.default_rng([seed, number]), np.random.default_rng([seed, number, 1])
    shares, numeric = _column(number)[2], number < NUMERIC
    has_missing = numeric and number % 4 == 0
    if kind == "ar":
        place, steps = _places(rng, shares, rows, later, change, has_missing=has_missing)
        values = (steps + fine.random(len(steps), dtype=np.float32)) / GRID * 12 - 6
    else:
        counts = _independent(rng, shares, rows, later, change, has_missing=has_missing)
        blocks = [np.repeat(np.arange(len(block)), block) for side in counts for block in side]
        place = np.concatenate([fine.permutation(block) for block in blocks])
        values = np.zeros(len(place))
        for part, shift in (
            (slice(rows * REFERENCE_WINDOWS), 0.0),
            (slice(rows * REFERENCE_WINDOWS, None), change.shift),
        ):
            below = np.concatenate([[0.0], np.cumsum(_moved(shares, shift)), [1.0]])
            inside = np.append(_moved(shares, shift), 0.0)[place[part]] * fine.random(len(place[part]))
            values[part] = ndtri(np.clip(below[place[part]] + inside, 1e-12, 1 - 1e-12)) + shift
    whole = rows * REFERENCE_WINDOWS
    made = np.where(place == len(shares), np.nan, values).astype(np.float32) if numeric else place.astype(np.int8)
    return made[:whole], made[whole:]


def _column(number: int) -> tuple[str, NumericCells | CategoryCells, np.ndarray]:
    """Name, cells and the true shares of its cells, missing not counted."""
    if number < NUMERIC:
        cells = NumericCells.cut(pd.Series(ndtri(np.linspace(0.0005, 0.9995, 2000))), cells=CELLS)
        tail = 1e-7
        inner = np.full(cells.size - 2, (1 - 2 * tail) / (cells.size - 2))
        return f"x{number:02d}", cells, np.concatenate([[tail], inner, [tail]])
    shares = SHARES[number - NUMERIC]
    return f"c{number:02d}", CategoryCells(tuple(f"{k}" for k in range(len(shares))), 0), np.append(shares, 0.0)


def _edges(rows: int, blocks: int) -> np.ndarray:
    return np.linspace(0, rows, blocks + 1).astype(int)


def _independent(
    rng: np.random.Generator, shares: np.ndarray, rows: int, later: int, change: Change, *, has_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    whole = rows * REFERENCE_WINDOWS
    sizes = np.diff(_edges(whole, REFERENCE_WINDOWS * BLOCKS))
    before = np.append(shares * (1 - MISSING * has_missing), MISSING * has_missing)
    moved = _moved(shares, change.shift) * (1 - change.unseen)
    moved[-1] += change.unseen
    lost = change.missing * has_missing
    after = np.append(moved * (1 - lost), lost)
    return rng.multinomial(sizes, before), rng.multinomial(np.full(later, rows), after)


def _moved(shares: np.ndarray, shift: float) -> np.ndarray:
    """Shares of the same cells when the normal behind them has moved."""
    if shift == 0:
        return shares
    upper = ndtr(ndtri(np.clip(np.cumsum(shares), 0, 1)) - shift)
    return np.diff(np.concatenate([[0.0], upper[:-1], [1.0]]))


def _autocorrelated(
    rng: np.random.Generator, shares: np.ndarray, rows: int, later: int, change: Change, *, has_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    place, _ = _places(rng, shares, rows, later, change, has_missing=has_missing)
    whole, wide = rows * REFERENCE_WINDOWS, len(shares) + 1
    return _count(place[:whole], REFERENCE_WINDOWS * BLOCKS, wide), _count(place[whole:], later, wide)


def _places(
    rng: np.random.Generator, shares: np.ndarray, rows: int, later: int, change: Change, *, has_missing: bool
) -> tuple[np.ndarray, np.ndarray]:
    """The cell of each row, and its step on the grid; reference first, then the later windows."""
    whole, after = rows * REFERENCE_WINDOWS, rows * later
    size = len(shares)
    phase = rng.random()
    steps = ((np.arange(GRID) + 0.5) / GRID - 0.5) * 12
    cell_of = np.searchsorted(ndtri(np.clip(np.cumsum(shares)[:-1], 0, 1)), steps, side="left").astype(np.int8)
    before = steps_of(rng, whole, shift=0, phase=phase)
    then = steps_of(rng, after, shift=change.shift, phase=phase + whole / DAY)
    place = np.concatenate([cell_of[before], cell_of[then]])
    if change.unseen:
        bursts = steps_of(rng, after, shift=0, phase=0)
        place[whole:][(steps > ndtri(1 - change.unseen))[bursts]] = size - 1
    if has_missing:
        bursts = steps_of(rng, whole + after, shift=0, phase=0)
        place[:whole][(steps < ndtri(MISSING))[bursts[:whole]]] = size
        place[whole:][(steps < ndtri(change.missing))[bursts[whole:]]] = size
    return place, np.concatenate([before, then])


def steps_of(rng: np.random.Generator, rows: int, *, shift: float, phase: float) -> np.ndarray:
    """Steps of the grid that a series takes: AR(1) on a daily wave, in its standard deviations; int16, (rows,)."""
    ar = np.array([1, -RHO], np.float32)
    lone = np.float32((1 - RHO**2) ** 0.5)
    day = np.arange(DAY) / DAY + phase
    wave = np.resize(((2 * WAVE) ** 0.5 * np.sin(2 * np.pi * day)).astype(np.float32), PIECE)
    scale = np.float32(GRID / 12 / (1 + WAVE) ** 0.5)
    middle = np.float32(GRID / 2 + shift * GRID / 12)
    state = rng.standard_normal(1, dtype=np.float32) * np.float32(RHO)
    made = np.empty(rows, dtype=np.int16)
    for start in range(0, rows, PIECE):  # in pieces that stay in the cache
        part = made[start : start + PIECE]
        noise = rng.standard_normal(len(part), dtype=np.float32)
        noise *= lone
        values, state = lfilter(lone[None] / lone, ar, noise, zi=state)
        values += wave[: len(part)]
        values *= scale
        values += middle
        part[:] = np.clip(values, 0, GRID - 1, out=values)
    return made


def _count(place: np.ndarray, blocks: int, wide: int) -> np.ndarray:
    edges = _edges(len(place), blocks)
    counted = [np.bincount(place[start:end], minlength=wide) for start, end in pairwise(edges)]
    return np.stack(counted)
