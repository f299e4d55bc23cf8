"""Alarms: how many false ones are wanted, and the null that turns distances into p-values and rates into thresholds.

The null says how far windows without drift lie from the reference. It depends on how many rows a window has, not on
which. So it is computed once for windows of the usual length, when a model is trained, and kept in its profile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.errors import BadInputError
from retrim.stats.codec import Numbers
from retrim.stats.plugins import Seed, SettingsSection

Promise = Literal["promised", "extrapolated", "cannot be promised"]
YEAR = pd.Timedelta("365.25D")
REACH = 10.0  # a tail is believed to this many times what the history can show
LEAST_STRETCHES = 8.0  # with fewer in the history nothing is known of how a column strays
TAIL = 0.1  # share of the drawn windows that the tail is fitted to
SERVES = 2  # a null serves windows of up to that many times more or fewer rows ...
TENTH = 0.1  # ... and that of a joint test windows of up to this share more or fewer


class AlarmParams(SettingsSection):
    """How many false alarms are wanted."""

    at_most: float = Field(
        default=1.0, gt=0, description="maximum number of false alarms per year, on average, over all columns together"
    )
    draws: int = Field(
        exclude=True,
        default=4000,
        ge=1000,
        description="number of windows drawn from the reference; the benchmark rates were measured with the default",
    )
    seed: Seed = Field(default=7, description="seed of the draws")

    def rate(self, every: pd.Timedelta) -> float:
        """The probability of a false alarm that each check may have.

        An alarm that lasts over several checks is one episode; counting every alarmed check errs on the safe side.

        Raises:
            BadInputError: This many alarms would be one at every second check, or more.
        """
        probability = float(self.at_most * (every / YEAR))
        if probability >= 0.5:
            raise BadInputError(
                f"drift.alarms is {self.at_most:g} per year; with a check every "
                f"{every / pd.Timedelta('1D'):g} days (data.batch_every), that is {probability:.2g} false alarms per "
                "check, but that number must be below 0.5; lower at_most, or land batches more often"
            )
        return probability


@dataclass(frozen=True)
class AlarmRequest:
    """What is asked of the columns that are looked at together."""

    rate: float  # false alarms for each check, over all of its columns
    share: float  # of these, what these columns may use, above 0, at most 1
    draws: int
    seed: int


def promise(rate: float, reach: float) -> Promise:
    """Whether a history can keep a rate."""
    if reach < LEAST_STRETCHES or rate * reach * REACH < 1:
        return "cannot be promised"
    return "promised" if rate * reach >= 1 else "extrapolated"


@dataclass(frozen=True)
class Alarm:
    """What calibration says of one column: of its values, or of how many are missing."""

    column: str
    of: Literal["values", "missing"]  # which of the two
    contrast: str  # what strayed furthest, such as "location"
    # what `shift` and `smallest` are counted in: `sd` of the column, `spread` (growth of its variance) or `share` of
    # rows
    unit: str
    shift: float  # from the reference to the window
    smallest: float  # the shift of that contrast that such a window would have shown four times in five
    # how often any column of a window without drift strays as far as this one does, so it is adjusted for all columns
    p_value: float
    alarmed: bool  # whether that is rarer than asked
    promise: Promise  # whether the history can keep the rate for this column
    reach: float  # the history covers 1 in this many


@dataclass(frozen=True)
class Null:
    """How far windows without drift stray, each by its furthest contrast."""

    columns: tuple[str, ...]  # those that it looks at, in order
    rows: int  # of a window
    strayed: Numbers  # of the drawn windows, ascending, as `measure_deviation` measures, shape (draws,)

    def serves(self, columns: tuple[str, ...], rows: int) -> bool:
        """Whether it stands for the null of these columns in windows of that many rows.

        Distances are p-values of windows of their own length, so half or twice as many rows move what the rarest of
        them is by less than another draw of 4,000 windows does (docs/decisions/calibrated-alarms.md).
        """
        return columns == self.columns and self.rows <= SERVES * rows and rows <= SERVES * self.rows

    @property
    def start(self) -> float:
        """Where the tail starts."""
        return float(np.quantile(self.strayed, 1 - TAIL))

    @property
    def slope(self) -> float:
        """How fast the tail falls: 1 where p-values of contrasts are what they say, less where they are too small."""
        beyond = self.strayed[self.strayed > self.start] - self.start
        return 1 / max(float(beyond.mean()), 1e-9) if len(beyond) else 1.0

    def p_value(self, far: np.ndarray | float) -> np.ndarray:
        """How often a window without drift strays at least so far: counted, and in the tail by an exponential fit."""
        far = np.asarray(far, dtype="float64")
        n = len(self.strayed)
        counted = (n - np.searchsorted(self.strayed, far, side="left") + 1) / (n + 1)
        fitted = TAIL * np.exp(-self.slope * np.maximum(far - self.start, 0))
        return np.where(far > self.start, fitted, np.minimum(counted, 1.0))

    def threshold(self, rate: float) -> float:
        """How far a window strays with this probability."""
        if rate >= TAIL:
            return float(np.quantile(self.strayed, 1 - rate))
        return self.start + float(np.log(TAIL / rate)) / self.slope


@dataclass(frozen=True)
class KeptTogether:
    """How far windows of a profile's sample stray in one joint test."""

    test: str
    arguments: Mapping[str, int]  # its own, and the seed
    columns: tuple[str, ...]  # those that it looks at, in order
    rows: int  # of a window, thinned as the sample is
    strayed: tuple[float, ...]  # of each window, in order of time

    def serves(self, test: str, arguments: Mapping[str, int], columns: tuple[str, ...], rows: int) -> bool:
        """Whether it was made by the same test, for windows of a tenth more or fewer rows at most."""
        same = (self.test, dict(self.arguments), self.columns) == (test, dict(arguments), columns)
        return same and abs(self.rows - rows) <= TENTH * self.rows


@dataclass(frozen=True)
class Nulls:
    """What a profile keeps of them."""

    alone: tuple[Null, ...] = ()  # of columns that are looked at one by one; an entry for each set of them
    together: tuple[KeptTogether, ...] = ()  # of joint tests
