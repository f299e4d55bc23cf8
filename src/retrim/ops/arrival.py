"""When a batch arrives. Arrivals go forward, or a table as of a past date would change after the fact."""

import pandas as pd

from retrim.adapters.landing import Landing
from retrim.errors import BadInputError

A_SECOND = pd.Timedelta("1s")


def clock() -> pd.Timestamp:
    """Now, to the second, as checks and runs count it."""
    return pd.Timestamp.now("UTC").floor("s")


def arrival(landing: Landing, now: pd.Timestamp | None, *, correction: bool) -> pd.Timestamp:
    """The arrival time of what is about to land, `now` or the clock's. Hold the landing zone's lock.

    Raises:
        BadInputError: It has no time zone, is before the last arrival, or for a correction at the same time.
    """
    last = max((file.arrived for file in landing.batches()), default=None)
    if now is None:
        now = clock()
        if last is not None and now <= last <= now + A_SECOND:
            now = last + A_SECOND if correction else last
    if now.tzinfo is None:
        raise BadInputError(f"arrival time {now} has no time zone; give it in UTC")
    if last is not None and (now < last or (correction and now == last)):
        raise BadInputError(
            f"arrival time {now} is not after that of the last batch, {last}; arrivals go forward, so give a later "
            "one; or, if the clock ran ahead when that came, see: retrim batch repair-arrivals"
        )
    return now
