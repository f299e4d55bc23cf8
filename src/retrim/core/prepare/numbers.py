"""Moments and quantiles of numbers that may be missing, constant or near the largest there is."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of known numbers, counted in units of `scale` so that nothing overflows."""

    scale: float
    mean: float
    sd: float

    def standard(self, values: np.ndarray) -> np.ndarray:
        """Numbers in standard deviations from the mean; 0 for a constant column's own value."""
        away = values / self.scale - self.mean
        return away / self.sd if self.sd > 0 else away

    def as_record(self) -> list[float]:
        return [self.scale, self.mean, self.sd]


def moments(values: np.ndarray) -> Moments:
    """Of the known among `values`, shape (n,); of none: mean 0, deviation 0."""
    there = values[~np.isnan(values)]
    scale = float(np.abs(there).max(initial=0)) or 1.0
    small = there / scale
    if not len(small):
        return Moments(1.0, 0.0, 0.0)
    mean, sd = float(small.mean()), float(small.std())
    # A constant column's deviation is rounding, if it is not 0.
    return Moments(scale, mean, sd if sd > 1e-12 * max(abs(mean), 1e-300) else 0.0)


def median(values: np.ndarray) -> float | None:
    """The median of the known; None of none. The mean of two middle ones is taken by halves, so it never overflows."""
    there = np.sort(values[~np.isnan(values)])
    if not len(there):
        return None
    return float(there[(len(there) - 1) // 2] / 2 + there[len(there) // 2] / 2)


def quantiles(values: np.ndarray, shares: list[float]) -> list[float]:
    """Quantiles of the known, of which there is at least one, between neighbours by the share."""
    there = np.sort(values[~np.isnan(values)])
    found = []
    for share in shares:
        place = share * (len(there) - 1)
        low = int(place)
        part = place - low
        found.append(float(there[low] * (1 - part) + there[min(low + 1, len(there) - 1)] * part))
    return found
