"""When a batch arrives.

Arrivals go forward, or a table as of a past date would change after the fact. The exception is a batch that came and
was quarantined: it keeps the time at which it came. Versions made meanwhile hold their own batches and still rebuild.
"""

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.errors import BadInputError

A_SECOND = pd.Timedelta("1s")


def clock() -> pd.Timestamp:
    """Now, to the second, as checks and runs count it."""
    return pd.Timestamp.now("UTC").floor("s")


def arrival(
    landing: Landing, now: pd.Timestamp | None, *, correction: bool, came: pd.Timestamp | None = None
) -> pd.Timestamp:
    """The arrival time of what is about to land. Hold the landing zone's lock.

    Args:
        landing: Where it lands.
        now: Its arrival time, UTC; None: when it first came, else by the clock.
        correction: Whether it is a correction.
        came: When it first came and was quarantined; then it may be before others. None: it comes now.

    Raises:
        BadInputError: It has no time zone; or it comes now, and is before the last arrival, or for a correction at the
            same time.
    """
    if came is not None:
        now = came if now is None else now
    last = None if came is not None else max((file.arrived for file in landing.batches()), default=None)
    if now is None:
        now = clock()
        if last is not None and now <= last <= now + A_SECOND:
            now = last + A_SECOND if correction else last
    if now.tzinfo is None:
        raise BadInputError(f"arrival time {now} has no time zone; give it in UTC")
    if last is not None and (now < last or (correction and now == last)):
        raise BadInputError(
            f"arrival time {now} is not after that of the last batch, {last}; arrivals go forward, so give a later "
            "one; or, if the clock ran ahead when that came, see: retrim batch redate"
        )
    return now
