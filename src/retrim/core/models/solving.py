"""Coefficients of linear models on standardised terms, by scikit-learn; quantiles by our own smoothed loss.

The penalty is a share of the rows' weight, so that a row of weight 2 is two rows, and the same figure means the
same at any number of rows.
"""

from collections.abc import Callable
from warnings import catch_warnings, simplefilter

import numpy as np

ITERATIONS = 2000
CERTAIN = 1e-15
"""Chance of a class that no training row has, as LightGBM gives it."""
SMOOTHED = (0.2, 0.02, 0.005)
"""Widths over which the corner of the quantile loss is rounded, one after the other, in sd of the target."""

Solved = tuple[np.ndarray, np.ndarray]
"""Intercepts, shape (outputs,), and coefficients, shape (outputs, terms)."""


def one_thread() -> None:
    """Leaves one thread to the linear algebra of this process, for good: more would move the last digits."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")


def ridge(terms: np.ndarray, actual: np.ndarray, weights: np.ndarray, *, l2: float) -> Solved:
    """Least squares with a penalty on squared coefficients.

    Source:
        Hoerl and Kennard (1970), Technometrics 12(1), 55-67.
    """
    from sklearn.linear_model import Ridge

    one_thread()
    with catch_warnings():
        simplefilter("ignore")  # levels of a category sum to the same: hardly penalised, that is ill-conditioned
        made = Ridge(alpha=l2 * weights.sum(), solver="cholesky").fit(terms, actual, sample_weight=weights)
    return np.array([float(made.intercept_)]), made.coef_.reshape(1, -1)


def quantile(terms: np.ndarray, actual: np.ndarray, weights: np.ndarray, *, l2: float, level: float) -> Solved:
    """The pinball loss, its corner rounded, with a penalty on squared coefficients.

    The intercept is set last, so that the level is met on the training rows. scikit-learn's QuantileRegressor
    solves a linear program instead: 27 s for 20,000 rows of 20 terms, where this takes a tenth of a second.

    Source:
        Zheng (2011), International Journal of Machine Learning and Cybernetics 2, 191-207.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    one_thread()
    share = weights / weights.sum()
    found = np.zeros(terms.shape[1] + 1)

    def loss_at(width: float) -> Callable[[np.ndarray], tuple[float, np.ndarray]]:
        def loss(given: np.ndarray) -> tuple[float, np.ndarray]:
            short = actual - given[0] - terms @ given[1:]
            value = level * short + width * np.logaddexp(0, -short / width)
            slope = -share * (level - expit(-short / width))
            penalty = l2 * given[1:]
            total = float(share @ value) + float(penalty @ given[1:]) / 2
            return total, np.concatenate([[slope.sum()], terms.T @ slope + penalty])

        return loss

    for width in SMOOTHED:
        found = minimize(
            loss_at(width), found, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "ftol": 1e-12}
        ).x
    left = actual - terms @ found[1:]
    return np.array([weighted_quantile(left, weights, level)]), found[1:].reshape(1, -1)


def poisson(terms: np.ndarray, actual: np.ndarray, weights: np.ndarray, *, l2: float) -> Solved:
    """Poisson deviance with a log link and a penalty on squared coefficients.

    Source:
        Nelder and Wedderburn (1972), Journal of the Royal Statistical Society A 135(3), 370-384.
    """
    from sklearn.linear_model import PoissonRegressor

    if not actual.any():
        return np.array([np.log(CERTAIN)]), np.zeros((1, terms.shape[1]))
    one_thread()
    with catch_warnings():
        simplefilter("ignore")  # not converged in ITERATIONS: what it found by then is judged like any other model
        made = PoissonRegressor(alpha=l2, max_iter=ITERATIONS, tol=1e-7).fit(terms, actual, sample_weight=weights)
    return np.array([float(made.intercept_)]), made.coef_.reshape(1, -1)


def logistic(terms: np.ndarray, actual: np.ndarray, weights: np.ndarray, *, l2: float, outputs: int) -> Solved:
    """Log loss with a penalty on squared coefficients; a class without rows has hardly any chance.

    Args:
        terms: Shape (n, terms).
        actual: Class codes, shape (n,).
        weights: Shape (n,).
        l2: Penalty.
        outputs: 1 for the log odds of class 1 of two; else one a class.
    """
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(actual)
    intercepts, coefficients = np.full(outputs, np.log(CERTAIN)), np.zeros((outputs, terms.shape[1]))
    if len(seen) == 1:
        if outputs == 1:
            return intercepts * (1 if seen[0] == 0 else -1), coefficients
        intercepts[seen] = 0.0
        return intercepts, coefficients
    one_thread()
    with catch_warnings():
        simplefilter("ignore")  # as above
        made = LogisticRegression(C=1 / (l2 * weights.sum()), max_iter=ITERATIONS, tol=1e-7).fit(
            terms, actual, sample_weight=weights
        )
    own_intercepts, own = made.intercept_, made.coef_
    if outputs == 1:
        return own_intercepts, own
    if len(seen) == 2:  # scikit-learn gives one output for two classes: half of it to each is the same shares
        own_intercepts, own = np.array([-1, 1]) * own_intercepts / 2, np.vstack([-own, own]) / 2
    intercepts[seen], coefficients[seen] = own_intercepts, own
    return intercepts, coefficients


def weighted_quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    """The least value that at least this share of the weight lies at or below."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, level - 1e-12)), len(values) - 1)])
