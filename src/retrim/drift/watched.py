"""The reference as a check watches it: block means of the contrasts of all columns, and their noise.

A contrast is one of the few numbers that a column is watched by: a mean over rows of what its cell weighs. It is a
sum over blocks, so the series of its block means shows by itself how far it varies (the long-run variance). Where the
reference covers a year or more, the season says what a window of that time of year should hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from retrim.drift.alarms import YEAR
from retrim.drift.cells import CategoryCells, NumericCells
from retrim.drift.profile import ColumnProfile, Profile

MISSING = "missing"
GROUPS = 10  # shares of a numeric column that are watched one by one
MOST_SHARES = 50  # of a categorical column; the rarest beyond are watched together

Unit = Literal["sd", "spread", "share"]


@dataclass(frozen=True)
class Contrasts:
    """The contrasts of one column."""

    names: tuple[str, ...]  # what each looks at, such as "location" or "share of 'mon'", (J,)
    # what each is counted in: `sd` of the column, `spread` (share by which its variance grows) or `share`
    units: tuple[Unit, ...]
    weights: np.ndarray  # what a row in each cell weighs, shape (cells + 1, J); of a share 0 or 1
    budget: np.ndarray  # share of the column's false alarms that each may use, sums to 1, shape (J,)


def contrasts(column: ColumnProfile) -> Contrasts:
    """What a column is watched by, from its reference.

    A numeric column: its location and its spread, by the normal scores of its cells (0.4 and 0.2 of the budget), the
    share missing (0.2), and the share in each of ten groups of cells and beyond the range of the reference (together
    0.2). A categorical column: the share of each category (0.6), of unseen ones (0.2) and missing (0.2).

    Source:
        Normal scores: van der Waerden (1952); they are as good as means on normal columns, better on heavy tails.
    """
    counts = column.counts.sum(axis=0)
    if isinstance(column.cells, NumericCells):
        return _numeric(counts)
    return _categorical(column.cells, counts)


def _numeric(counts: np.ndarray) -> Contrasts:
    size = len(counts) - 1
    known = counts[:size].astype(float)
    missing = _one(size, size)
    shares, names = _groups(known)
    if known.sum() == 0:
        return _joined([(MISSING, "share", missing, 1.0)])
    scores, spread = _scores(known)
    parts: list[tuple[str, Unit, np.ndarray, float]] = [(MISSING, "share", missing, 0.2)]
    if scores.any():
        parts += [("location", "sd", scores, 0.4), ("spread", "spread", spread, 0.2)]
    parts += [(name, "share", share, 0.2 / len(names)) for name, share in zip(names, shares, strict=True)]
    return _joined(parts)


def _scores(known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Normal scores of the cells and their squares, around their means; a missing row weighs nothing."""
    from scipy.special import ndtri

    upper = np.cumsum(known) / known.sum()
    edges = np.concatenate([[0.0], upper])
    density = np.exp(-(ndtri(np.clip(edges, 1e-300, 1 - 1e-16)) ** 2) / 2) / np.sqrt(2 * np.pi)
    density[edges <= 0] = density[edges >= 1] = 0
    share = np.diff(edges)
    middle = ndtri(np.clip((edges[1:] + edges[:-1]) / 2, 0.5 / known.sum(), 1 - 0.5 / known.sum()))
    score = np.where(share > 0, -np.diff(density) / np.where(share > 0, share, 1), middle)
    deviation = np.sqrt(share @ score**2)
    if deviation == 0:
        return np.zeros(len(known) + 1), np.zeros(len(known) + 1)
    score = score / deviation
    return np.append(score, 0.0), np.append(score**2 - 1, 0.0)


def _groups(known: np.ndarray) -> tuple[list[np.ndarray], list[str]]:
    """Neighbouring cells of about a tenth of the rows each, a heavy one alone, and what lies beyond the range."""
    size = len(known)
    seen = np.flatnonzero(known)
    groups: list[np.ndarray] = []
    names: list[str] = []
    beyond = np.append(np.ones(size), 0.0)
    if len(seen):
        upper = np.cumsum(known) / known.sum()
        middle = upper - known / known.sum() / 2
        group = np.minimum((middle * GROUPS).astype(int), GROUPS - 1)
        beyond[seen[0] : seen[-1] + 1] = 0
        for each in np.unique(group[seen]):
            cells = [cell for cell in range(seen[0], seen[-1] + 1) if group[cell] == each]
            groups.append(_one(size, *cells))
            names.append(f"share of tenth {each + 1}")
    if beyond.any():
        groups.append(beyond)
        names.append("share beyond the range")
    return groups, names


