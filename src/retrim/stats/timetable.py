"""When a timetable is due: a span after a moment, or the next moment of a cron expression, in UTC."""

import re
from collections.abc import Iterator
from datetime import date
from hashlib import sha256

import pandas as pd

FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 7))
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
CRON = re.compile(r"\S+( \S+){4}")
"""What is no cron expression is a span, which may hold a blank too: `1 day`."""
PART = re.compile(r"(?:\*|(\d+)(?:-(\d+))?)(?:/(\d+))?")
EPOCH = pd.Timestamp(0, tz="UTC")
SPREAD_SECONDS = 60
"""Within which schedules that are due together begin."""
DAYS_LOOKED_AT = 366 * 8  # 29 February may be eight years away


def next_due(timetable: str, after: pd.Timestamp) -> pd.Timestamp:
    """The first moment after `after` that a timetable names.

    Args:
        timetable: A span such as "90D", counted from `after`; or a cron expression of five fields in UTC.
        after: With a time zone.

    Raises:
        ValueError: It is neither, or describes a time that never comes, such as 31 February.
    """
    if not CRON.fullmatch(timetable):
        return after + pd.Timedelta(timetable)
    minutes, hours, days, months, weekdays = cron_fields(timetable)
    either = timetable.split()[2] != "*" and timetable.split()[4] != "*"  # as cron does: one of the two suffices
    start = after.tz_convert("UTC").floor("min") + pd.Timedelta("1min")
    for number in range(DAYS_LOOKED_AT):
        day = (start.normalize() + pd.Timedelta(number, "D")).date()
        if day.month not in months or not _is_day(day, days, weekdays, either=either):
            continue
        for hour in sorted(hours):
            for minute in sorted(minutes):
                moment = pd.Timestamp(day, tz="UTC") + pd.Timedelta(hours=hour, minutes=minute)
                if moment >= start:
                    return moment
    raise ValueError(f"{timetable!r} describes a time that never occurs; correct its day and month")


def due_between(timetable: str, after: pd.Timestamp, until: pd.Timestamp) -> Iterator[pd.Timestamp]:
    """The moments in `(after, until]` that the timetable of a schedule names, in order; a span is counted from 1970.

    Raises:
        ValueError: The timetable is neither a span nor a cron expression.
    """
    moment = after
    if not CRON.fullmatch(timetable):
        every = pd.Timedelta(timetable)
        moment = EPOCH + ((after - EPOCH) // every) * every
    while (moment := next_due(timetable, moment)) <= until:
        yield moment


def start_offset(model: str, timetable: str) -> int:
    """Seconds after a due time at which the runs of a model begin, so that those of many do not begin together.

    The same for the same name, less than a minute, and less than the span of a timetable that is one.
    """
    longest = SPREAD_SECONDS
    if not CRON.fullmatch(timetable):
        longest = min(longest, int(pd.Timedelta(timetable).total_seconds()))
    return int(sha256(model.encode()).hexdigest(), 16) % max(longest, 1)


def cron_fields(cron: str) -> list[set[int]]:
    """The values that each field of a cron expression allows: minutes, hours, days, months, weekdays (Sunday 0).

    Raises:
        ValueError: A field cannot be read, or a value is out of bounds.
    """
    fields = cron.lower().split()
    if len(fields) != len(FIELDS):
        raise ValueError(
            f"{cron!r} has {len(fields)} fields, but a cron expression has 5; write minute, hour, day, month, weekday"
        )
    found = [_values(field, *bounds) for field, bounds in zip(fields, FIELDS, strict=True)]
    found[4] = {value % 7 for value in found[4]}
    return found


def _values(field: str, name: str, low: int, high: int) -> set[int]:
    names = {"month": ("", *MONTHS), "weekday": WEEKDAYS}.get(name, ())
    values: set[int] = set()
    for part in field.split(","):
        numbers = re.sub("[a-z]{3}", lambda word: str(names.index(word[0])) if word[0] in names else word[0], part)
        read = PART.fullmatch(numbers)
        if read is None:
            raise ValueError(
                f"{part!r} is not a valid {name} in a cron expression; write a number or a range such as 1-5"
            )
        first = low if read[1] is None else int(read[1])
        last = int(read[2]) if read[2] else high if read[1] is None or read[3] else first
        step = int(read[3] or 1)
        if not low <= first <= last <= high or step < 1:
            raise ValueError(
                f"{part!r} is not a valid {name} in a cron expression; write a number from {low} to {high}"
            )
        values |= set(range(first, last + 1, step))
    return values


def _is_day(day: date, days: set[int], weekdays: set[int], *, either: bool) -> bool:
    is_day, is_weekday = day.day in days, day.isoweekday() % 7 in weekdays
    return is_day or is_weekday if either else is_day and is_weekday
