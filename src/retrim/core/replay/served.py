"""Who served which row: each is the business of the version that was live when it happened."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Served:
    """Losses of rows on both sides, each by the version that was live when it happened.

    Args:
        event: When each row happened, in time order, shape (n,).
        history: Loss of each in history, shape (n,).
        replay: The same in the replay.
    """

    event: pd.Series
    history: np.ndarray
    replay: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.event)

    def between(self, since: pd.Timestamp, until: pd.Timestamp) -> "Served":
        """The rows that happened in `[since, until)`."""
        inside = ((self.event >= since) & (self.event < until)).to_numpy()
        return Served(self.event[inside], self.history[inside], self.replay[inside])

    @property
    def means(self) -> tuple[float, float] | None:
        """Mean loss in history and in the replay; None without rows."""
        return (float(self.history.mean()), float(self.replay.mean())) if self.rows else None


def losses_as_served(
    rows: pd.DataFrame, releases: Sequence[tuple[pd.Timestamp, int]], losses: Callable[[int, pd.DataFrame], np.ndarray]
) -> np.ndarray:
    """The loss of each row by the version that was live when it happened.

    Args:
        rows: With `_event`, in time order, shape (n, columns).
        releases: When each version went live, oldest first. It serves what happens from then on.
        losses: What a version loses on rows: shape (m,) for m of them.

    Returns:
        Shape (n,); NaN where nothing was live yet, which is everywhere where nothing ever went live.
    """
    found = np.full(len(rows), np.nan)
    event = rows["_event"]
    ends = [*(at for at, _ in releases[1:]), None][: len(releases)]
    for (at, version), end in zip(releases, ends, strict=True):
        mine = (event >= at) if end is None else (event >= at) & (event < end)
        place = np.flatnonzero(mine.to_numpy())
        if len(place):
            found[place] = losses(version, rows.iloc[place])
    return found