def _categorical(cells: CategoryCells, counts: np.ndarray) -> Contrasts:
    size = len(counts) - 1
    known = [cell for cell in range(size) if cell != cells.unseen]
    frequent = sorted(sorted(known, key=lambda cell: (-counts[cell], cell))[:MOST_SHARES])
    rest = [cell for cell in known if cell not in frequent]
    named = [f"share of bucket {cell}" if cells.buckets else f"share of {cells.levels[cell]!r}" for cell in frequent]
    parts: list[tuple[str, Unit, np.ndarray, float]] = [(MISSING, "share", _one(size, size), 0.2)]
    watched = [(name, _one(size, cell)) for name, cell in zip(named, frequent, strict=True)]
    if rest:
        watched.append(("share of rare categories", _one(size, *rest)))
    parts += [(name, "share", weights, 0.6 / len(watched)) for name, weights in watched]
    if cells.unseen is not None:
        parts.append(("share of unseen categories", "share", _one(size, cells.unseen), 0.2))
    return _joined(parts)


def _one(size: int, *cells: int) -> np.ndarray:
    weights = np.zeros(size + 1)
    weights[list(cells)] = 1
    return weights


def _joined(parts: list[tuple[str, Unit, np.ndarray, float]]) -> Contrasts:
    names, units, weights, budget = zip(*parts, strict=True)
    shares = np.array(budget)
    return Contrasts(tuple(names), tuple(units), np.stack(weights, axis=1), shares / shares.sum())


NEXT_LAGS = 5  # lags in a row that must be quiet before a series is taken to have forgotten
QUIET = 2.0  # a lag is quiet when its correlation is below this many times sqrt(log10(N) / N)
LEAST = 0.1  # of the spectrum of single values: the least that any frequency is given
LARGEST_CARRY = 0.97  # a series is never taken for a random walk


@dataclass(frozen=True)
class LongRun:
    """What `long_run` found of J series of N values."""

    carry: np.ndarray  # what each value takes over from the one before, shape (J,)
    # autocovariances of what is new in each value, of lag 0, 1, ..., by their weight, shape (lags, J)
    covariances: np.ndarray
    freedom: np.ndarray  # degrees of freedom that a variance made of them is worth, 1 or more, shape (J,)

    def variance(self, length: float) -> np.ndarray:
        """Variance of the sum of `length` values in a row, over `length`: 0 only where the series is constant, (J,).

        The spectrum, seen through a window of that length.
        """
        points = 256 if length < 32 else 2048
        length = min(max(length, 1.0), points / 8)  # beyond, longer stretches stray no more
        angle = np.pi * (np.arange(points) + 0.5) / points
        seen = (np.sin(length * angle / 2) / np.sin(angle / 2)) ** 2 / length
        lag = np.arange(1, len(self.covariances))
        new = self.covariances[0] + 2 * np.cos(np.outer(angle, lag)) @ self.covariances[1:]
        new = np.maximum(new, LEAST * self.covariances[0])
        carried = 1 + self.carry**2 - 2 * np.outer(np.cos(angle), self.carry)
        return np.asarray(seen @ (new / carried) / seen.sum())


