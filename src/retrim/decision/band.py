"""The reference band: what the champion's mean loss over a window does while nothing has changed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from retrim.stats.plugins import SettingsSection

LEAST_BLOCKS = 4  # of the reference: with fewer its spread is not known


class BandParams(SettingsSection):
    """How far above the reference band a loss has to be."""

    unit: Literal["iqr", "sd"] = Field(
        exclude=True,
        default="iqr",
        description="unit of reach: the band's interquartile range (iqr), which is robust to outliers, or its "
        "standard deviation (sd)",
    )
    reach: float = Field(
        exclude=True,
        default=3.0,
        gt=0,
        description=(
            "number of units from the middle of the band to its top; the default is about four standard deviations"
        ),
    )


@dataclass(frozen=True)
class Band:
    """Mean loss to expect of a window drawn from the rows that evaluated the champion.

    Args:
        centre: Mean loss on those rows.
        iqr: Interquartile range of the mean loss of a window as long as the current one, including the noise of the
            centre.
        sd: Standard deviation of the same mean loss.
    """

    centre: float
    iqr: float
    sd: float

    def top(self, params: BandParams) -> float:
        """The loss above which a window lies outside."""
        return self.centre + params.reach * (self.iqr if params.unit == "iqr" else self.sd)


def reference_band(losses: np.ndarray, *, rows: int, block_rows: int, draws: int, seed: int) -> Band | None:
    """The band for a window of `rows` rows, from the champion's losses on the rows that judged it.

    Both means are drawn: that of the window, and that of the reference, which is a sample too.

    Args:
        losses: One a row, in time order, shape (n,).
        rows: Of the current window, 1 or more.

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
        blocks = np.diff([*range(0, length, block_rows), length])  # the last one may be shorter
        starts = drawn.integers(0, n, size=(draws, len(blocks)))
        return np.asarray((sums[starts + blocks] - sums[starts]).sum(axis=1) / length)

    apart = means(rows) - means(n)
    low, high = np.quantile(apart, [0.25, 0.75])
    return Band(centre=float(losses.mean()), iqr=float(high - low), sd=float(apart.std(ddof=1)))
