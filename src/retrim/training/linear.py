"""Linear models by scikit-learn on standardised terms, with all that was learned in JSON; quantiles by our own loss.

The penalty is a share of the rows' weight, so that a row of weight 2 is two rows. Every term has the mean 0 over the
training rows, so that the intercept is the score of the average row.
"""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal
from warnings import catch_warnings, simplefilter

import numpy as np

from retrim.errors import BadInputError
from retrim.features.view import FeatureView, Matrix
from retrim.stats.codec import from_record, to_json, to_record
from retrim.training.estimators import (
    MODELS,
    FitTask,
    FittedModel,
    Link,
    Losses,
    aim_at,
    check_classes,
    check_counts,
    check_names,
    check_target,
    outputs,
)

LINEAR: Losses = {"regression": {"mse": "ridge", "mae": "quantile", "pinball": "quantile", "poisson": "poisson"}}
CLASSES = {"log_loss": "logistic", "brier": "logistic", "error": "logistic"}
LOGISTIC: Losses = {"binary": CLASSES, "multiclass": CLASSES}
LINKS: dict[str, Link] = {"regression": "identity", "binary": "log odds", "multiclass": "log shares"}
FILE = "linear.json"
SPACE = ["l2"]
DIGITS = 10
"""Digits of a coefficient that are kept: beyond them processors differ."""
ITERATIONS = 2000
CERTAIN = 1e-15
"""Chance of a class that no training row has, as LightGBM gives it."""
SMOOTHED = (0.2, 0.02, 0.005)
"""Widths over which the corner of the quantile loss is rounded, one after the other, in sd of the target."""
HUGE = 1e100
"""A number beyond this counts as missing, as an infinite one does: its square would leave double precision."""
LEVELS = 100
"""Levels of a category that have a term of their own; rarer ones share one with what is missing or unseen."""
Solved = tuple[np.ndarray, np.ndarray]
"""Intercepts, shape (outputs,), and coefficients, shape (outputs, terms)."""


