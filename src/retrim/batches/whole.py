"""What is the matter with a batch as a whole: rows that are there twice, were sent before, or are missing."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from retrim.batches.concern import Concern

TWICE = 0.1  # share of rows that are there twice, on top of the most there ever was
RESENT = 0.5  # share of runs of rows that were sent before, on top of the most there ever was
RUN = 3  # rows of a run: one row may be like another by chance, three in a row hardly
LEAST_SPANS = 4  # earlier batches, at least, to know what a usual span is
FEW_FOR_SPAN = 0.1  # rows for its span, as a share of the fewest there ever were in as much time
SURELY_ROWS = 20.0  # rows that are usual for its span at least: hardly any of them is no chance
CUT_SHORT = 0.5  # share of the shortest usual span, less than which is cut short
FEW_ROWS = 0.6  # of the fewest rows of the newest batches, where files come in even steps
NEWEST = 12  # batches, at most, whose fewest rows those are
EVEN = 1.25  # the longest of even steps over the shortest: months are such


def twice_concern(rows: pd.DataFrame, windows: Sequence[pd.DataFrame]) -> Concern | None:
    """Rows of the batch that are there twice, all their columns alike.

    Where rows come twice by themselves, only a batch that was doubled as a whole is surely broken.
    """
    share, *usual = (float(window.duplicated().mean()) for window in (rows, *windows))
    most = max(usual)
    if share <= most + TWICE:
        return None
    is_sure = most <= TWICE or share >= (1 + min(usual)) / 2
    text = f"{share:.0%} of its rows occur twice, at most {most:.0%} before"
    return Concern("broken" if is_sure else "suspicious", "rows twice", "", text)


def resent_concern(rows: pd.DataFrame, windows: Sequence[pd.DataFrame]) -> Concern | None:
    """Rows that were sent before under other times and keys, told by runs of rows alike in all else.

    Args:
        rows: Of the batch without time and key, in order of time.
    """
    plain = pd.concat([*windows, rows], ignore_index=True)
    numbers = [name for name in plain.columns if pd.api.types.is_numeric_dtype(plain[name])]
    hashes = pd.util.hash_pandas_object(plain.astype(dict.fromkeys(numbers, "float64")), index=False).to_numpy()
    ends = np.cumsum([len(window) for window in windows])
    seen, *later = (_runs(part) for part in np.split(hashes, ends))
    shares = []
    for runs in later:
        shares.append(float(np.isin(runs, seen).mean()) if len(runs) else 0.0)
        seen = np.concatenate([seen, runs])
    share, most = shares[-1], max(shares[:-1], default=0.0)
    if share <= most + RESENT:
        return None
    text = f"{share:.0%} of its rows were sent before under other times, at most {most:.0%} in any earlier batch"
    return Concern("broken", "sent before", "", text)


def _runs(hashes: np.ndarray) -> np.ndarray:
    """A number for every run of rows: the same for the same rows in the same order."""
    runs = np.zeros(max(len(hashes) - RUN + 1, 0), dtype="uint64")
    for offset in range(RUN if len(runs) else 0):
        runs = runs * np.uint64(0x9E3779B97F4A7C15) + hashes[offset : len(runs) + offset]
    return runs


def cut_concern(
    event: pd.Series,
    arrives: pd.Timestamp,
    ends: Sequence[pd.Timestamp],
    lags: Sequence[pd.Timedelta],
    counts: Sequence[int],
) -> Concern | None:
    """A batch that ends long before it arrives and covers hardly any time, or has hardly any rows for its time.

    It is broken where it came when one was due. Otherwise files may have begun to come more often.
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
    if covered < CUT_SHORT * shortest and lag > max(lags) + CUT_SHORT * shortest:
        text = f"it ends {_days(covered)} after the previous batch and {_days(lag)} before its arrival; the shortest "
        text += f"earlier batch covered {_days(shortest)}: cut short"
        return Concern("broken" if _was_due(arrives, ends, lags) else "suspicious", "cut short", "", text)
    fewest = min(counts[-NEWEST:])
    if fewest >= SURELY_ROWS and len(event) < FEW_ROWS * fewest and _was_due(arrives, ends, lags):
        text = f"it has {len(event)} rows, but no batch of the {len(counts[-NEWEST:])} before has fewer than {fewest}"
        return Concern("suspicious", "cut short", "", f"{text}: cut short, or sampled")
    least = min(rows / span.total_seconds() for span, rows in spans) * covered.total_seconds()
    if least < SURELY_ROWS or len(event) >= FEW_FOR_SPAN * least:
        return None
    text = f"it has {len(event)} rows, but at least {least:.0f} are usual for its span: cut short, or sampled"
    return Concern("suspicious", "cut short", "", text)


def _was_due(arrives: pd.Timestamp, ends: Sequence[pd.Timestamp], lags: Sequence[pd.Timedelta]) -> bool:
    """Whether the newest batches came in even steps, and this one a step after the last."""
    arrivals = [end + delay for end, delay in zip(ends, lags, strict=True)][-LEAST_SPANS - 1 :]
    steps = [later - earlier for earlier, later in pairwise(arrivals)]
    even = pd.Timedelta(0) < max(steps) <= EVEN * min(steps)
    return bool(even and min(steps) / EVEN <= arrives - arrivals[-1] <= EVEN * max(steps))


def _days(span: pd.Timedelta) -> str:
    return f"{span / pd.Timedelta('1D'):.3g} days"
