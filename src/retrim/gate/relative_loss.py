"""One model's losses beside another's: the gain as a share, its bounds, and how it is told."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from retrim.stats.bootstrap import mean_intervals

MOST_PLACES = 9  # of a confidence in per cent
SAYABLE = 1000.0
"""A share beyond this, or below minus it, is no figure for a sentence: the loss it is a share of is all but 0."""


@dataclass(frozen=True)
class Resampling:
    """How uncertainty is drawn.

    Args:
        draws: Bootstrap draws.
        block_rows: Rows of a block, which are drawn together.
        seed: Same seed, same bounds.
    """

    draws: int
    block_rows: int
    seed: int


@dataclass(frozen=True)
class RelativeGain:
    """Gain over another model as a share of that one's mean loss, and its bounds.

    Args:
        figure: The share.
        low: What it lies above with the confidence.
        high: What it lies below with the confidence.
        confidence: One-sided, of either bound.
    """

    figure: float
    low: float
    high: float
    confidence: float

    @property
    def interval(self) -> tuple[float, float]:
        return self.low, self.high


def relative_gains(
    losses: np.ndarray, other: np.ndarray, *, confidences: Sequence[float], resampling: Resampling
) -> list[RelativeGain]:
    """Gain of `losses` over `other`, paired, with the bounds of each confidence.

    Args:
        losses: One loss a row, in time order, shape (n,), n at least 1.
        other: The other model's on the same rows, shape (n,).
        confidences: One-sided.
        resampling: Draws, blocks, seed.
    """
    saved, base = other - losses, float(other.mean())
    bounds = mean_intervals(
        saved,
        confidences=confidences,
        block_rows=resampling.block_rows,
        draws=resampling.draws,
        seed=resampling.seed,
    )
    figure = share(float(saved.mean()), base)
    return [
        RelativeGain(figure, share(low, base), share(high, base), sure)
        for sure, (low, high) in zip(confidences, bounds, strict=True)
    ]


def confidence_text(confidence: float) -> str:
    """A confidence below 1 in per cent, with as many digits as tell it from certainty."""
    places = next((places for places in range(1, MOST_PLACES) if round(100 * confidence, places) < 100), MOST_PLACES)
    return f"{confidence:.{places}%}"


def compared(other: str, gain: RelativeGain, losses: np.ndarray, its_losses: np.ndarray) -> str:
    """Gain and bound in words; the losses themselves where the other's is so near 0 that a share of it says nothing."""
    if max(abs(gain.figure), abs(gain.low)) <= SAYABLE:
        sure = confidence_text(gain.confidence)
        return f"gain over {other} {gain.figure:.1%}, above {gain.low:.1%} with {sure} confidence"
    word = "no gain" if gain.figure < 0 else "no certain gain"
    return f"{word} over {other}: mean loss {losses.mean():.4g} against {its_losses.mean():.4g}"


def share(part: float, whole: float) -> float:
    """`part` of `whole`, within what a float holds: a loss of 0 is as much as any number above it."""
    if part == 0:
        return 0.0
    largest = float(np.finfo(float).max)
    return float(np.clip(part / whole if whole else np.sign(part) * largest, -largest, largest))
