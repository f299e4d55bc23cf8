"""When an alert is told: again or not, now or later."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from retrim.alerting.kinds import HOURS, KIND_FACTS, Alert, AlertKind, AlertParams, Severity

FIRST_RETRY, LAST_RETRY = pd.Timedelta("1min"), pd.Timedelta("1h")
KEPT = pd.Timedelta("3D")
"""For how long an alert is tried."""


def is_to_be_told(
    kind: AlertKind,
    *,
    same_words: pd.Timestamp | None,
    same_matter: pd.Timestamp | None,
    params: AlertParams,
    now: pd.Timestamp,
) -> bool:
    """Whether an alert that is recorded now is told: an event once, what lasts as often as `alerts.remind` says.

    Args:
        kind: Its kind.
        same_words: When an alert of the same kind and text was last told; None: never.
        same_matter: When one of the same kind about the same thing was; None: never.
        params: How often people are told.
        now: By the clock.
    """
    if not KIND_FACTS[kind].lasts:
        return same_words is None
    told = max((each for each in (same_words, same_matter) if each is not None), default=None)
    return told is None or not pd.Timedelta(0) <= now - told < pd.Timedelta(params.remind)


def without_figures(text: str) -> str:
    """What a failure is about: another one is told too, the same with other figures is not."""
    return re.sub(r"\d+", "#", text)


@dataclass(frozen=True)
class WaitingAlert:
    """An alert that an address has not taken yet.

    Args:
        alert: The alert.
        attempts: How often it was tried.
        due: When it is tried next; None: at once.
        claimed: Whether a process is at it; after `due` that process is taken for dead.
    """

    alert: Alert
    attempts: int
    due: pd.Timestamp | None
    claimed: bool


def alerts_due(
    waiting: Sequence[WaitingAlert], *, last_sent: pd.Timestamp | None, params: AlertParams, now: pd.Timestamp
) -> tuple[WaitingAlert, ...]:
    """The alerts that go to an address now, in one message, the gravest first.

    Args:
        waiting: All that wait for this address.
        last_sent: When a message last went to it, or may have gone; None: never.
        params: How often people are told.
        now: By the clock.
    """
    if last_sent is not None and pd.Timedelta(0) <= now - last_sent < pd.Timedelta(params.every):
        return ()
    free = [each for each in waiting if not each.claimed or each.due is None or each.due <= now]
    if is_quiet(params.quiet, now):
        free = [each for each in free if each.alert.severity is Severity.CRITICAL]
    if not any(each.due is None or each.due <= now for each in free):
        return ()
    order = list(Severity)
    return tuple(sorted(free, key=lambda each: (order.index(each.alert.severity), each.alert.at, each.alert.id)))


def is_quiet(hours: str | None, now: pd.Timestamp) -> bool:
    """Whether a moment lies in the quiet hours, which may pass midnight."""
    found = None if hours is None else HOURS.fullmatch(hours)
    if found is None:
        return False
    begin, end = int(found[1]) * 60 + int(found[2]), int(found[3]) * 60 + int(found[4])
    utc = now.tz_convert("UTC")
    minute = utc.hour * 60 + utc.minute
    return begin <= minute < end if begin < end else minute >= begin or minute < end


def retry_after(attempts: int) -> pd.Timedelta:
    """How long after a failed attempt the next is made: 1 minute, then twice as long each time, up to an hour.

    Args:
        attempts: Failed so far, 1 or more.
    """
    return min(pd.Timedelta(FIRST_RETRY * 2 ** min(attempts - 1, 10)), LAST_RETRY)
