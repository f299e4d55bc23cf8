"""Alarms: how many false ones are wanted, in words, and what a calibrated check says of a column."""

from dataclasses import dataclass
from typing import Literal

import pandas as pd
from pydantic import Field

from retrim.errors import BadInputError
from retrim.stats.plugins import Seed, SettingsSection

Promise = Literal["promised", "extrapolated", "cannot be promised"]
YEAR = pd.Timedelta("365.25D")
PERIODS = {"day": YEAR / 365.25, "week": 7 * YEAR / 365.25, "month": YEAR / 12, "quarter": YEAR / 4, "year": YEAR}
REACH = 10.0  # a tail is believed to this many times what the history can show
LEAST_STRETCHES = 8.0  # with fewer in the history nothing is known of how a column strays


class AlarmParams(SettingsSection):
    """How many false alarms are wanted."""

    at_most: float = Field(default=1.0, gt=0, description="false alarms, on average, over all columns together")
    per: Literal["day", "week", "month", "quarter", "year"] = Field(
        exclude=True, default="year", description="in this time; one a month is twelve a year"
    )
    draws: int = Field(
        exclude=True,
        default=4000,
        ge=1000,
        description="windows drawn from the reference; the rates of the benchmarks were measured with it",
    )
    seed: Seed = Field(default=7, description="of the draws")

    def rate(self, every: pd.Timedelta) -> float:
        """The probability of a false alarm that each check may have.

        An alarm that lasts over several checks is one episode; counting every alarmed check errs on the safe side.

        Args:
            every: Time from one check to the next, above 0.

        Raises:
            BadInputError: This many alarms would be one at every second check, or more.
        """
        found = float(self.at_most * (every / PERIODS[self.per]))
        if found >= 0.5:
            raise BadInputError(
                f"drift.alarms: {self.at_most:g} per {self.per} is {found:.2g} for each check (one every "
                f"{every}, data.batch_every); below 0.5 is allowed; ask for fewer alarms, or for batches more often"
            )
        return found


@dataclass(frozen=True)
class AlarmRequest:
    """What is asked of the columns that are looked at together.

    Args:
        rate: False alarms for each check, over all of its columns.
        share: Of these, what these columns may use, above 0, at most 1.
        draws: Windows drawn.
        seed: Of the draws.
    """

    rate: float
    share: float
    draws: int
    seed: int


def promise(rate: float, reach: float) -> Promise:
    """Whether a history can keep a rate.

    Args:
        rate: Of false alarms for each check.
        reach: Stretches of the history that know nothing of one another: it shows what happens once in that many.
    """
    if reach < LEAST_STRETCHES or rate * reach * REACH < 1:
        return "cannot be promised"
    return "promised" if rate * reach >= 1 else "extrapolated"


@dataclass(frozen=True)
class Alarm:
    """What calibration says of one column: of its values, or of how many are missing.

    Args:
        column: Its name.
        of: Which of the two.
        contrast: What strayed furthest, such as "location".
        unit: What `shift` and `smallest` are counted in: `sd` of the column, `spread` (growth of its variance)
            or `share` of rows.
        shift: From the reference to the window.
        smallest: The shift of that contrast that such a window would have shown four times in five.
        p_value: How often any column of a window without drift strays as far as this one does, so it is adjusted
            for all columns.
        alarmed: Whether that is rarer than asked.
        promise: Whether the history can keep the rate for this column.
        reach: The history covers 1 in this many.
    """

    column: str
    of: Literal["values", "missing"]
    contrast: str
    unit: str
    shift: float
    smallest: float
    p_value: float
    alarmed: bool
    promise: Promise
    reach: float
