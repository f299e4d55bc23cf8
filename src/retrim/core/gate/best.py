"""The gain of the best of several challengers, without the luck that made it the best."""

from collections.abc import Mapping

import numpy as np

from retrim.core.gate.blocks import block_of, block_sums
from retrim.core.gate.relative import Resampling, share

SPLITS = 200


def corrected_gain(challengers: Mapping[str, np.ndarray], champion: np.ndarray, resampling: Resampling) -> float | None:
    """Gain over the champion of the challenger that half of the rows choose, on the other half; mean over many halves.

    The best of several on the rows that chose it looks better than it is, most where they are
    alike (the winner's curse). Rows that had no part in the choice do not know of it. As half of the
    rows choose less well than all, the figure is a little too low where challengers differ.

    Args:
        challengers: Loss of each judged row, a challenger each, shape (n,), in time order.
        champion: The champion's.
        resampling: Blocks that stay together, and seed.

    Returns:
        As a share of the champion's mean loss; with one challenger its gain; None below 4 blocks of rows.

    Source:
        Cox (1975), Biometrika 62(2), 441-444, on splitting rows; here over many random halves.
    """
    names = sorted(challengers)
    base = float(champion.mean()) if len(champion) else 0.0
    if len(names) == 1 and len(champion):
        return share(float((champion - challengers[names[0]]).mean()), base)
    saved = np.column_stack([champion - challengers[name] for name in names])
    blocks = block_of(len(saved), block_rows=resampling.block_rows)
    if not len(blocks) or blocks[-1] < 3:
        return None
    sums = np.column_stack([block_sums(saved, blocks), np.bincount(blocks)])
    count = len(sums)
    order = np.random.default_rng(resampling.seed).random((SPLITS, count)).argsort(axis=1)
    half = (order < count // 2).astype("float64") @ sums
    halves = np.concatenate([half, sums.sum(axis=0) - half])
    means = halves[:, :-1] / halves[:, -1:]
    others = np.concatenate([means[SPLITS:], means[:SPLITS]])
    return share(float(others[np.arange(len(means)), means.argmax(axis=1)].mean()), base)
