"""The check `churn`: how much the answers change when the champion is replaced, better or not."""

import numpy as np

from retrim.core.gate.blocks import block_of, block_sums, resampled
from retrim.core.gate.evidence import Scored
from retrim.core.gate.relative import Resampling
from retrim.core.gate.verdict import Check
from retrim.core.resample import mean_error

RANK = 0.99  # of the change of predicted numbers: what all but one row in a hundred stay below


def churn(
    scored: Scored, champion: Scored, *, most: float | None, confidence: float, resampling: Resampling
) -> Check | None:
    """Whether predictions surely change more than so much against the champion's; None below 2 rows.

    With classes the figure is the share of rows that are called another class. Of numbers it is the 99th percentile of
    the absolute change, in standard deviations of the judged targets.

    Args:
        scored: The challenger.
        champion: The champion on the same rows.
        most: The figure, at most; None: reported only.
        confidence: One-sided, of either end of the interval.
        resampling: Draws, blocks, seed.

    Source:
        The interval of a percentile is that of the share of rows below it: Woodruff (1952), JASA 47, 635-646.
    """
    if len(scored.losses) < 2:
        return None
    limit = "" if most is None else f"{most:.1%}" if scored.classes else f"{most:.2f}"
    asked = "" if most is None else f"; refused when surely above {limit}"
    if scored.classes:
        flipped = (scored.labels != champion.labels).astype("float64")
        figure, interval = _share(flipped, confidence, resampling)
        low, high = interval
        text = f"{figure:.1%} of rows are called another class than by the champion ({low:.1%} to {high:.1%}){asked}"
    else:
        change = np.abs(scored.predicted - champion.predicted) / (float(np.std(scored.actual)) or 1.0)
        figure, interval = _percentile(change, confidence, block_rows=resampling.block_rows)
        low, high = interval
        text = (
            f"99 % of predictions move by less than {figure:.2f} standard deviations of the target ({low:.2f} to "
            f"{high:.2f}){asked}"
        )
    return Check("churn", most is None or interval[0] <= most, figure, most, text, interval)


def _share(flipped: np.ndarray, confidence: float, resampling: Resampling) -> tuple[float, tuple[float, float]]:
    blocks = block_of(len(flipped), block_rows=resampling.block_rows)
    sums = block_sums(np.column_stack([flipped, np.ones(len(flipped))]), blocks)
    drawn = resampled(sums, draws=resampling.draws, seed=resampling.seed)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [1 - confidence, confidence])
    return float(flipped.mean()), (float(low), float(high))


def _percentile(change: np.ndarray, confidence: float, *, block_rows: int) -> tuple[float, tuple[float, float]]:
    from scipy.special import ndtri

    figure = float(np.quantile(change, RANK))
    error = mean_error((change > figure).astype("float64"), block_rows=block_rows) * float(ndtri(confidence))
    low, high = np.quantile(change, np.clip([RANK - error, RANK + error], 0, 1))
    return figure, (float(low), float(high))
