"""The check `re-use`: rows that have judged before are asked for more.

Whoever tries often enough on the same rows finds a challenger that passes by chance. So
the k-th time that rows judge they may be wrong in a share a / k ** p of such tries, where the first
has a = 1 - confidence: however often they judge, an equal challenger passes with at most a x (1 + 2 ** -p +
3 ** -p + ...); with p = 2 that is 1.64 a. Rows that have judged in part count in part.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from retrim.gate.relative_loss import confidence_text
from retrim.gate.verdict import Check


@dataclass(frozen=True)
class EarlierVerdict:
    """An earlier verdict: the version judged, and the events of the first and the last row that judged it."""

    version: int
    start: pd.Timestamp
    end: pd.Timestamp


def uses(earlier: Iterable[EarlierVerdict], events: "pd.Series[pd.Timestamp]") -> float:
    """How often these rows have judged before: over earlier verdicts, the sum of the shares that they had part in."""
    if not len(events):
        return 0.0
    return float(sum(events.between(each.start, each.end).mean() for each in earlier))


def spent(error: float, *, uses: float, power: float) -> float:
    """The error that is left for the next verdict on rows that have judged `uses` times.

    Args:
        error: Of the first verdict on such rows, above 0, below 1.
        uses: 0 or more.
        power: How fast it falls; above 1 the sum over all verdicts is finite, 0: it does not fall.

    Source:
        Alpha spending over a series that converges, as in Foster and Stine (2008), JRSS B 70(2), 429-444, and
        Javanmard and Montanari (2018), Annals of Statistics 46(2), 526-554; there the first share is smaller, so that
        all sum to the error itself.
    """
    return float(error / (1 + uses) ** power)


def reuse(times: float, *, confidence: float) -> Check:
    """Says how often the rows have judged before, and what the gain is asked for; it refuses nothing by itself."""
    often = "never judged before" if times == 0 else f"judged {times:.3g} times before"
    text = f"these rows have {often}; the gain is asked for at {confidence_text(confidence)} confidence"
    return Check("re-use", True, times, None, text, None)
