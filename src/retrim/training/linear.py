"""Coefficients of linear models on standardised terms, by scikit-learn; quantiles by our own smoothed loss.

The penalty is a share of the rows' weight, so that a row of weight 2 is two rows, and the same figure means the
same at any number of rows.

The terms of a linear model: matrix columns imputed, standardised, one-hot, with all that was learned in JSON.

Every term has the mean 0 over the training rows, so that the intercept is the score of the average row.

Linear models: coefficients in JSON, fitted by scikit-learn, predicted by a few lines of our own.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal
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


HUGE = 1e100
"""A number beyond this counts as missing, as an infinite one does: its square would leave double precision."""
LEVELS = 100
"""Levels of a category that have a term of their own; rarer ones share one with what is missing or unseen."""


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
        made = []
        if self.scale:
            held = np.clip(np.where(known, values, self.centre), self.low, self.high)
            made.append((held - self.centre) / self.scale)
        if 0 < self.missing < 1:
            made.append(np.where(known, 0.0, 1.0) - self.missing)
        return made


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
        found = np.bincount(places, weights=weights[~np.isnan(values)], minlength=len(codes)) / weights.sum()
        kept = np.sort(np.lexsort((codes, -found))[:LEVELS])
        shares = tuple(float(share) for share in found[kept])
        whole = len(kept) == len(codes) and not np.isnan(values).any()
        return cls(tuple(float(code) for code in codes[kept]), shares, 0.0 if whole else max(1.0 - sum(shares), 0.0))

    def terms(self, values: np.ndarray) -> list[np.ndarray]:
        known = np.isin(values, self.levels)
        seen = known | (self.other > 0)
        own = [
            np.where(seen, (values == code) - share, 0.0) for code, share in zip(self.levels, self.shares, strict=True)
        ]
        return [*own, np.where(known, 0.0, 1.0) - self.other] if self.other else own


Column = NumberTerms | Category


@dataclass(frozen=True)
class Terms:
    """The terms of every matrix column, in its order."""

    columns: tuple[Column, ...]

    @classmethod
    def learn(cls, matrix: np.ndarray, weights: np.ndarray, categorical: list[int]) -> "Terms":
        """The terms of training rows.

        Args:
            matrix: Shape (n, columns), n at least 1.
            weights: How often each row counts, above 0, shape (n,).
        """
        named = set(categorical)
        learned: list[Column] = [
            (Category if place in named else NumberTerms).learn(matrix[:, place], weights)
            for place in range(matrix.shape[1])
        ]
        return cls(tuple(learned))

    def of(self, matrix: np.ndarray) -> list[list[np.ndarray]]:
        """The terms of rows by column, each of shape (n,)."""
        return [column.terms(matrix[:, place]) for place, column in enumerate(self.columns)]


def _known(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(values) <= HUGE)


LINEAR: Losses = {"regression": {"mse": "ridge", "mae": "quantile", "pinball": "quantile", "poisson": "poisson"}}
CLASSES = {"log_loss": "logistic", "brier": "logistic", "error": "logistic"}
LOGISTIC: Losses = {"binary": CLASSES, "multiclass": CLASSES}
LINKS: dict[str, Link] = {"regression": "identity", "binary": "log odds", "multiclass": "log shares"}
FILE = "linear.json"
SPACE = ["l2"]
DIGITS = 10
"""Digits of a coefficient that are kept: beyond them processors differ."""


@dataclass(frozen=True)
class Linear:
    """A fitted linear model.

    Args:
        columns: How each becomes terms.
        link: What its scores are.
        intercepts: Score of the average training row, shape (outputs,).
        coefficients: What one unit of a term adds, shape (outputs, terms).
        spreads: Standard deviation over the training rows of what each column adds, summed over outputs.
    """

    columns: tuple[Column, ...]
    link: Link
    intercepts: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]
    spreads: tuple[float, ...]

    @property
    def terms(self) -> Terms:
        """How a matrix becomes terms."""
        return Terms(self.columns)

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return outputs(self.scores(matrix), self.link)

    def files(self) -> dict[str, bytes]:
        return {FILE: to_json(to_record(self))}

    def gains(self) -> np.ndarray:
        return np.array(self.spreads)

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        # Summed column by column, never by a matrix product: a row alone is then scored as among others.
        found = np.empty((len(matrix), len(self.intercepts)))
        found[:] = self.intercepts
        for output, added in self._added(matrix):
            found[:, output] += added
        return found

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """What the terms of each column add: exact, as the score is their sum."""
        found = np.zeros((len(matrix), len(self.intercepts), len(self.columns) + 1))
        found[:, :, -1] = self.intercepts
        places = [place for place in range(len(self.columns)) for _ in self.intercepts]
        for place, (output, added) in zip(places, self._added(matrix), strict=True):
            found[:, output, place] = added
        return found

    def _added(self, matrix: np.ndarray) -> Iterable[tuple[int, np.ndarray]]:
        """What each column adds to each output, column by column."""
        start = 0
        for terms in self.terms.of(matrix):
            for output, coefficients in enumerate(self.coefficients):
                added = np.zeros(len(matrix))
                for term, coefficient in zip(terms, coefficients[start : start + len(terms)], strict=True):
                    added += coefficient * term
                yield output, added
            start += len(terms)


@dataclass(frozen=True)
class LinearEstimator:
    """Fits and loads linear models. The solution is unique, so there is one round, no seed and no early stopping.

    Args:
        name: As params.yaml says it.
        losses: What it can be trained for.
    """

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
        weighed = np.ones(len(matrix)) if task.weights is None else task.weights
        matrix = np.asarray(matrix)
        terms = Terms.learn(matrix, weighed, view.categorical)
        parts = [term for column in terms.of(matrix) for term in column]
        grid = np.column_stack(parts) if parts else np.zeros((len(matrix), 1))
        link = LINKS[view.task] if way != "poisson" else "log"
        if way == "poisson":
            check_counts(actual)
            solved = poisson(grid, actual, weighed, l2=l2)
        elif way == "logistic":
            solved = logistic(
                grid, actual, weighed, l2=l2, outputs=len(view.classes) if view.task == "multiclass" else 1
            )
        else:
            half = 0.5 if level is None else level
            solve = ridge if way == "ridge" else partial(quantile, level=half)
            centre = float(np.average(actual, weights=weighed))
            scale = float(np.sqrt(np.average(np.square(actual - centre), weights=weighed))) or 1.0
            intercepts, coefficients = solve(grid, (actual - centre) / scale, weighed, l2=l2)
            solved = intercepts * scale + centre, coefficients * scale
        made = _made(terms, link, solved, matrix, weighed)
        return FittedModel(made, 1)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Linear:
        return from_record(Linear, json.loads(files[FILE]))

    def check_space(self, names: Iterable[str]) -> None:
        check_names(self.name, list(names), SPACE)

    def check_aim(self, task: str, loss: str) -> None:
        aim_at(self.name, self.losses, task, loss)


def _made(terms: Terms, link: Link, solved: Solved, matrix: np.ndarray, weights: np.ndarray) -> Linear:
    intercepts, coefficients = solved
    plain = Linear(
        terms.columns,
        link,
        tuple(_rounded(each) for each in intercepts),
        tuple(tuple(_rounded(each) for each in row) for row in coefficients),
        (),
    )
    added = plain.contributions(matrix)[:, :, :-1]
    spreads = np.sqrt(np.average(np.square(added), axis=0, weights=weights)).sum(axis=0)
    return replace(plain, spreads=tuple(_rounded(each) for each in spreads))


def _rounded(figure: float) -> float:
    return float(f"{float(figure):.{DIGITS}g}")


MODELS.register("linear", tasks=tuple(LINEAR), seeded=False)(LinearEstimator("linear", LINEAR))
MODELS.register("logistic", tasks=tuple(LOGISTIC), seeded=False)(LinearEstimator("logistic", LOGISTIC))
