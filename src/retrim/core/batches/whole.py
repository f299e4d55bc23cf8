"""A batch as a whole against those before: rows there twice, sent before, or cut short."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from retrim.core.batches.concern import Concern

TWICE = 0.1  # share of rows that are there twice, on top of the most there ever was
RESENT = 0.5  # share of runs of rows that were sent before, on top of the most there ever was
RUN = 3  # rows of a run: one row may be like another by chance, three in a row hardly
LEAST_SPANS = 4  # earlier batches, at least, to know what a usual span is
FEW = 0.1  # rows for its span, as a share of the least there ever were


def twice_concern(rows: pd.DataFrame, windows: Sequence[pd.DataFrame]) -> Concern | None:
    """Rows of the batch that are there twice, all their columns alike."""
    share, most = _twice(rows), max(_twice(window) for window in windows)
    if share <= most + TWICE:
        return None
    return Concern("broken", "", f"{share:.0%} of its rows are there twice, at most {most:.0%} before")


def _twice(rows: pd.DataFrame) -> float:
    return float(rows.duplicated().mean())


def resent_concern(rows: pd.DataFrame, windows: Sequence[pd.DataFrame]) -> Concern | None:
    """Rows that were sent before under other times and keys, told by runs of rows alike in all else.

    Args:
        rows: Of the batch without time and key, in order of time.
        windows: Likewise of earlier windows, oldest first.
    """
    seen = _runs(windows[0])
    most = 0.0
    for window in windows[1:]:
        own = _runs(window)
        most = max(most, float(np.isin(own, seen).mean()) if len(own) else 0.0)
        seen = np.concatenate([seen, own])
    runs = _runs(rows)
    share = float(np.isin(runs, seen).mean()) if len(runs) else 0.0
    if share <= most + RESENT:
        return None
    return Concern("broken", "", f"{share:.0%} of it was sent before under other times, at most {most:.0%} ever was")


def _runs(rows: pd.DataFrame) -> np.ndarray:
    """A number for every run of rows: the same for the same rows in the same order."""
    numbers = [name for name in rows.columns if pd.api.types.is_numeric_dtype(rows[name])]
    plain = rows.reset_index(drop=True).astype(dict.fromkeys(numbers, "float64"))
    hashes = pd.util.hash_pandas_object(plain, index=False).to_numpy()
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
    """A batch that ends long before it arrives and covers hardly any time, or has hardly any rows.

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
    spans = [later - earlier for earlier, later in pairwise(ends) if later > earlier]
    if len(spans) < LEAST_SPANS:
        return None
    covered, shortest = event.max() - max(ends), min(spans)
    lag = arrives - event.max()
    # one that comes early covers less and is whole
    if pd.Timedelta(0) < covered < share * shortest and lag > max(lags) + share * shortest:
        text = (
            f"it ends {_days(covered)} after the batch before and {_days(lag)} before it came; the shortest before "
            f"covered {_days(shortest)}: cut short"
        )
        return Concern("broken", "", text)
    least = min(counts[1:])
    if len(event) < FEW * least:
        return Concern("unsure", "", f"it has {len(event)} rows, at least {least} before: cut short, or sampled")
    return None


def _days(span: pd.Timedelta) -> str:
    return f"{span / pd.Timedelta('1D'):.3g} days"
