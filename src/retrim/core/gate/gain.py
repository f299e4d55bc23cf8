"""The checks `gain`, `harm` and `floor`: better than the champion and than naive forecasts, and not by chance."""

import numpy as np

from retrim.core.gate.relative import SAYABLE, Resampling, compared, relative_gain
from retrim.core.gate.verdict import Check


def gain(
    losses: np.ndarray,
    champion: np.ndarray,
    *,
    least: float,
    confidence: float,
    corrected: float | None,
    resampling: Resampling,
) -> Check:
    """Whether the gain over the champion is at least `least`, and above 0 with this confidence.

    Args:
        losses: The challenger's loss on each judged row, in time order, shape (n,).
        champion: The champion's on the same rows.
        least: Share of the champion's mean loss.
        confidence: One-sided.
        corrected: The gain without the luck of the choice, which is told beside it; None: there was no choice.
        resampling: Draws, blocks, seed.
    """
    found = relative_gain(losses, champion, confidence=confidence, resampling=resampling)
    passed = found.figure >= least and found.low > 0
    text = f"{compared('the champion', found, losses, champion)} ({least:.1%} and 0 needed)"
    if corrected is not None and abs(corrected) <= SAYABLE:
        text += f"; {corrected:.1%} without the luck of being the best"
    return Check("gain", passed, found.figure, least, text, found.interval)


def harm(losses: np.ndarray, champion: np.ndarray, *, most: float, confidence: float, resampling: Resampling) -> Check:
    """Whether the challenger is surely not worse than the champion by the share `most`.

    On few or noisy rows a lucky challenger that is worse passes the check `gain` nearly as often as an equal one.
    """
    found = relative_gain(losses, champion, confidence=confidence, resampling=resampling)
    shown = f"{-found.low:+.1%}" if abs(found.low) <= SAYABLE else f"beyond {-np.sign(found.low) * SAYABLE:+.0%}"
    text = f"at worst {shown} against the champion's loss ({confidence:.1%} confidence), below {most:+.1%} needed"
    return Check("harm", found.low > -most, -found.low, most, text, None)


def floor(name: str, losses: np.ndarray, naive: np.ndarray, *, confidence: float, resampling: Resampling) -> Check:
    """Whether the gain over a naive forecast is above 0 with this confidence; its figure is the lower bound."""
    found = relative_gain(losses, naive, confidence=confidence, resampling=resampling)
    shown = name.replace("_", " ")
    text = f"{compared(f'the naive {shown}', found, losses, naive)} (0 needed)"
    return Check(f"floor: {shown}", found.low > 0, found.low, 0.0, text, found.interval)