def long_run(series: np.ndarray, families: np.ndarray) -> LongRun:
    """Autocovariances of J series up to the lag at which each has forgotten itself.

    What a value takes over from the one before is taken out first, and put back in the end: that is most of what
    there is where blocks are about as long as their memory. Series of one family are taken to carry over alike, as
    far as they do not show otherwise.

    Args:
        series: Values of J series around their means, in time order, shape (N, J).
        families: Number of the family of each series, shape (J,).

    Source:
        Kendall (1954), Biometrika 41, 403-404, what a correlation is low by; Andrews and Monahan (1992), Econometrica
        60(4), 953-966, taking out; Politis and Romano (1995), J. Time Series
        Analysis 16(1), 67-103: weight 1 up to the lag `m`, then falling to 0 at `2 m`, which leaves less bias than
        weights that fall at once.
    """
    n, wide = series.shape
    spread = autocovariance(series, 0)
    alone = autocovariance(series, 1) / np.where(spread > 0, spread, 1)
    carry, own = alone.copy(), np.ones(wide)
    for family in np.unique(families):
        mine = (families == family) & (spread > 0)
        carry[mine], own[mine] = drawn_together(alone[mine], error=1 / n**0.5)
    # Around its own mean a correlation is measured low. That of a series alone is left so: its larger error makes up.
    carry = np.clip(carry + (1 - own) * (1 + 3 * carry) / n, -LARGEST_CARRY, LARGEST_CARRY)
    new = np.concatenate([series[:1] * np.sqrt(1 - carry**2), series[1:] - carry * series[:-1]])
    lags = memory(new)
    most = min(2 * int(lags.max(initial=1)) - 1, n - 1)
    weights = np.clip(2 - np.arange(most + 1)[:, None] / lags, 0, 1)
    weights[1:2, lags == 1] = 0  # it is taken out already
    whole = (1 + np.maximum(carry, 0)) / (1 - np.maximum(carry, 0))
    freedom = np.maximum(n / (1 + 2 * own * whole + 2 * (weights[2:] ** 2).sum(axis=0)), 1.0)
    covariances = np.zeros((most + 1, wide))
    for lag in range(most + 1):
        heard = weights[lag] > 0
        covariances[lag, heard] = weights[lag, heard] * autocovariance(new[:, heard], lag)
    taken = n / np.maximum(n - np.maximum(n / freedom, whole), n / 2)  # the mean was taken from the same values
    return LongRun(carry, covariances * taken, freedom)


def drawn_together(values: np.ndarray, *, error: float) -> tuple[np.ndarray, float]:
    """Measures of one kind, drawn towards their mean as far as their errors alone could have parted them.

    None is moved by more than its error, so that the odd one out stays that.

    Args:
        values: Measures, shape (k,).

    Returns:
        The drawn values, and the share of its variance that each keeps of its own, 1 / k to 1.

    Source:
        Efron and Morris (1972), JASA 67, 130-139: James's and Stein's estimator with limited translation.
    """
    k = len(values)
    if k < 4:
        return values, 1.0
    middle = values.mean()
    own = max(1 - (k - 3) * error**2 / max(float(((values - middle) ** 2).sum()), 1e-300), 1 / k)
    moved = np.clip((1 - own) * (middle - values), -error, error)
    return values + moved, own


def autocovariance(series: np.ndarray, lag: int) -> np.ndarray:
    """Sum of the products of values `lag` apart, over N whatever the lag, shape (J,)."""
    n = len(series)
    return np.asarray(np.einsum("nj,nj->j", series[: n - lag], series[lag:]) / n)


