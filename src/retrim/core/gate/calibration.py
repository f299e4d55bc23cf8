"""The checks `calibration` and `calibration kept`: whether predictions know their own error.

A model with classes is held to its probabilities, by the expected calibration error; a regression to the interval
that its residuals at earlier origins promised, by the share of rows inside.
"""

from dataclasses import dataclass

import numpy as np

from retrim.core.gate.blocks import block_of, block_sums, resampled
from retrim.core.gate.evidence import Scored
from retrim.core.gate.params import CalibrationParams
from retrim.core.gate.relative import Resampling
from retrim.core.gate.verdict import Check


@dataclass(frozen=True)
class Miscalibration:
    """How far a model's stated chances are from what happened.

    Args:
        error: Expected calibration error, or distance of the coverage from the stated share; 0 to 1.
        drawn: The same of resampled rows, shape (draws,).
        interval: Of the error.
        text: It in words.
    """

    error: float
    drawn: np.ndarray
    interval: tuple[float, float]
    text: str


def calibration(
    scored: Scored, champion: Scored | None, limit: CalibrationParams, resampling: Resampling
) -> list[Check]:
    """The challenger's own miscalibration, and how much it is above the champion's.

    Refused only where a limit is exceeded with the confidence; nothing is said of a
    regression whose bundle holds no residuals.

    Args:
        scored: The challenger.
        champion: None before the first version.
        limit: Thresholds; None: reported only.
        resampling: Draws, blocks, seed. Both models are drawn on the same blocks.
    """
    own = miscalibration(scored, limit, resampling)
    its = None if champion is None else miscalibration(champion, limit, resampling)
    if own is None:
        return []
    asked = "" if limit.most is None else f"; refused when surely above {limit.most:.1%}"
    low, high = own.interval
    text = f"{own.text} (error {low:.1%} to {high:.1%}){asked}"
    checks = [Check("calibration", limit.most is None or low <= limit.most, own.error, limit.most, text, own.interval)]
    if its is None:
        return checks
    added = own.error - its.error
    low, high = _reflected(added, own.drawn - its.drawn, limit.confidence)
    asked = "" if limit.worse is None else f"; refused when surely above {limit.worse:+.1%}"
    text = f"calibration error {added:+.1%} against the champion's {its.error:.1%} ({low:+.1%} to {high:+.1%}){asked}"
    passed = limit.worse is None or low <= limit.worse
    return [*checks, Check("calibration kept", passed, added, limit.worse, text, (low, high))]


def miscalibration(scored: Scored, limit: CalibrationParams, resampling: Resampling) -> Miscalibration | None:
    """The expected calibration error of a model with classes, else how far its coverage is from what was stated."""
    if len(scored.losses) < 2:
        return None
    if scored.classes:
        return _probabilities(scored, limit, resampling)
    return None if scored.stated is None else _coverage(scored, limit, resampling)


def _probabilities(scored: Scored, limit: CalibrationParams, resampling: Resampling) -> Miscalibration:
    """Expected calibration error: mean distance between chance and share, over bins of equally many predictions.

    Of a binary model the chance is that of the positive class; of one with more classes, that of the class it calls.

    Source:
        Naeini, Cooper and Hauskrecht (2015), AAAI; of the called class, Guo et al. (2017), ICML. Resampled rows
        are further off than the rows themselves, so the interval is reflected: Davison and Hinkley (1997), 5.2.
    """
    if scored.predicted.ndim == 1:
        chance, happened = scored.predicted, scored.actual == 1
    else:
        chance, happened = scored.predicted.max(axis=1), scored.predicted.argmax(axis=1) == scored.actual
    edges = np.unique(np.quantile(chance, np.arange(1, limit.bins) / limit.bins))
    inside = np.searchsorted(edges, chance, side="left")[:, None] == np.arange(len(edges) + 1)
    table = np.column_stack([inside * (chance - happened)[:, None], np.ones(len(chance))])
    sums, drawn = _drawn(table, resampling)
    error, errors = (np.abs(each[..., :-1]).sum(axis=-1) / each[..., -1] for each in (sums, drawn))
    low, high = _reflected(float(error), errors, limit.confidence)
    return Miscalibration(
        float(error), errors, (max(low, 0.0), max(high, 0.0)), f"expected calibration error {error:.1%}"
    )


def _coverage(scored: Scored, limit: CalibrationParams, resampling: Resampling) -> Miscalibration:
    assert scored.stated is not None
    stated, away = scored.stated, scored.actual - scored.predicted
    inside = (away >= stated.low) & (away <= stated.high)
    sums, drawn = _drawn(np.column_stack([inside, np.ones(len(inside))]).astype("float64"), resampling)
    covered, shares = float(sums[0] / sums[1]), drawn[:, 0] / drawn[:, 1]
    low, high = (float(end) for end in np.quantile(shares, [1 - limit.confidence, limit.confidence]))
    least = max(stated.level - high, low - stated.level, 0.0)
    most = max(abs(low - stated.level), abs(high - stated.level))
    text = f"{covered:.1%} of rows within the interval that was to hold {stated.level:.0%} ({low:.1%} to {high:.1%})"
    text += ": too wide" if low > stated.level else ": too narrow" if high < stated.level else ": as stated"
    return Miscalibration(abs(covered - stated.level), np.abs(shares - stated.level), (least, most), text)


def _drawn(table: np.ndarray, resampling: Resampling) -> tuple[np.ndarray, np.ndarray]:
    """Column sums of a table of rows: as it is, shape (k,); and of resampled blocks, shape (draws, k)."""
    sums = block_sums(table, block_of(len(table), block_rows=resampling.block_rows))
    return sums.sum(axis=0), resampled(sums, draws=resampling.draws, seed=resampling.seed)


def _reflected(figure: float, drawn: np.ndarray, confidence: float) -> tuple[float, float]:
    high, low = (2 * figure - float(end) for end in np.quantile(drawn, [1 - confidence, confidence]))
    return low, high
