"""The checks `gain` and `floor`: better than the champion and than naive forecasts, and not by chance."""

import numpy as np

from retrim.core.gate.relative import Resampling, compared, relative_gain
from retrim.core.gate.verdict import Check


def gain(losses: np.ndarray, champion: np.ndarray, *, least: float, confidence: float, resampling: Resampling) -> Check:
    """Whether the gain over the champion is at least `least`, and above 0 with this confidence.

    Args:
        losses: The challenger's loss on each judged row, in time order, shape (n,).
        champion: The champion's on the same rows.
        least: Share of the champion's mean loss.
        confidence: One-sided.
        resampling: Draws, blocks, seed.
    """
    found = relative_gain(losses, champion, confidence=confidence, resampling=resampling)
    passed = found.figure >= least and found.low > 0
    text = f"{compared('the champion', found, losses, champion)} ({least:.1%} and 0 needed)"
    return Check("gain", passed, found.figure, least, text, found.interval)


def floor(name: str, losses: np.ndarray, naive: np.ndarray, *, confidence: float, resampling: Resampling) -> Check:
    """Whether the gain over a naive forecast is above 0 with this confidence; its figure is the lower bound."""
    found = relative_gain(losses, naive, confidence=confidence, resampling=resampling)
    shown = name.replace("_", " ")
    text = f"{compared(f'the naive {shown}', found, losses, naive)} (0 needed)"
    return Check(f"floor: {shown}", found.low > 0, found.low, 0.0, text, found.interval)
