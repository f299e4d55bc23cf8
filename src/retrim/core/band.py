"""The reference band: what the champion's mean loss over a window does while nothing has changed."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from pydantic import Field

from retrim.core.section import Section

LEAST_BLOCKS = 4  # of the reference: with fewer its spread is not known


class BandParams(Section):
    """How far above the reference band a loss has to be."""

    unit: Literal["iqr", "sd"] = Field(description="the band's interquartile range, or its standard deviation")
    reach: float = Field(gt=0, description="units above the middle of the band at which its top lies")


@dataclass(frozen=True)
class Band:
    """Mean losses of windows drawn from the rows that judged the champion.

    Args:
        centre: Mean loss on those rows.
        iqr: Interquartile range of the mean of a window of the current length, the centre's own noise included.
        sd: Its standard deviation.
    """

    centre: float
    iqr: float
    sd: float

    def top(self, params: BandParams) -> float:
        """The loss above which a window lies outside."""
        return self.centre + params.reach * (self.iqr if params.unit == "iqr" else self.sd)

    def as_record(self) -> dict[str, Any]:
        return {"centre": self.centre, "iqr": self.iqr, "sd": self.sd}


def reference_band(losses: np.ndarray, *, rows: int, block_rows: int, draws: int, seed: int) -> Band | None:
    """The band for a window of `rows` rows, from the champion's losses on the rows that judged it.

    Both means are drawn: that of the window, and that of the reference, which is a sample too.

    Args:
        losses: One a row, in time order, shape (n,).
        rows: Of the current window, 1 or more.
        block_rows: Rows that belong together.
        draws: Bootstrap draws.
        seed: Same seed, same band.

    Returns:
        None where the reference has fewer than 4 blocks.

    Source:
        Politis and Romano (1992), A circular block-resampling procedure for stationary data.
    """
    n = len(losses)
    if n < LEAST_BLOCKS * block_rows:
        return None
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([losses, losses[:block_rows]]))])
    drawn = np.random.default_rng(seed)

    def means(length: int) -> np.ndarray:
        starts = drawn.integers(0, n, size=(draws, -(-length // block_rows)))
        return np.asarray((sums[starts + block_rows] - sums[starts]).mean(axis=1) / block_rows)

    apart = means(rows) - means(n)
    low, high = np.quantile(apart, [0.25, 0.75])
    return Band(centre=float(losses.mean()), iqr=float(high - low), sd=float(apart.std(ddof=1)))
