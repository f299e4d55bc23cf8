"""Residuals of a regression: against time, and against what was predicted."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.report.style import COLOURS, MUTED, drawn_side_by_side, naive

PARTS = 20
"""Parts of the rows whose median residual the line goes through."""


def residuals(events: Sequence[pd.Timestamp], actual: np.ndarray, predicted: np.ndarray) -> bytes:
    """A point a row, actual less predicted, and a line through the medians of parts of the rows.

    Args:
        events: Event time of each row, in time order, shape (n,), n at least 1.
        actual: Shape (n,).
        predicted: Shape (n,).
    """
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num

    left = np.asarray(actual, dtype=float) - np.asarray(predicted, dtype=float)
    times = np.array([date2num(naive(at)) for at in events])  # type: ignore[no-untyped-call]  # matplotlib leaves it untyped
    with drawn_side_by_side("Residuals", width=9.6, height=4.2, count=2) as (several, made):
        for axes, along, label in (
            (several[0], times, "event time (UTC)"),
            (several[1], np.asarray(predicted, dtype=float), "predicted, in units of the target"),
        ):
            axes.axhline(0, color=MUTED, linewidth=1)
            crowd = min(1.0, 400 / len(left))
            axes.scatter(along, left, s=6 + 8 * crowd, alpha=0.15 + 0.35 * crowd, color=COLOURS[0], linewidths=0)
            middles = _medians(along, left)
            axes.plot(*middles, color=COLOURS[1], linewidth=1.6, label=f"median of a part, {len(middles[0])} parts")
            axes.set_xlabel(label)
        locator = AutoDateLocator(minticks=3, maxticks=6)  # type: ignore[no-untyped-call]  # as above
        several[0].xaxis.set_major_locator(locator)
        several[0].xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # as above
        several[0].set_ylabel("actual - predicted, in units of the target")
        several[1].legend(loc="best")
    return made.getvalue()


def _medians(along: np.ndarray, left: np.ndarray) -> tuple[Any, Any]:
    parts = [part for part in np.array_split(np.argsort(along, kind="stable"), PARTS) if len(part)]
    return [along[part].mean() for part in parts], [np.median(left[part]) for part in parts]
