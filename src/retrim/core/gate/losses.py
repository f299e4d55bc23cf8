"""The gate on losses alone: what can be said where rows, predictions and classes are not known."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from retrim.core.gate.best import corrected_gain
from retrim.core.gate.folds import worst_fold
from retrim.core.gate.gain import against_champion, floor
from retrim.core.gate.params import GateParams
from retrim.core.gate.relative import Resampling
from retrim.core.gate.reuse import spent
from retrim.core.gate.rows import enough_rows
from retrim.core.gate.support import EASIEST, NO_SUPPORT, Support, supported
from retrim.core.gate.verdict import Verdict


def judge(
    challengers: Mapping[str, np.ndarray],
    champion: np.ndarray | None,
    floors: Mapping[str, np.ndarray],
    gate: GateParams,
    *,
    draws: int,
    block_rows: int,
    uses: float,
    weights: np.ndarray | None,
    rivals: int = 0,
    support: Mapping[str, Support] | None = None,
) -> Verdict:
    """The verdict on the best challenger, from losses alone.

    Args:
        challengers: Loss of each judged row, a challenger each, shape (n,), in time order.
        champion: The same of the champion; None before the first version.
        floors: The same of the naive baselines.
        gate: Thresholds.
        draws: Bootstrap draws.
        block_rows: Rows of a bootstrap block.
        uses: How often these rows have judged before.
        weights: Of each row, with mean 1, in gain, floors and the choice of the winner, shape (n,); None: all alike.
        rivals: Others that compete on the same rows and are not among `challengers`: they count among the tries.
        support: What earlier checks showed of challengers, by name, where a check started the run; None: nobody's
            alarm did, and the run is one of its own.
    """
    weighed = {name: losses if weights is None else losses * weights for name, losses in challengers.items()}
    winner = best_of(weighed)
    losses, own = challengers[winner], weighed[winner]
    shown = None if support is None else support.get(winner, NO_SUPPORT)
    tries = len(challengers) + rivals
    sure = confidence_of(gate, tries, uses=uses, eased=1.0 if shown is None else shown.gain * shown.part)
    safe = harm_confidence_of(gate, tries, uses=uses, eased=1.0 if shown is None else shown.harm * shown.part)
    resampling = Resampling(draws, block_rows, gate.seed)
    checks = [enough_rows(len(losses), least=gate.min_rows)]
    corrected = None
    if len(losses):
        if champion is not None:
            its = champion if weights is None else champion * weights
            corrected = corrected_gain(weighed, its, resampling)
            chosen = corrected if len(challengers) > 1 else None
            checks += against_champion(own, its, gate, sure=sure, safe=safe, corrected=chosen, resampling=resampling)
            checks.append(worst_fold(losses, champion, gate, resampling=resampling))
            if shown is not None:
                checks.append(supported(shown))
        for name, naive in floors.items():
            its = naive if weights is None else naive * weights
            asked = confidence_of(gate, tries, uses=uses)
            checks.append(floor(name, own, its, confidence=asked, resampling=resampling))
    every = {**challengers, **floors} if champion is None else {**challengers, "champion": champion, **floors}
    means = {name: float(values.mean()) for name, values in every.items() if len(values)}
    return Verdict(winner, tuple(checks), means, len(losses), corrected)


def best_of(losses: Mapping[str, np.ndarray]) -> str:
    """The challenger with the least mean loss; of equal ones the first by name."""
    means = {name: float(each.mean()) if len(each) else float("inf") for name, each in losses.items()}
    return min(sorted(means), key=lambda name: means[name])


def confidence_of(gate: GateParams, challengers: int, *, uses: float, eased: float = 1.0) -> float:
    """The confidence at which the best of so many challengers is asked for its gain.

    It is the best of k tries, so each has a k-th of the error (Bonferroni), on rows that
    have judged before less; and `eased` times that, by what earlier checks have shown.
    """
    return _confidence(gate.confidence, gate, challengers, uses=uses, eased=eased)


def harm_confidence_of(gate: GateParams, challengers: int, *, uses: float, eased: float = 1.0) -> float:
    """The same of the check that it is not worse; that of the gain where there is no such check."""
    asked = gate.confidence if gate.harm is None else gate.harm.confidence
    return _confidence(asked, gate, challengers, uses=uses, eased=eased)


def _confidence(asked: float, gate: GateParams, challengers: int, *, uses: float, eased: float) -> float:
    error = spent(1 - asked, uses=uses, power=gate.reuse) / challengers
    return 1 - min(error * eased, EASIEST)


def recency(events: "pd.Series[pd.Timestamp]", half_life: str | None) -> np.ndarray | None:
    """Weights of rows by their age against the newest, with mean 1, shape (n,); None where all weigh alike.

    Args:
        events: Event times in order, shape (n,).
        half_life: Age at which a row weighs half.
    """
    if half_life is None or not len(events):
        return None
    age = (events.iloc[-1] - events) / pd.Timedelta(half_life)
    weights = np.power(0.5, age.to_numpy(dtype="float64"))
    return np.asarray(weights / weights.mean())
