"""The check `worst fold`: a good mean does not excuse one bad span of time."""

import numpy as np

from retrim.core.gate.relative import SAYABLE, share
from retrim.core.gate.verdict import Check
from retrim.core.windows import spans


def worst_fold(losses: np.ndarray, champion: np.ndarray, *, folds: int, most: float) -> Check:
    """Whether the challenger loses at most the share `most` more than the champion in each of some spans.

    Args:
        losses: The challenger's loss on each judged row, in time order, shape (n,).
        champion: The champion's on the same rows.
        folds: Equal spans.
        most: Share of the champion's mean loss in the span.
    """
    parts = spans(len(losses), folds)
    worst = max(share(float((losses[part] - champion[part]).mean()), float(champion[part].mean())) for part in parts)
    shown = f"{worst:+.1%}" if worst <= SAYABLE else f"beyond {SAYABLE:+.0%}"
    text = f"worst of {len(parts)} folds {shown} against the champion's loss, at most {most:+.1%}"
    return Check("worst fold", worst <= most, worst, most, text, None)
