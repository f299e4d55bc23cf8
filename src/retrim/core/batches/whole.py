"""A batch as a whole against those before: rows there twice, sent before, or cut short."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from retrim.core.batches.concern import Concern, Gravity

TWICE = 0.1  # share of rows that are there twice, on top of the most there ever was
RESENT = 0.5  # share of runs of rows that were sent before, on top of the most there ever was
RUN = 3  # rows of a run: one row may be like another by chance, three in a row hardly
LEAST_SPANS = 4  # earlier batches, at least, to know what a usual span is
FEW = 0.1  # rows for its span, as a share of the fewest there ever were in as much time
SURELY = 20.0  # rows that are usual for its span at least: hardly any of them is no chance
EVEN = 1.25  # the longest of even steps over the shortest: months are such


def twice_concern(rows: pd.DataFrame, windows: Sequence[pd.DataFrame]) -> Concern | None:
    """Rows of the batch that are there twice, all their columns alike.

    Where rows come twice by themselves, only a batch that was doubled as a whole is surely broken.
    """
    usual = [_twice(window) for window in windows]
    share, most = _twice(rows), max(usual)
    if share <= most + TWICE:
        return None
    verdict: Gravity = "broken" if most <= TWICE or share >= (1 + min(usual)) / 2 else "suspicious"
    return Concern(verdict, "rows twice", "", f"{share:.0%} of its rows are there twice, at most {most:.0%} before")


def _twice(rows: pd.DataFrame) -> float:
    return float(rows.duplicated().mean())


def resent_concern(rows: pd.DataFrame, windows: Sequence[pd.DataFrame]) -> Concern | None:
    """Rows that were sent before under other times and keys, told by runs of rows alike in all else.

    Args:
        rows: Of the batch without time and key, in order of time.
        windows: Likewise of earlier windows, all as long, oldest first.
    """
    hashes, length = _hashes(pd.concat([*windows, rows])), len(windows[0])
    seen = _runs(hashes[:length])
    most = 0.0
    for place in range(1, len(windows)):
        own = _runs(hashes[place * length : (place + 1) * length])
        most = max(most, float(np.isin(own, seen).mean()) if len(own) else 0.0)
        seen = np.concatenate([seen, own])
    runs = _runs(hashes[len(windows) * length :])
    share = float(np.isin(runs, seen).mean()) if len(runs) else 0.0
    if share <= most + RESENT:
        return None
    text = f"{share:.0%} of it was sent before under other times, at most {most:.0%} ever was"
    return Concern("broken", "sent before", "", text)


def _hashes(rows: pd.DataFrame) -> np.ndarray:
    """A number for every row: the same for the same row."""
    numbers = [name for name in rows.columns if pd.api.types.is_numeric_dtype(rows[name])]
    plain = rows.reset_index(drop=True).astype(dict.fromkeys(numbers, "float64"))
    return np.asarray(pd.util.hash_pandas_object(plain, index=False).to_numpy())


def _runs(hashes: np.ndarray) -> np.ndarray:
    """A number for every run of rows: the same for the same rows in the same order."""
    if len(hashes) < RUN:
        return np.empty(0, dtype="uint64")
    runs = np.zeros(len(hashes) - RUN + 1, dtype="uint64")
    for place in range(RUN):
        runs = runs * np.uint64(0x9E3779B97F4A7C15) + hashes[place : len(runs) + place]
    return runs


def cut_concern(
    event: pd.Series,
    arrives: pd.Timestamp,
    ends: Sequence[pd.Timestamp],
    lags: Sequence[pd.Timedelta],
    counts: Sequence[int],
    *,
    share: float,
) -> Concern | None:
    """A batch that ends long before it arrives and covers hardly any time, or has hardly any rows for its time.

    It is broken where it came when one was due. Otherwise files may have begun to come more often.

    Args:
        event: Event times of its rows.
        arrives: When it does.
        ends: Event time of the newest row of each earlier batch, oldest first.
        lags: From there to the arrival of each.
        counts: Rows of each.
        share: Of the shortest usual span; a whole batch covers as much.
    """
    if len(ends) <= LEAST_SPANS:
        return None
    pairs = [(later - earlier, rows) for (earlier, later), rows in zip(pairwise(ends), counts[1:], strict=True)]
    spans = [(span, rows) for span, rows in pairs if span > pd.Timedelta(0)]
    covered = event.max() - max(ends)
    if len(spans) < LEAST_SPANS or covered <= pd.Timedelta(0):
        return None
    shortest, lag = min(span for span, _ in spans), arrives - event.max()
    # one that comes early covers less and is whole
    if covered < share * shortest and lag > max(lags) + share * shortest:
        text = (
            f"it ends {_days(covered)} after the batch before and {_days(lag)} before it came; the shortest before "
            f"covered {_days(shortest)}: cut short"
        )
        arrivals = [end + each for end, each in zip(ends, lags, strict=True)]
        verdict: Gravity = "broken" if _was_due(arrives, arrivals[-LEAST_SPANS - 1 :]) else "suspicious"
        return Concern(verdict, "cut short", "", text)
    least = min(rows / span.total_seconds() for span, rows in spans) * covered.total_seconds()
    if least >= SURELY and len(event) < FEW * least:
        text = f"it has {len(event)} rows, at least {least:.0f} would be usual for its time: cut short, or sampled"
        return Concern("suspicious", "cut short", "", text)
    return None


def _was_due(arrives: pd.Timestamp, arrivals: Sequence[pd.Timestamp]) -> bool:
    """Whether batches came in even steps, and this one a step after the last."""
    steps = [later - earlier for earlier, later in pairwise(arrivals)]
    even = pd.Timedelta(0) < max(steps) <= EVEN * min(steps)
    return bool(even and min(steps) / EVEN <= arrives - arrivals[-1] <= EVEN * max(steps))


def _days(span: pd.Timedelta) -> str:
    return f"{span / pd.Timedelta('1D'):.3g} days"
