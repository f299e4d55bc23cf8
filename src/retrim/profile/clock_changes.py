"""Clock changes that show in times without a zone."""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def daylight_saving(walls: pd.Series, zones: Sequence[str]) -> str:
    """The first zone whose clock changes show in regular wall times: an hour skipped in spring, one twice in autumn.

    Args:
        walls: Wall times taken as UTC, shape (n,).

    Returns:
        The zone; empty where no change shows, as for times in UTC.
    """
    seen = pd.DatetimeIndex(walls.dt.tz_localize(None).unique()).sort_values()
    if len(seen) < 2 or seen[-1] - seen[0] < pd.Timedelta("180D"):
        return ""
    if pd.Series(seen).diff().median() > pd.Timedelta("2h"):
        return ""
    hours = pd.DatetimeIndex(walls.dt.tz_localize(None).dt.floor("h"))
    counts = pd.Series(1, index=hours).groupby(level=0).sum()
    usual = float(counts.median())
    best, most = "", 1
    for zone in zones:
        skipped, twice = _changes(zone, seen[0], seen[-1])
        around = [
            hour
            for hour in skipped
            if hour - pd.Timedelta("1h") in counts.index and hour + pd.Timedelta("1h") in counts.index
        ]
        empty = sum(hour not in counts.index for hour in around)
        doubled = sum(counts.get(hour, 0) >= 1.9 * usual for hour in twice)
        if empty == len(around) and empty + doubled > most and (doubled or not _common(counts)):
            best, most = zone, empty + doubled
    return best


def _common(counts: "pd.Series[int]") -> bool:
    """Whether hours without rows are common, so that a missing one says nothing."""
    hours = (counts.index[-1] - counts.index[0]) / pd.Timedelta("1h") + 1
    return bool(len(counts) < 0.98 * hours)


def _changes(zone: str, first: pd.Timestamp, last: pd.Timestamp) -> tuple[list[pd.Timestamp], list[pd.Timestamp]]:
    """Wall hours that a zone skipped, and those it had twice, between two wall times."""
    days = pd.date_range(first.floor("D"), last.ceil("D"), freq="D")
    placed = days.tz_localize("UTC").tz_convert(zone).tz_localize(None).to_numpy()
    changed = days[:-1].to_numpy()[np.diff(placed) != np.timedelta64(1, "D")]
    # Hours of these days alone: one row of long ago would make them many.
    hours = pd.DatetimeIndex((changed[:, None] + np.arange(25) * np.timedelta64(1, "h")).ravel(), tz="UTC")
    walls = hours.tz_convert(zone).tz_localize(None).to_numpy().reshape(-1, 25)
    before, steps = walls[:, :-1], np.diff(walls)
    skipped = pd.DatetimeIndex(before[steps == np.timedelta64(2, "h")]) + pd.Timedelta("1h")
    return list(skipped), list(pd.DatetimeIndex(before[steps == np.timedelta64(0, "h")]))
