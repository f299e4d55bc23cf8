"""What a drift test said of a column, and of which windows."""

from dataclasses import dataclass
from typing import Any

import pandas as pd

from retrim.core.drift.profile import Profile


@dataclass(frozen=True)
class Extent:
    """What a window held: event time of its first and last row, and how many rows."""

    first: pd.Timestamp
    last: pd.Timestamp
    rows: int

    @classmethod
    def of(cls, event: "pd.Series[pd.Timestamp]") -> "Extent":
        """The extent of rows with these event times, 1 or more."""
        return cls(event.min(), event.max(), len(event))

    @classmethod
    def of_profile(cls, profile: Profile) -> "Extent":
        """The extent of a profile's rows."""
        return cls(profile.blocks["first"].iloc[0], profile.blocks["last"].iloc[-1], profile.rows)

    def as_record(self) -> dict[str, Any]:
        return {"first": self.first.isoformat(), "last": self.last.isoformat(), "rows": self.rows}


@dataclass(frozen=True)
class Finding:
    """What one test said of one column.

    Args:
        column: A feature, `_score`, `_confidence` or `_target`.
        test: Its name.
        statistic: The test's own.
        effect: How far the windows are apart.
        p_value: Calibrated: how often any column of a window without drift strays as far as this one. Else for rows
            that know nothing of one another; None where the test has none.
        threshold: On the effect.
        over: Calibrated: whether the p-value is at most the rate that was asked for. Else whether the effect exceeds
            the threshold.
        contrast: What strayed furthest, such as "location"; like all up to `promise` None without calibration.
        shift: Of that contrast, from the reference to the current window.
        seen: The smallest shift of it that a window of these rows shows four times in five.
        unit: Of both: `sd`, `spread` (growth of the variance) or `share`.
        promise: Whether the history can keep the rate for this column.
        rank: Importance times effect over threshold: how much it is likely to hurt. A feature's importance is its
            share of the champion's gain, 0 to 1; predictions and target have 1.
        reference: The reference window.
        current: The current one.
        loss_change: How the champion's mean loss would have changed by this column's shift alone, from the losses that
            are known in each of its slices; 0 within noise, None where it is not known.
    """

    column: str
    test: str
    statistic: float
    effect: float
    p_value: float | None
    threshold: float
    over: bool
    contrast: str | None
    shift: float | None
    seen: float | None
    unit: str | None
    promise: str | None
    rank: float
    reference: Extent
    current: Extent
    loss_change: float | None = None

    def as_record(self) -> dict[str, Any]:
        """The finding in plain JSON types, times in ISO 8601."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**plain, "reference": self.reference.as_record(), "current": self.current.as_record()}