def memory(series: np.ndarray) -> np.ndarray:
    """The lag after which the correlations of each series stay quiet, at least 1, at most N / 4, shape (J,).

    Args:
        series: Values of J series around their means, in time order, shape (N, J).

    Source:
        Politis (2003), J. Nonparametric Statistics 15, 703-718. Unlike there one lag is always looked at: a
        correlation too small to be seen in N values still widens the mean of many.
    """
    n, wide = series.shape
    most = max(min(n // 4, 10 * (int(np.log10(max(n, 2))) + 1)), 1)
    spread = autocovariance(series, 0)
    loud = np.zeros((most + NEXT_LAGS + 1, wide), dtype=bool)
    for lag in range(1, min(most + NEXT_LAGS, n - 1) + 1):
        loud[lag] = np.abs(autocovariance(series, lag)) > QUIET * np.sqrt(np.log10(n) / n) * spread
    found = np.full(wide, most)
    for lag in range(most, 0, -1):
        found[~loud[lag + 1 : lag + 1 + NEXT_LAGS].any(axis=0)] = lag
    return found


HARMONICS = 3  # waves of a year, half a year and a third of one
LEAST_YEARS = 3.0  # years of blocks; with fewer a season cannot be told from years that differ
CHANCE = 0.001  # that the waves of a column without a season stand out so far
LEAST_A_YEAR = 12  # blocks of a year, so that a wave of a third of it is seen


@dataclass(frozen=True)
class ContrastSeason:
    """How contrasts go up and down over the year, around their means."""

    height: np.ndarray  # of each wave, shape (2 * HARMONICS, J)
    middle: np.ndarray  # mean of each wave over the reference, shape (2 * HARMONICS,)

    @property
    def has(self) -> np.ndarray:
        """Whether each contrast has one, shape (J,)."""
        return np.asarray((self.height != 0).any(axis=0))

    def where_clear(self, variance: np.ndarray, rows: np.ndarray, waves: np.ndarray) -> "ContrastSeason":
        """The same of the contrasts whose waves stand out of their noise; none of the others.

        Args:
            variance: Of the mean of n rows without a season, n large, times n, shape (J,).
            rows: Of each block, shape (N,).
            waves: In the middle of each block, shape (N, 2 * HARMONICS).
        """
        from scipy.special import chdtri

        apart = (waves - self.middle) @ self.height
        power = rows @ apart**2 / np.where(variance > 0, variance, np.inf)
        return ContrastSeason(np.where(power > chdtri(2 * HARMONICS, CHANCE), self.height, 0.0), self.middle)

    def at(self, waves: np.ndarray) -> np.ndarray:
        """What is added to the means of rows over which the waves have these means, shape (..., J)."""
        return np.asarray((waves - self.middle) @ self.height)


def waves_of(times: pd.Series) -> np.ndarray:
    """The waves of the year at each time, UTC, shape (n, 2 * HARMONICS)."""
    turns = ((times - pd.Timestamp(0, tz=times.dt.tz)) / YEAR).to_numpy(dtype="float64")
    angle = 2 * np.pi * turns[:, None] * np.arange(1, HARMONICS + 1)
    return np.concatenate([np.cos(angle), np.sin(angle)], axis=1)


def block_waves(blocks: pd.DataFrame) -> np.ndarray:
    """The waves in the middle of each block, shape (blocks, 2 * HARMONICS)."""
    return waves_of(blocks["first"] + (blocks["last"] - blocks["first"]) / 2)


def mean_waves(blocks: pd.DataFrame) -> np.ndarray:
    """The mean of the waves over the rows of some blocks, shape (2 * HARMONICS,)."""
    return np.average(block_waves(blocks), axis=0, weights=blocks["rows"])


def years_of(blocks: pd.DataFrame) -> float:
    """Years from the first row of the blocks to the last."""
    return float((blocks["last"].max() - blocks["first"].min()) / YEAR)


def season_of(
    sums: np.ndarray, rows: np.ndarray, means: np.ndarray, waves: np.ndarray, *, years: float
) -> ContrastSeason | None:
    """The season of block sums; None where the blocks cover fewer than three years, or are longer than a month.

    Args:
        sums: Of each block and contrast, shape (N, J).
        rows: Of each block, shape (N,).
        means: Of each contrast over all rows, shape (J,).
        waves: In the middle of each block, shape (N, 2 * HARMONICS).
    """
    if years < LEAST_YEARS or len(rows) < LEAST_A_YEAR * years:
        return None
    middle = np.average(waves, axis=0, weights=rows)
    weight = np.sqrt(rows)[:, None]
    height = np.linalg.lstsq(weight * (waves - middle), sums / weight - weight * means, rcond=None)[0]
    return ContrastSeason(height, middle)


LEAST_OF_SHARE = 0.5  # of the variance of independent rows, that a share is given
LARGEST = 1e6  # standard errors; beyond, all is one
PRIOR_ROWS = 20.0  # rows that a rare category needs before its own clustering outweighs its column's


@dataclass(frozen=True)
class ContrastReference:
    """A reference of N blocks, watched by J contrasts in all."""

    columns: dict[str, Contrasts]
    means: np.ndarray  # of each contrast over all rows, shape (J,)
    # of the sum of each block from what its rows would have at that time of year, over `block_rows`, (N, J)
    strays: np.ndarray
    block_rows: float  # rows of a block on average
    long: LongRun  # how far sums of neighbouring blocks stray
    name: np.ndarray  # what each contrast looks at, shape (J,)
    unit: np.ndarray  # what it is counted in, shape (J,)
    column: np.ndarray  # number of the column of each contrast, shape (J,)
    budget: np.ndarray  # share of all false alarms that each contrast may use; sums to 1, shape (J,)
    season: ContrastSeason | None = None  # how the means go over the year; None where the reference does not tell

    @property
    def rows(self) -> float:
        """Rows of the reference."""
        return self.block_rows * len(self.strays)

    @property
    def reach(self) -> np.ndarray:
        """Stretches of the history that know nothing of one another, for each contrast, shape (J,)."""
        return self.long.freedom

    @property
    def fitted(self) -> np.ndarray:
        """Numbers that were fitted to each contrast: its mean, and the waves of its season, shape (J,)."""
        seasons = np.zeros(len(self.means), dtype=bool) if self.season is None else self.season.has
        return np.where(seasons, 1 + 2 * HARMONICS, 1)

    def expected(self, waves: np.ndarray | None) -> np.ndarray:
        """The means of a window of that time of year, shape (..., J).

        Args:
            waves: Their means over its rows, as `season.waves_of`, shape (..., 2 * HARMONICS); None: no season counts.
        """
        if self.season is None or waves is None:
            return self.means
        return np.asarray(self.means + self.season.at(waves))

    def means_of(self, window: Mapping[str, np.ndarray], rows: float | np.ndarray) -> np.ndarray:
        """The contrasts of one window, or of many, shape (..., J).

        Args:
            window: Rows in each cell by column, shape (..., cells + 1).
        """
        return np.concatenate([window[name] @ each.weights for name, each in self.columns.items()], axis=-1) / rows


def watch(profile: Profile, blocks: np.ndarray | None = None) -> ContrastReference:
    """What is watched of a profile.

    Args:
        blocks: Numbers of the blocks that make the reference, in order, repeated or left out as may be; None: all.
    """
    columns = {column: contrasts(counted) for column, counted in profile.columns.items()}
    sums = np.concatenate([profile.columns[column].counts @ each.weights for column, each in columns.items()], axis=1)
    rows, waves = profile.blocks["rows"].to_numpy(dtype="float64"), block_waves(profile.blocks)
    years = years_of(profile.blocks)
    if blocks is not None:
        years *= len(np.unique(blocks)) / len(rows)
        sums, rows, waves = sums[blocks], rows[blocks], waves[blocks]
    means = sums.sum(axis=0) / rows.sum()
    season = season_of(sums, rows, means, waves, years=years)
    many = [len(each.names) for each in columns.values()]
    unit = np.concatenate([each.units for each in columns.values()])
    kind = np.repeat([column.kind for column in profile.columns.values()], many)
    name = np.concatenate([each.names for each in columns.values()])
    families = np.unique(np.stack([unit, np.where(name == MISSING, MISSING, kind)]), axis=1, return_inverse=True)[1]
    if season is None:
        strays, long = _strays(sums, rows, means, families)
    else:
        long = _strays(sums, rows, means + season.at(waves), families)[1]
        season = season.where_clear(long.variance(len(rows)) * rows.mean(), rows, waves)
        strays, long = _strays(sums, rows, means + season.at(waves), families)
    return ContrastReference(
        columns=columns,
        means=means,
        strays=strays,
        block_rows=float(rows.mean()),
        long=long,
        name=name,
        unit=unit,
        column=np.repeat(np.arange(len(columns)), many),
        budget=np.concatenate([each.budget for each in columns.values()]) / len(columns),
        season=season,
    )


def _strays(sums: np.ndarray, rows: np.ndarray, usual: np.ndarray, families: np.ndarray) -> tuple[np.ndarray, LongRun]:
    strays = (sums - rows[:, None] * usual) / rows.mean()
    return strays, long_run(strays, families)


@dataclass(frozen=True)
class ContrastNoise:
    """How far each contrast strays by itself."""

    variance: np.ndarray  # of the mean of n rows, times n, shape (..., J)
    freedom: np.ndarray  # degrees of freedom that its measure is worth, shape (J,)
    least: np.ndarray  # what a share is given at least; 0 elsewhere, shape (J,)

    def again(self, normal: np.ndarray) -> "ContrastNoise":
        """What would be measured of other references of the same kind: variances are spread as chi-squared is.

        Args:
            normal: Standard normal numbers, one a contrast and reference, shape (..., J).

        Source:
            Wilson and Hilferty (1931), PNAS 17, 684-688.
        """
        error = 2 / (9 * self.freedom)
        drawn = np.maximum(1 - error + normal * np.sqrt(error), 0.1) ** 3
        return ContrastNoise(np.maximum(self.variance * drawn, self.least), self.freedom, self.least)


def noise_of(watched: ContrastReference, rows: float) -> ContrastNoise:
    """The noise of windows of `rows` rows.

    The share of a category too rare to show how its rows cluster is taken to cluster as the others of its column do,
    and none strays by less than half the variance that it has in independent rows.
    """
    variance = watched.long.variance(rows / watched.block_rows) * watched.block_rows
    share = watched.unit == "share"
    p = np.clip(watched.means[share], 0.5 / watched.rows, 1 - 0.5 / watched.rows)
    single = p * (1 - p)
    column = watched.column[share]
    clustered = np.bincount(column, variance[share]) / np.maximum(np.bincount(column, single), 1e-300)
    seen = watched.rows * np.minimum(p, 1 - p)
    least = np.zeros(len(variance))
    least[share] = LEAST_OF_SHARE * single
    prior = PRIOR_ROWS * np.maximum(clustered[column], 1) * single
    variance[share] = (seen * variance[share] + prior) / (seen + PRIOR_ROWS)
    return ContrastNoise(np.maximum(variance, least), watched.long.freedom, least)


def measure_deviation(
    watched: ContrastReference, shift: np.ndarray, noise: ContrastNoise, rows: float, means: np.ndarray | None = None
) -> np.ndarray:
    """How far contrasts strayed: minus the logarithm of a p-value over the contrast's share of the budget, (..., J).

    The p-value is that of a t test against the measured noise. A share is compared by binomial counts, thinned by
    their clustering and as skewed as bursts are, so that few rows of a rare category are not taken for many; a spread
    by its cube root.

    Args:
        shift: From the reference's mean to the window's, shape (..., J).
        means: Of the reference, where it is not `watched.means`, shape (..., J).

    Source:
        Wilson and Hilferty (1931), PNAS 17, 684-688, cube roots; t into z: Wallace (1959), Annals of Mathematical
        Statistics 30, 1124-1130.
    """
    from scipy.special import log_ndtr

    normal = _normal(watched, shift, noise, rows, watched.means if means is None else means)
    return np.asarray(-log_ndtr(-normal) - np.log(2) + np.log(watched.budget))


def furthest(
    watched: ContrastReference, shift: np.ndarray, noise: ContrastNoise, rows: float, means: np.ndarray
) -> np.ndarray:
    """What `strayed` gives of the contrast that strayed furthest, in less time, shape (...,).

    Of contrasts with the same budget the one with the largest standard error is it.
    """
    from scipy.special import log_ndtr

    normal = _normal(watched, shift, noise, rows, means)
    order = np.argsort(watched.budget, kind="stable")
    budgets, first = np.unique(watched.budget[order], return_index=True)
    largest = np.maximum.reduceat(normal[..., order], first, axis=-1)
    return np.asarray((-log_ndtr(-largest) + np.log(budgets)).max(axis=-1) - np.log(2))


def _normal(
    watched: ContrastReference, shift: np.ndarray, noise: ContrastNoise, rows: float, means: np.ndarray
) -> np.ndarray:
    """The standard normal number that is as rare as each shift, 0 or more, shape (..., J)."""
    both = 1 + watched.fitted * rows / watched.rows
    moves = noise.variance > 0
    error = np.sqrt(np.where(moves, noise.variance, 1) / rows * both)
    spread, share = watched.unit == "spread", watched.unit == "share"
    moved = shift.copy()
    moved[..., spread] = 3 * (np.cbrt(np.maximum(1 + shift[..., spread], 0)) - 1)
    z = np.where(moves, moved / error, np.where(np.abs(shift) > 1e-9, np.inf, 0))
    old = means[..., share]
    new = np.clip(old + shift[..., share], 0, 1)
    old = np.clip(old, 1 / watched.rows, 1 - 1 / watched.rows)
    thinned = _thinned(watched, old, noise.variance[..., share], rows)
    run_directory = (1 - old) / np.maximum(new - old, 1e-300)
    skew = np.minimum(
        _skew_of_bursts(rows / thinned, old), run_directory
    )  # what fills a window is no rare kind any more
    stretched = np.clip(old + skew * (new - old), 0, 1)
    z[..., share] = _of_counts(old, stretched, thinned / skew**2) / np.sqrt(both[share])
    free = noise.freedom
    normal = np.sqrt(free * np.log1p(z * z / free)) * (8 * free + 1) / (8 * free + 3)
    return np.asarray(np.minimum(normal, LARGEST))


def shift_of(watched: ContrastReference, z: np.ndarray, noise: ContrastNoise, rows: float) -> np.ndarray:
    """The shift upwards that lies z standard errors from the reference, in the unit of each contrast, shape (J,).

    Source:
        Anscombe (1948), Biometrika 35, 246-254, for shares.
    """
    both = 1 + watched.fitted * rows / watched.rows
    error = np.sqrt(noise.variance / rows * both)
    spread, share = watched.unit == "spread", watched.unit == "share"
    shift = z * error
    shift[spread] = (1 + shift[spread] / 3) ** 3 - 1
    old = np.clip(watched.means[share], 0, 1)
    thinned = _thinned(watched, old, noise.variance[share], rows)
    skew = _skew_of_bursts(rows / thinned, old)
    thinned = thinned / skew**2
    angle = _angle(old, thinned) + z[share] * np.sqrt(both[share] / (thinned + 0.5)) / 2
    new = (np.sin(np.minimum(angle, np.pi / 2)) ** 2 * (thinned + 0.75) - 0.375) / thinned
    shift[share] = np.minimum((new - old) / skew, 1 - old)
    return shift


def _of_counts(old: np.ndarray, new: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """How many standard errors a share of that many independent rows lies from the old one; 0 or more.

    By the binomial probability of a share at least as far on its side: also where it is small, and lower is not
    as far as higher.

    Source:
        Camp (1951), Annals of Mathematical Statistics 22(1), 130-131, with Paulson's approximation.
    """
    more = new > old
    share, p = np.where(more, new, 1 - new), np.where(more, old, 1 - old)  # fewer of one are more of the other
    count = np.maximum(share * rows, 1e-9)
    rest = np.maximum(rows - count, 0) + 1
    odds = np.cbrt(count * (1 - p) / (rest * p))
    a, b = 1 / (9 * rest), 1 / (9 * count)
    return np.asarray(np.maximum(((1 - b) * odds - 1 + a) / np.sqrt(b * odds**2 + a), 0))


def _thinned(watched: ContrastReference, share: np.ndarray, variance: np.ndarray, rows: float) -> np.ndarray:
    """How many independent rows tell as much of a share."""
    return np.asarray(rows * np.maximum(share * (1 - share), 0.5 / watched.rows) / variance)


def _skew_of_bursts(thinning: np.ndarray, share: np.ndarray) -> np.ndarray:
    """How much more skewed a count is than that of independent rows, thinned to the same variance: 1 to 1.5.

    Rows of a rare kind that come in bursts, each going on to the next row with the same probability, are counted with a
    third cumulant that much larger. Of two kinds that are equally frequent neither comes in bursts more than the other.

    Source:
        Polya and Aeppli's distribution: Johnson, Kotz and Kemp (1992), Univariate Discrete Distributions, section 9.7.
    """
    ends = np.minimum(2 / (thinning + 1), 1)  # the probability that a burst ends with a row
    return np.asarray(1 + ((6 - 6 * ends + ends**2) / (2 - ends) ** 2 - 1) * np.maximum(1 - 2 * share, 0))


def _angle(share: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.asarray(np.arcsin(np.sqrt((share * rows + 0.375) / (rows + 0.75))))
