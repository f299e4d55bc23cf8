"""When a timetable is due: a span after a moment, or the next moment of a cron expression, in UTC."""

import re
from collections.abc import Iterator
from hashlib import sha256

import pandas as pd
from cronsim import CronSim, CronSimError

CRON = re.compile(r"\S+( \S+){4}")
"""What is no cron expression is a span, which may hold a blank too: `1 day`."""
EPOCH = pd.Timestamp(0, tz="UTC")
SPREAD_SECONDS = 60
"""Within which schedules that are due together begin."""


def next_due(timetable: str, after: pd.Timestamp) -> pd.Timestamp:
    """The first moment after `after`, which has a time zone, that a timetable names.

    A timetable is a span such as "90D", counted from `after`, or a cron expression of five fields in UTC.

    Raises:
        ValueError: It is neither, or describes a time that never comes, such as 31 February.
    """
    if not CRON.fullmatch(timetable):
        return after + pd.Timedelta(timetable)
    try:
        return pd.Timestamp(next(CronSim(timetable, after.tz_convert("UTC").to_pydatetime())))
    except CronSimError as error:
        raise ValueError(
            f"{timetable!r} is not a valid cron expression, or never occurs ({str(error).lower()}); write minute, "
            "hour, day, month and weekday"
        ) from error


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
