"""The reference as a check watches it: block means of the contrasts of all columns, and their noise.

A contrast is a sum over blocks, so the series of its block means shows by itself how far it varies (the long-run
variance). Where the reference covers years, the season says what a window of that time of year should hold.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from retrim.drift.alarms import YEAR
from retrim.drift.contrasts import MISSING, contrasts
from retrim.drift.long_run import LongRun, long_run
from retrim.drift.profile import Profile
from retrim.drift.season import HARMONICS, ContrastSeason, block_waves, season_of

LEAST_OF_SHARE = 0.5  # of the variance of independent rows, that a share is given
LARGEST = 1e6  # standard errors; beyond, all is one
PRIOR_ROWS = 20.0  # rows that a rare category needs before its own clustering outweighs its column's


@dataclass(frozen=True)
class ContrastReference:
    """A reference of N blocks, watched by J contrasts in all."""

    weights: dict[str, np.ndarray]  # by column, what a row in each cell weighs, shape (cells + 1, contrasts)
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
        """The means of a window over which the waves of the year have these means; None: no season counts."""
        if self.season is None or waves is None:
            return self.means
        return np.asarray(self.means + self.season.at(waves))

    def means_of(self, window: Mapping[str, np.ndarray], rows: float | np.ndarray) -> np.ndarray:
        """The contrasts, shape (..., J), of windows with these rows in each cell, shape (..., cells + 1)."""
        return np.concatenate([window[name] @ weights for name, weights in self.weights.items()], axis=-1) / rows


def watch(profile: Profile, blocks: np.ndarray | None = None) -> ContrastReference:
    """What is watched of a profile.

    Args:
        blocks: Numbers of the blocks that make the reference, in order, repeated or left out as may be; None: all.
    """
    columns = {column: contrasts(counted) for column, counted in profile.columns.items()}
    weights = {name: np.stack([part.weights for part in parts], axis=1) for name, parts in columns.items()}
    sums = np.concatenate([profile.columns[column].counts @ weights[column] for column in columns], axis=1)
    rows, waves = profile.blocks["rows"].to_numpy(dtype="float64"), block_waves(profile.blocks)
    years = float((profile.blocks["last"].max() - profile.blocks["first"].min()) / YEAR)
    if blocks is not None:
        years *= len(np.unique(blocks)) / len(rows)
        sums, rows, waves = sums[blocks], rows[blocks], waves[blocks]
    means = sums.sum(axis=0) / rows.sum()
    season = season_of(sums, rows, means, waves, years=years)
    many = [len(parts) for parts in columns.values()]
    name, unit = (np.array([part[field] for parts in columns.values() for part in parts]) for field in (0, 1))
    budgets = [np.array([part.budget for part in parts]) for parts in columns.values()]
    kind = np.repeat([column.kind for column in profile.columns.values()], many)
    families = np.unique(np.stack([unit, np.where(name == MISSING, MISSING, kind)]), axis=1, return_inverse=True)[1]
    if season is None:
        strays, long = _strays(sums, rows, means, families)
    else:
        long = _strays(sums, rows, means + season.at(waves), families)[1]
        season = season.where_clear(long.variance(len(rows)) * rows.mean(), rows, waves)
        strays, long = _strays(sums, rows, means + season.at(waves), families)
    return ContrastReference(
        weights=weights,
        means=means,
        strays=strays,
        block_rows=float(rows.mean()),
        long=long,
        name=name,
        unit=unit,
        column=np.repeat(np.arange(len(columns)), many),
        budget=np.concatenate([budget / budget.sum() for budget in budgets]) / len(columns),
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
        """What would be measured of other references, from standard normal numbers: variances spread as chi-squared.

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
    """What `measure_deviation` gives of the contrast that strayed furthest, in less time, shape (...,).

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
    headroom = (1 - old) / np.maximum(new - old, 1e-300)  # what fills a window is no rare kind any more
    skew = np.minimum(_skew_of_bursts(rows / thinned, old), headroom)
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