def one_thread() -> None:
    """Leaves one thread to the linear algebra of this process, for good: more would move the last digits."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1, user_api="blas")


def _fitted(model: Any, terms: np.ndarray, actual: np.ndarray, weights: np.ndarray) -> Solved:
    one_thread()
    with catch_warnings():
        # Levels of a category sum to the same, which is ill-conditioned if hardly penalised; and what did not converge
        # in ITERATIONS is judged like any other model.
        simplefilter("ignore")
        model.fit(terms, actual, sample_weight=weights)
    return np.atleast_1d(model.intercept_), np.atleast_2d(model.coef_)


def ridge(terms: np.ndarray, actual: np.ndarray, weights: np.ndarray, *, l2: float) -> Solved:
    """Least squares with a penalty on squared coefficients.

    Source:
        Hoerl and Kennard (1970), Technometrics 12(1), 55-67.
    """
    from sklearn.linear_model import Ridge

    return _fitted(Ridge(alpha=l2 * weights.sum(), solver="cholesky"), terms, actual, weights)


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
    solved = np.zeros(terms.shape[1] + 1)

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
        solved = minimize(
            loss_at(width), solved, jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS, "ftol": 1e-12}
        ).x
    left = actual - terms @ solved[1:]
    return np.array([weighted_quantile(left, weights, level)]), solved[1:].reshape(1, -1)


def poisson(terms: np.ndarray, actual: np.ndarray, weights: np.ndarray, *, l2: float) -> Solved:
    """Poisson deviance with a log link and a penalty on squared coefficients.

    Source:
        Nelder and Wedderburn (1972), Journal of the Royal Statistical Society A 135(3), 370-384.
    """
    from sklearn.linear_model import PoissonRegressor

    if not actual.any():
        return np.array([np.log(CERTAIN)]), np.zeros((1, terms.shape[1]))
    return _fitted(PoissonRegressor(alpha=l2, max_iter=ITERATIONS, tol=1e-7), terms, actual, weights)


def logistic(terms: np.ndarray, actual: np.ndarray, weights: np.ndarray, *, l2: float, outputs: int) -> Solved:
    """Log loss with a penalty on squared coefficients; a class without rows has hardly any chance."""
    from sklearn.linear_model import LogisticRegression

    seen = np.unique(actual)
    intercepts, coefficients = np.full(outputs, np.log(CERTAIN)), np.zeros((outputs, terms.shape[1]))
    if len(seen) == 1:
        if outputs == 1:
            return intercepts * (1 if seen[0] == 0 else -1), coefficients
        intercepts[seen] = 0.0
        return intercepts, coefficients
    model = LogisticRegression(C=1 / (l2 * weights.sum()), max_iter=ITERATIONS, tol=1e-7)
    solved = _fitted(model, terms, actual, weights)
    if outputs == 1:
        return solved
    if len(seen) == 2:  # scikit-learn gives one output for two classes: half of it to each is the same shares
        solved = np.array([-1, 1]) * solved[0] / 2, np.vstack([-solved[1], solved[1]]) / 2
    intercepts[seen], coefficients[seen] = solved
    return intercepts, coefficients


def weighted_quantile(values: np.ndarray, weights: np.ndarray, level: float) -> float:
    """The least value that at least this share of the weight lies at or below."""
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][min(int(np.searchsorted(reached, level - 1e-12)), len(values) - 1)])


@dataclass(frozen=True)
class NumberTerms:
    """A number's terms: the value, and whether it is missing.

    Args:
        centre: Mean of the training rows; a missing value is taken to be it.
        scale: Their standard deviation; 0: the column never varied and has no term of its value.
        low: Below it a value is taken to be it: a span of the training rows under their least ...
        high: ... and as far above their greatest.
        missing: Share of missing values; 0 or 1: no term says that one is missing.
    """

    centre: float
    scale: float
    low: float
    high: float
    missing: float
    type: Literal["number"] = "number"

    @classmethod
    def learn(cls, values: np.ndarray, weights: np.ndarray) -> "NumberTerms":
        known = _known(values)
        if not known.any():
            return cls(0.0, 0.0, 0.0, 0.0, 1.0)
        held, weighed = values[known], weights[known]
        least, most = float(held.min()), float(held.max())
        centre = min(max(float(np.average(held, weights=weighed)), least), most)
        scale = 0.0 if least == most else float(np.sqrt(np.average(np.square(held - centre), weights=weighed)))
        span = most - least
        missing = 0.0 if known.all() else float(weights[~known].sum() / weights.sum())
        return cls(centre, scale, least - span, most + span, missing)

    def terms(self, values: np.ndarray) -> list[np.ndarray]:
        known = _known(values)
        terms = []
        if self.scale:
            held = np.clip(np.where(known, values, self.centre), self.low, self.high)
            terms.append((held - self.centre) / self.scale)
        if 0 < self.missing < 1:
            terms.append(np.where(known, 0.0, 1.0) - self.missing)
        return terms


@dataclass(frozen=True)
class Category:
    """A category's terms: one a level, and one for what is rare, missing or unseen.

    Args:
        levels: Codes with a term of their own, ascending.
        shares: Their shares of the training rows.
        other: Share of the rest; 0: there was none, and a row of it later is taken for the average row.
    """

    levels: tuple[float, ...]
    shares: tuple[float, ...]
    other: float
    type: Literal["category"] = "category"

    @classmethod
    def learn(cls, values: np.ndarray, weights: np.ndarray) -> "Category":
        codes, places = np.unique(values[~np.isnan(values)], return_inverse=True)
        held = np.bincount(places, weights=weights[~np.isnan(values)], minlength=len(codes)) / weights.sum()
        commonest = np.sort(np.lexsort((codes, -held))[:LEVELS])
        shares = tuple(held[commonest].tolist())
        whole = len(commonest) == len(codes) and not np.isnan(values).any()
        return cls(tuple(codes[commonest].tolist()), shares, 0.0 if whole else max(1.0 - sum(shares), 0.0))

    def terms(self, values: np.ndarray) -> list[np.ndarray]:
        known = np.isin(values, self.levels)
        seen = known | (self.other > 0)
        terms = [
            np.where(seen, (values == code) - share, 0.0) for code, share in zip(self.levels, self.shares, strict=True)
        ]
        return [*terms, np.where(known, 0.0, 1.0) - self.other] if self.other else terms


Column = NumberTerms | Category


def learn_columns(matrix: np.ndarray, weights: np.ndarray, categorical: Collection[int]) -> tuple[Column, ...]:
    """How the columns of training rows, shape (n, columns), become terms."""
    return tuple(
        (Category if column in categorical else NumberTerms).learn(matrix[:, column], weights)
        for column in range(matrix.shape[1])
    )


def terms_of(matrix: np.ndarray, columns: Sequence[Column]) -> list[list[np.ndarray]]:
    """The terms of rows by column, each of shape (n,)."""
    return [column.terms(matrix[:, number]) for number, column in enumerate(columns)]


def _known(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(values) <= HUGE)


@dataclass(frozen=True)
class Linear:
    """A fitted linear model.

    Args:
        columns: How each becomes terms.
        intercepts: Score of the average training row, shape (outputs,).
        coefficients: What one unit of a term adds, shape (outputs, terms).
        spreads: Standard deviation over the training rows of what each column adds, summed over outputs.
    """

    columns: tuple[Column, ...]
    link: Link
    intercepts: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]
    spreads: tuple[float, ...]

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return outputs(self.scores(matrix), self.link)

    def files(self) -> dict[str, bytes]:
        return {FILE: to_json(to_record(self))}

    def gains(self) -> np.ndarray:
        return np.array(self.spreads)

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        # Summed column by column, never by a matrix product: a row alone is then scored as among others.
        scores = np.tile(self.intercepts, (len(matrix), 1))
        for _, output, added in self._added(matrix):
            scores[:, output] += added
        return scores

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """What the terms of each column add: exact, as the score is their sum."""
        parts = np.zeros((len(matrix), len(self.intercepts), len(self.columns) + 1))
        parts[:, :, -1] = self.intercepts
        for column, output, added in self._added(matrix):
            parts[:, output, column] = added
        return parts

    def _added(self, matrix: np.ndarray) -> Iterable[tuple[int, int, np.ndarray]]:
        """Column, output, and what the column adds to it, column by column."""
        start = 0
        for column, terms in enumerate(terms_of(matrix, self.columns)):
            for output, coefficients in enumerate(self.coefficients):
                added = np.zeros(len(matrix))
                for term, coefficient in zip(terms, coefficients[start : start + len(terms)], strict=True):
                    added += coefficient * term
                yield column, output, added
            start += len(terms)


@dataclass(frozen=True)
class LinearEstimator:
    """Fits and loads linear models. The solution is unique, so there is one round, no seed and no early stopping."""

    name: str
    losses: Losses

    def fit(self, view: FeatureView, matrix: Matrix, actual: np.ndarray, task: FitTask) -> FittedModel:
        way, level = aim_at(self.name, self.losses, view.task, task.loss)
        check_classes(view.task, len(view.classes))
        check_target(self.name, actual)
        if not len(matrix):
            raise BadInputError(f"{self.name} cannot be trained on 0 rows; wait for more rows")
        l2 = float(task.hyperparameters["l2"] or 0)
        if not 0 < l2 < np.inf:
            raise BadInputError(f"tune.space: l2 is {l2}; write a number above 0, such as 0.0001")
        weights = np.ones(len(matrix)) if task.weights is None else task.weights
        matrix = np.asarray(matrix)
        columns = learn_columns(matrix, weights, view.categorical)
        parts = [term for terms in terms_of(matrix, columns) for term in terms]
        grid = np.column_stack(parts) if parts else np.zeros((len(matrix), 1))
        if way == "poisson":
            check_counts(actual)
            solved = poisson(grid, actual, weights, l2=l2)
        elif way == "logistic":
            solved = logistic(
                grid, actual, weights, l2=l2, outputs=len(view.classes) if view.task == "multiclass" else 1
            )
        else:
            solve = ridge if way == "ridge" else partial(quantile, level=0.5 if level is None else level)
            centre = float(np.average(actual, weights=weights))
            scale = float(np.sqrt(np.average(np.square(actual - centre), weights=weights))) or 1.0
            intercepts, coefficients = solve(grid, (actual - centre) / scale, weights, l2=l2)
            solved = intercepts * scale + centre, coefficients * scale
        link = LINKS[view.task] if way != "poisson" else "log"
        plain = Linear(columns, link, _rounded(solved[0]), tuple(map(_rounded, solved[1])), ())
        added = plain.contributions(matrix)[:, :, :-1]
        spreads = np.sqrt(np.average(np.square(added), axis=0, weights=weights)).sum(axis=0)
        return FittedModel(replace(plain, spreads=_rounded(spreads)), 1)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Linear:
        return from_record(Linear, json.loads(files[FILE]))

    def check_space(self, names: Iterable[str]) -> None:
        check_names(self.name, list(names), SPACE)

    def check_aim(self, task: str, loss: str) -> None:
        aim_at(self.name, self.losses, task, loss)


def _rounded(figures: Iterable[float]) -> tuple[float, ...]:
    return tuple(float(f"{float(figure):.{DIGITS}g}") for figure in figures)


MODELS.register("linear", tasks=tuple(LINEAR), seeded=False)(LinearEstimator("linear", LINEAR))
MODELS.register("logistic", tasks=tuple(LOGISTIC), seeded=False)(LinearEstimator("logistic", LOGISTIC))
