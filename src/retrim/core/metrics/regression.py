"""Metrics of predicted numbers."""

from math import inf

import numpy as np

from retrim.core.metrics.table import metric
from retrim.errors import BadInputError

LEAST = 1e-9  # a mean predicted below this counts as this, in the deviance: nothing comes of a mean of 0


@metric("mae", "regression", better="lower", rows=True, bounds=(0, inf))
def mae(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Absolute error of each row, in units of the target."""
    return np.asarray(np.abs(actual - predicted))


@metric("mse", "regression", better="lower", rows=True, bounds=(0, inf))
def mse(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Squared error of each row, in squared units of the target."""
    return np.asarray(np.square(actual - predicted))


@metric("pinball", "regression", better="lower", rows=True, bounds=(0, inf), argument="quantile")
def pinball(actual: np.ndarray, predicted: np.ndarray, *, quantile: float) -> np.ndarray:
    """Pinball loss of each row, in units of the target; least, in the mean, at the true quantile.

    Args:
        actual: Shape (n,).
        predicted: Predicted quantiles, shape (n,).
        quantile: Between 0 and 1, both excluded. 0.5 gives half the absolute error.

    Source:
        Koenker and Bassett (1978), Econometrica 46(1), 33-50.
    """
    short = actual - predicted
    return np.asarray(np.maximum(quantile * short, (quantile - 1) * short))


@metric("poisson", "regression", better="lower", rows=True, bounds=(0, inf), signed=False)
def poisson(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Poisson deviance of each row: twice the log likelihood that the predicted mean lacks; least at the true mean.

    Args:
        actual: Counts, or other amounts of 0 or more, shape (n,).
        predicted: Predicted means, shape (n,); below `LEAST` they count as `LEAST` where something happened, else as 0.

    Raises:
        BadInputError: A target is below 0.

    Source:
        McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 2.3.
    """
    if len(actual) and np.min(actual) < 0:
        raise BadInputError(
            f"metric 'poisson' is for counts, 0 or more, and the target holds {np.min(actual):g}; use mse or mae"
        )
    mean = np.maximum(predicted, np.where(actual > 0, LEAST, 0.0))
    ratio = np.divide(actual, mean, out=np.ones(len(mean)), where=actual > 0)  # 0 log 0 is 0
    return np.asarray(np.maximum(2 * (actual * np.log(ratio) - actual + mean), 0.0))


@metric("rmse", "regression", better="lower", rows=False, bounds=(0, inf))
def rmse(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Root of the mean squared error, in units of the target."""
    return float(np.sqrt(np.mean(np.square(actual - predicted))))


@metric("r2", "regression", better="higher", rows=False, bounds=(-inf, 1))
def r2(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the variance explained. On a constant target: 1 if every row is met exactly, else 0."""
    left, total = np.sum(np.square(actual - predicted)), np.sum(np.square(actual - np.mean(actual)))
    if np.all(actual == actual[0]) or total == 0:
        return float(left == 0)
    return float(1 - left / total)
