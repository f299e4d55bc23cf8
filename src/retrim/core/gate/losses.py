"""The gate on losses alone: what can be said where rows, predictions and classes are not known."""

from collections.abc import Mapping

import numpy as np

from retrim.core.gate.folds import worst_fold
from retrim.core.gate.gain import floor, gain
from retrim.core.gate.params import GateParams
from retrim.core.gate.relative import Resampling
from retrim.core.gate.rows import enough_rows
from retrim.core.gate.verdict import Verdict


def judge(
    challengers: Mapping[str, np.ndarray],
    champion: np.ndarray | None,
    floors: Mapping[str, np.ndarray],
    gate: GateParams,
    *,
    draws: int,
    block_rows: int,
) -> Verdict:
    """The verdict on the best challenger, from losses alone.

    With k challengers the winner is the best of k tries, so its gain is asked for at
    confidence 1 - (1 - c) / k (Bonferroni).

    Args:
        challengers: Loss of each judged row, a challenger each, shape (n,), in time order.
        champion: The same of the champion; None before the first version.
        floors: The same of the naive baselines.
        gate: Thresholds.
        draws: Bootstrap draws.
        block_rows: Rows of a bootstrap block.
    """
    means = {name: float(np.mean(losses)) if len(losses) else float("inf") for name, losses in challengers.items()}
    winner = min(sorted(means), key=lambda name: means[name])
    losses = challengers[winner]
    confidence = confidence_of(gate, len(challengers))
    resampling = Resampling(draws, block_rows, gate.seed)
    checks = [enough_rows(len(losses), least=gate.min_rows)]
    every = dict(floors) if champion is None else {"champion": champion, **floors}
    if len(losses):
        if champion is not None:
            checks += [
                gain(losses, champion, least=gate.min_gain, confidence=confidence, resampling=resampling),
                worst_fold(losses, champion, folds=gate.folds, most=gate.worst_fold),
            ]
        for name in floors:
            checks.append(floor(name, losses, floors[name], confidence=confidence, resampling=resampling))
    means |= {name: float(np.mean(values)) for name, values in every.items() if len(values)}
    return Verdict(
        winner, tuple(checks), {name: loss for name, loss in means.items() if np.isfinite(loss)}, len(losses)
    )


def confidence_of(gate: GateParams, challengers: int) -> float:
    """The confidence at which the best of so many challengers is asked for its gain."""
    return 1 - (1 - gate.confidence) / challengers
