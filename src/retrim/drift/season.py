"""How contrasts go up and down over the year, so that a window is held against its time of year."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.drift.alarms import YEAR

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


def season_of(
    sums: np.ndarray, rows: np.ndarray, means: np.ndarray, waves: np.ndarray, *, years: float
) -> ContrastSeason | None:
    """The season of block sums; None where the blocks cover fewer than three years, or are longer than a month.

    Args:
        sums: Of each block and contrast, shape (N, J).
        rows: Of each block, shape (N,).
        means: Of each contrast over all rows, shape (J,).
    """
    if years < LEAST_YEARS or len(rows) < LEAST_A_YEAR * years:
        return None
    middle = np.average(waves, axis=0, weights=rows)
    weight = np.sqrt(rows)[:, None]
    height = np.linalg.lstsq(weight * (waves - middle), sums / weight - weight * means, rcond=None)[0]
    return ContrastSeason(height, middle)
