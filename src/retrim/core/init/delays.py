"""How long answers take to become known, from its label times: the horizon, and whether the answer decides it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.core.init.notes import Note
from retrim.core.init.rhythm import span_text

SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Of the answers that a horizon may wait for: which of them is tried on the history, where it is long enough."""
LEVEL = 0.01
"""Share of tables whose delays do not depend on the answer, and of which it is said all the same."""
LEAST = 20
"""Answers below which nothing is tested."""
UNITS = (pd.Timedelta("1D"), pd.Timedelta("1h"), pd.Timedelta("1min"))


@dataclass(frozen=True)
class Delays:
    """From event to label.

    Args:
        known: Of rows whose label is known, 0 or more, shape (n,).
        answers: Their targets, index of `known`.
        waiting: How long rows without a label have waited when the history ends, shape (m,).
        age: From the event of each row of `known` to the end of the history, index of `known`.
    """

    known: pd.Series
    answers: pd.Series
    waiting: pd.Series
    age: pd.Series


def spans_of(delays: Delays, *, classes: bool) -> dict[float, pd.Timedelta]:
    """The span after which each of `SHARES` of the answers are known, of every class too, rounded up to a unit.

    Rows that still wait are counted as answers that take at least that long (Kaplan and Meier 1958), so that a
    history cut off today does not make answers look quick.

    Args:
        delays: At least one known.
        classes: Whether the target is one of classes.
    """
    seconds, waiting = delays.known.dt.total_seconds(), delays.waiting.dt.total_seconds().to_numpy()
    found = {}
    for share in SHARES:
        latest = _quantile(seconds.to_numpy(), waiting, share)
        if classes:
            latest = max(latest, float(seconds.groupby(delays.answers.astype("str")).quantile(share).max()))
        span = pd.Timedelta(np.ceil(latest), "s")
        unit = next((unit for unit in UNITS if span > unit), UNITS[-1])
        found[share] = max(-(-span // unit), 1) * unit
    return found


def known_by(delays: Delays, horizon: pd.Timedelta) -> str:
    """How many of the labels that are known were so by then, in words."""
    share = float((delays.known <= horizon).mean())
    return f"of {len(delays.known)} known {share:.1%} were, the latest after {_text(delays.known.max())}"


def _quantile(known: np.ndarray, waiting: np.ndarray, share: float) -> float:
    """The delay that such a share of all answers do not exceed; the longest known where so many are not known yet."""
    from scipy.stats import CensoredData, ecdf

    left = ecdf(CensoredData(uncensored=known, right=waiting)).sf
    reached = np.flatnonzero(left.probabilities <= 1 - share + 1e-12)
    return float(min(left.quantiles[reached[0]] if len(reached) else np.inf, known.max()))


def delay_notes(delays: Delays, column: str, *, classes: bool) -> list[Note]:
    """Whether the delay depends on the answer, tested on rows old enough that every answer could have come.

    Args:
        delays: Known delays and their answers.
        column: Of the label times.
        classes: Whether the target is one of classes.

    Returns:
        A warning where it does: Kruskal and Wallis's test between classes, Spearman's rank correlation for numbers,
        at a level of 1 %, rows taken as independent.
    """
    from scipy.stats import kruskal, spearmanr

    old = delays.age >= spans_of(delays, classes=classes)[SHARES[-1]]
    known, answers = (delays.known[old], delays.answers[old]) if old.sum() >= LEAST else (delays.known, delays.answers)
    seconds = known.dt.total_seconds()
    if len(known) < LEAST or seconds.nunique() < 2 or answers.nunique() < 2:
        return []
    if classes:
        groups = seconds.groupby(answers.astype("str"))
        p = float(kruskal(*(group.to_numpy() for _, group in groups)).pvalue)
        medians = groups.median()
        first, last = str(medians.idxmin()), str(medians.idxmax())
        seen = (
            f"{first!r} is known after {_text(pd.Timedelta(medians[first], 's'))}, {last!r} after "
            f"{_text(pd.Timedelta(medians[last], 's'))} (medians; Kruskal-Wallis"
        )
    else:
        tied = spearmanr(seconds, answers.to_numpy(dtype="float64"))
        p = float(tied.pvalue)
        seen = (
            f"the larger the answer, the {'later' if tied.statistic > 0 else 'earlier'} it is known (rank correlation "
        )
        seen += f"{tied.statistic:.2f}"
    if not p <= LEVEL:
        return []
    done = (
        "rows whose label has come are no fair sample: only those whose label was due are used; a horizon shorter than "
        "the slowest answer lets some of that in"
    )
    shown = f"p < {LEVEL:g}" if p < LEVEL / 10 else f"p = {p:.2g}"
    return [Note("label delay", column, f"depends on the answer: {seen}, {shown}, level {LEVEL:.0%})", done, "warn")]


def _text(span: pd.Timedelta) -> str:
    """A span to the nearest of its own unit, as people say it."""
    unit = next((unit for unit in UNITS if span >= 2 * unit), pd.Timedelta("1s"))
    return span_text(pd.Timedelta(round(span / unit) * unit))
