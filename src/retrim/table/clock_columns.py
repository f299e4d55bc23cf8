"""Columns that the event time decides: an hour, a weekday, a month, a quarter, in whatever spelling."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

MOST_VALUES = 366  # distinct values of such a column, at most
ERRORS = 0.02  # rows that the time gets wrong, as a share of those that the commonest value gets wrong
PERIODS = 2  # days, weeks, months or years in which a part of the clock has to have come before it is known
LEAST = 20  # rows of a batch about which the time says something
# What a number that counts along with a part may differ by before that part came in several periods: 202301 follows
# 202212, as no month does.
OFFSETS = (-1, 0, 1)


@dataclass(frozen=True)
class ClockColumn:
    """A column that the event time decides."""

    part: str  # of the calendar, such as `month`
    says: dict[int, object]  # the value at each number that came in several periods; at all, where it counts along
    known: frozenset[object]  # every value seen


class ClockPart(NamedTuple):
    """One part of the calendar of rows."""

    numbers: np.ndarray  # that came, ascending, shape (k,)
    places: np.ndarray  # of the number of each row among them, shape (n,)
    often: np.ndarray  # whether each came in several periods, shape (k,)


def parts_of(times: pd.Series, zone: str) -> dict[str, ClockPart]:
    """The calendar of event times, as clocks in a zone show it."""
    local = times.dt.tz_convert(zone)
    year, iso = local.dt.year, local.dt.isocalendar().astype("int64")
    named = {
        "hour": (local.dt.hour, local.dt.normalize().astype("int64")),
        "weekday": (local.dt.day_of_week, iso["year"] * 53 + iso["week"]),
        "day_of_month": (local.dt.day, year * 12 + local.dt.month),
        "month": (local.dt.month, year),
        "quarter": (local.dt.quarter, year),
        "week": (iso["week"], iso["year"]),
        "day_of_year": (local.dt.day_of_year, year),
        "year": (year, year * 0),
    }
    parts = {}
    for name, (number, period) in named.items():
        numbers, places = np.unique(number, return_inverse=True)
        periods = pd.factorize(period)[0]
        many = int(periods.max(initial=0)) + 1
        in_periods = np.bincount(np.unique(places * many + periods) // many, minlength=len(numbers))
        parts[name] = ClockPart(numbers, places, in_periods >= PERIODS)
    return parts


def clock_column(values: pd.Series, parts: Mapping[str, ClockPart]) -> ClockColumn | None:
    """How the event time decides a column; None where it does not."""
    codes, distinct = pd.factorize(values)
    if not 1 < len(distinct) <= MOST_VALUES or (codes < 0).mean() > ERRORS:
        return None
    seen, wide = codes >= 0, len(distinct)
    candidates: list[tuple[float, ClockColumn]] = []
    for name, part in parts.items():
        cells = part.places[seen] * wide + codes[seen]
        table = np.bincount(cells, minlength=len(part.numbers) * wide).reshape(-1, wide)
        modes = table.argmax(axis=1)
        steps = distinct.to_numpy()[modes] - part.numbers if values.dtype.kind == "f" else np.empty(0)
        along = len(steps) > 1 and bool((steps == steps[0]).all())
        along = along and (name == "year" or bool(part.often.all()) or steps[0] in OFFSETS)
        counted = table if along else table[part.often]
        total = counted.sum()
        wrong, alone = total - counted.max(axis=1, initial=0).sum(), total - counted.sum(axis=0).max(initial=0)
        if total < LEAST or alone == 0 or wrong > ERRORS * alone:
            continue
        numbers = np.arange(part.numbers[-1] + MOST_VALUES) if along else part.numbers[part.often]
        values_at = numbers + steps[0] if along else distinct.to_numpy()[modes[part.often]]
        says = dict(zip(numbers.tolist(), values_at.tolist(), strict=True))
        candidates.append((-wrong / total, ClockColumn(name, says, frozenset(distinct.tolist()))))
    return max(candidates, key=lambda candidate: candidate[0])[1] if candidates else None


def clock_columns(
    rows: pd.DataFrame, names: Collection[str], zone: str, *, time: str = "_event"
) -> dict[str, ClockColumn]:
    """Those of some columns that the event time decides."""
    parts = parts_of(rows[time], zone)
    columns = {name: clock_column(rows[name], parts) for name in names}
    return {name: column for name, column in columns.items() if column is not None}
