"""The check `worst fold`: a good mean does not excuse one bad span of time."""

import numpy as np

from retrim.core.gate.params import GateParams
from retrim.core.gate.relative import SAYABLE, Resampling, relative_gains
from retrim.core.gate.verdict import Check
from retrim.core.windows import spans


def worst_fold(losses: np.ndarray, champion: np.ndarray, gate: GateParams, *, resampling: Resampling) -> Check:
    """Whether the challenger surely loses more than `gate.worst_fold` to the champion in none of `gate.folds` spans.

    The one that is named is a fold that refuses, else the one with the largest figure. Each bound has an equal part of
    the error: a challenger at the limit in all folds is refused in at most 1 - confidence. One row says nothing.

    Args:
        losses: The challenger's loss on each judged row, in time order, shape (n,).
        champion: The champion's on the same rows.
        gate: Folds, limit, and the confidence over all folds together.
        resampling: Draws, blocks, seed.
    """
    most = gate.worst_fold
    parts = [part for part in spans(len(losses), gate.folds) if len(part) > 1]
    if not parts:
        return Check("worst fold", True, 0.0, most, "no fold has 2 rows, so none was looked at", None)
    each = 1 - (1 - gate.confidence) / len(parts)
    gains = [
        relative_gains(losses[part], champion[part], confidences=(each,), resampling=resampling)[0] for part in parts
    ]
    surely = [gain for gain in gains if most is not None and -gain.high > most]
    worst = min(surely or gains, key=lambda gain: gain.figure)
    figure, (low, high) = -worst.figure, (-worst.high, -worst.low)
    shown = f"{figure:+.1%}" if abs(figure) <= SAYABLE else f"beyond {np.sign(figure) * SAYABLE:+.0%}"
    sure = f", surely above {low:+.1%}" if abs(low) <= SAYABLE else ""
    asked = "" if most is None else f"; refused when surely above {most:+.1%}"
    text = f"worst of {len(parts)} folds {shown} against the champion's loss{sure}{asked}"
    return Check("worst fold", not surely, figure, most, text, (low, high))
