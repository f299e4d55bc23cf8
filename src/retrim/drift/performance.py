"""The loss of rows whose labels have not come, estimated; and how good the estimates were once they have.

A classifier's own probabilities say what it expects to lose; a regression learns a small model of its losses. Both are
set against rows that the champion has not seen and whose labels are known, so that on those the mean of the estimate
is the mean of the loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from retrim.stats.codec import Moment
from retrim.stats.metrics import row_losses

LEAST_KNOWN = 50  # rows with labels: on fewer neither a ratio nor a model of the loss means anything
SMALL = {"num_leaves": 7, "min_child_samples": 20, "learning_rate": 0.05}  # a few hundred rows bear no larger trees
ROUNDS = 60


@dataclass(frozen=True)
class ChampionRows:
    """Rows as the champion sees them."""

    matrix: np.ndarray  # features, shape (n, features)
    predicted: np.ndarray  # the champion's predictions, shape (n,) or (n, classes)


@dataclass(frozen=True)
class Estimate:
    """Estimated loss of the champion on rows without labels that came after a moment."""

    rows: int  # rows without labels
    loss: float  # estimated mean loss on those rows
    naive: float  # mean loss on the rows with labels: the naive estimate
    by: Literal["confidence", "loss model"]  # method: the classifier's confidence, or a model of the loss
    since: Moment  # the moment


def estimate_loss(
    known: ChampionRows,
    losses: np.ndarray,
    fresh: ChampionRows,
    *,
    since: pd.Timestamp,
    task: str,
    loss: str,
    seed: int,
) -> Estimate | None:
    """The mean loss of `fresh` rows without labels; None where fewer than 50 labels are known, or no row is fresh.

    Source:
        For classifiers Garg et al. (2022), Leveraging unlabeled data to predict out-of-distribution performance, calls
        it average confidence; unlike there it is scaled by what is known. For regressions it is the direct loss
        estimation of NannyML's documentation, with a smaller model.
    """
    if len(losses) < LEAST_KNOWN or not len(fresh.predicted):
        return None
    naive = float(losses.mean())
    if task == "regression":
        value = _by_model(known, losses, fresh, seed=seed)
        return Estimate(len(fresh.predicted), value, naive, "loss model", since)
    expected, value = (float(expected_losses(rows.predicted, loss=loss).mean()) for rows in (known, fresh))
    ratio = naive / expected if expected > 0 else 1.0
    return Estimate(len(fresh.predicted), ratio * value, naive, "confidence", since)


def expected_losses(predicted: np.ndarray, *, loss: str) -> np.ndarray:
    """What a classifier with these probabilities expects to lose on each row, were they right: shape (n,)."""
    wide = np.column_stack([1 - predicted, predicted]) if predicted.ndim == 1 else predicted
    classes = (np.full(len(predicted), code, dtype="int64") for code in range(wide.shape[1]))
    losses = (wide[:, code] * row_losses(loss, actual, predicted) for code, actual in enumerate(classes))
    return np.asarray(sum(losses))


def _by_model(known: ChampionRows, losses: np.ndarray, fresh: ChampionRows, *, seed: int) -> float:
    import lightgbm

    parameters = {**SMALL, "objective": "l2", "seed": seed, "deterministic": True, "force_row_wise": True}
    quiet = {"num_threads": 1, "verbosity": -1}
    inputs, unknown = (np.column_stack([seen.matrix, seen.predicted]) for seen in (known, fresh))
    model = lightgbm.train({**parameters, **quiet}, lightgbm.Dataset(inputs, losses), num_boost_round=ROUNDS)
    return max(float(np.mean(model.predict(unknown, num_threads=1))), 0.0)


@dataclass(frozen=True)
class ScoredEstimate:
    """An estimated loss and the loss that was measured once labels arrived.

    Args:
        as_of: As-of date of the check that made the estimate.
        rows: Rows whose labels have arrived since.
        estimated: Estimated mean loss.
        naive: Naive estimate: mean loss on the rows that had labels.
        realised: Measured mean loss.
    """

    as_of: Moment
    rows: int
    estimated: float
    naive: float
    realised: float


@dataclass(frozen=True)
class EstimateQuality:
    """Average error of estimated losses, compared with the naive estimate.

    Args:
        scored: Number of scored estimates.
        off: Mean absolute error of the estimates, as a share of the mean measured loss.
        naive_off: Mean absolute error of the naive estimate, as the same share.
    """

    scored: int
    off: float
    naive_off: float


@dataclass(frozen=True)
class EstimateEvidence:
    """The estimated loss at a check, and what became of earlier estimates.

    Args:
        newest: Of the rows that came since the check before; None where it cannot be said.
        scored: Estimates, this one or earlier, whose labels have come by this check.
        quality: Accuracy of all estimates scored so far, of any version; None before the first.
    """

    newest: Estimate | None = None
    scored: tuple[ScoredEstimate, ...] = ()
    quality: EstimateQuality | None = None


def quality(scored: Sequence[ScoredEstimate]) -> EstimateQuality | None:
    """How good estimates were; None without any."""
    if not scored:
        return None
    realised, estimated, naive = np.array([(each.realised, each.estimated, each.naive) for each in scored]).T
    base = float(realised.mean()) or 1.0
    off, naive_off = (float(np.abs(values - realised).mean()) / base for values in (estimated, naive))
    return EstimateQuality(len(scored), off, naive_off)
