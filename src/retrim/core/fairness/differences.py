"""Differences between groups, all pairs at once: which two lie furthest apart, and how far for certain."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from retrim.core.fairness.figures import Bootstrap, Figures


@dataclass(frozen=True)
class Difference:
    """The pair of groups that differs most certainly in one measure.

    Args:
        measure: Its name.
        high, low: Names of the group with the higher figure and of the one with the lower.
        high_figure, low_figure: Their figures.
        figure: The difference, 0 or more.
        interval: Of the difference, together with those of all other pairs.
        ratio: Lower over higher figure, 0 to 1; None where the higher is not above 0.
        ratio_interval: Of the ratio; None as there.
    """

    measure: str
    high: str
    low: str
    high_figure: float
    low_figure: float
    figure: float
    interval: tuple[float, float]
    ratio: float | None
    ratio_interval: tuple[float, float] | None

    def as_record(self) -> dict[str, Any]:
        return {
            "measure": self.measure,
            "high": self.high,
            "low": self.low,
            "high_figure": self.high_figure,
            "low_figure": self.low_figure,
            "figure": self.figure,
            "interval": list(self.interval),
            "ratio": self.ratio,
            "ratio_interval": None if self.ratio_interval is None else list(self.ratio_interval),
        }


def furthest(found: Figures, judged: np.ndarray, how: Bootstrap, *, rows: int, confidence: float) -> Difference | None:
    """The pair of judged groups whose difference is certainly the largest.

    The largest of many differences is large by chance. So the intervals of all pairs are made
    together: each is as many of its own standard errors wide as the largest of all pairs strays,
    counted so, in `confidence` of the draws.

    Args:
        found: One measure by group.
        judged: Which groups have rows enough, shape (groups,).
        how: Blocks and draws.
        rows: Judging rows in all.
        confidence: With which every pair's true difference lies within its interval.

    Returns:
        None with fewer than two judged groups.

    Source:
        Romano and Wolf (2005), Econometrica 73(4), 1237-1282: the studentised largest of the draws.
    """
    places = np.flatnonzero(judged)
    if len(places) < 2:
        return None
    first, second = (places[part] for part in np.triu_indices(len(places), k=1))
    gaps = found.values[first] - found.values[second]
    strays = found.draws[:, first] - found.draws[:, second] - gaps
    floors = np.hypot(found.floors[first], found.floors[second])
    errors = np.maximum(np.maximum(strays.std(axis=0), floors), np.finfo(float).tiny)
    reach = float(np.quantile(np.abs(strays / errors).max(axis=1), confidence))
    one_sided = (1 + confidence) / 2
    widths = max(reach, _normal(one_sided)) * how.widening(rows, one_sided) * errors
    pair = int(np.argmax(np.abs(gaps) - widths))
    up = gaps[pair] >= 0
    high, low = (int(place[pair]) for place in ((first, second) if up else (second, first)))
    gap, width = float(abs(gaps[pair])), float(widths[pair])
    ratio, interval = _ratio(found, high, low, how, rows=rows, confidence=confidence)
    return Difference(
        found.measure,
        found.groups[high],
        found.groups[low],
        float(found.values[high]),
        float(found.values[low]),
        gap,
        (gap - width, gap + width),
        ratio,
        interval,
    )


def _normal(confidence: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(confidence))


def _ratio(
    found: Figures, high: int, low: int, how: Bootstrap, *, rows: int, confidence: float
) -> tuple[float | None, tuple[float, float] | None]:
    """Lower over higher figure, and its interval on a log scale; None where one of them is not above 0."""
    top, bottom = float(found.values[low]), float(found.values[high])
    if bottom <= 0 or top < 0:
        return None, None
    if top == 0:
        return 0.0, None
    one_sided = (1 + confidence) / 2
    errors = found.errors
    error = float(np.hypot(errors[low] / top, errors[high] / bottom))
    width = _normal(one_sided) * how.widening(rows, one_sided) * error
    ratio = top / bottom
    return ratio, (float(ratio * np.exp(-width)), float(ratio * np.exp(width)))
