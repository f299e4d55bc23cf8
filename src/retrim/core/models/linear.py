"""Linear models: coefficients in JSON, fitted by scikit-learn, predicted by a few lines of our own."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from retrim.core.canonical import to_json
from retrim.core.models import MODELS, Fitted, Link, outputs, solving
from retrim.core.models.aims import Losses, aim_at, check_classes, check_names, check_target
from retrim.core.models.terms import Terms
from retrim.core.row_matrix import Matrix
from retrim.core.view import FeatureView
from retrim.errors import BadInputError

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
        terms: How a matrix becomes terms.
        link: What its scores are.
        intercepts: Score of the average training row, shape (outputs,).
        coefficients: What one unit of a term adds, shape (outputs, terms).
        spreads: Standard deviation over the training rows of what each column adds, summed over outputs.
    """

    terms: Terms
    link: Link
    intercepts: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]
    spreads: tuple[float, ...]

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return outputs(self.scores(matrix), self.link)

    def files(self) -> dict[str, bytes]:
        record = {
            "link": self.link,
            "columns": self.terms.as_record(),
            "intercepts": list(self.intercepts),
            "coefficients": [list(each) for each in self.coefficients],
            "spreads": list(self.spreads),
        }
        return {FILE: to_json(record)}

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
        found = np.zeros((len(matrix), len(self.intercepts), len(self.terms.columns) + 1))
        found[:, :, -1] = self.intercepts
        places = [place for place in range(len(self.terms.columns)) for _ in self.intercepts]
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
class LinearKind:
    """Fits and loads linear models; one solution, so that it takes one round, no seed, and passes `stop` over.

    Args:
        name: As params.yaml says it.
        losses: What it can be trained for.
    """

    name: str
    losses: Losses

    def fit(
        self,
        view: FeatureView,
        matrix: Matrix,
        actual: np.ndarray,
        *,
        loss: str,
        hyperparameters: dict[str, Any],
        rounds: int,
        weights: np.ndarray | None,
        stop: tuple[Matrix, np.ndarray] | None,
        patience: int,
        seed: int,
        threads: int,
    ) -> Fitted:
        way, level = aim_at(self.name, self.losses, view.task, loss)
        check_classes(view.task, len(view.classes))
        check_target(self.name, actual)
        if not len(matrix):
            raise BadInputError(f"{self.name} refuses 0 rows; wait for more rows")
        l2 = float(hyperparameters["l2"])
        if not 0 < l2 < np.inf:
            raise BadInputError(f"tune.space: l2 is {l2}; it is a number above 0, such as 0.0001")
        weighed = np.ones(len(matrix)) if weights is None else weights
        matrix = np.asarray(matrix)
        terms = Terms.learn(matrix, weighed, view.categorical)
        parts = [term for column in terms.of(matrix) for term in column]
        grid = np.column_stack(parts) if parts else np.zeros((len(matrix), 1))
        link = LINKS[view.task] if way != "poisson" else "log"
        if way == "poisson":
            _check_counts(self.name, actual)
            solved = solving.poisson(grid, actual, weighed, l2=l2)
        elif way == "logistic":
            solved = solving.logistic(
                grid, actual, weighed, l2=l2, outputs=len(view.classes) if view.task == "multiclass" else 1
            )
        else:
            half = 0.5 if level is None else level
            solve = solving.ridge if way == "ridge" else partial(solving.quantile, level=half)
            centre = float(np.average(actual, weights=weighed))
            scale = float(np.sqrt(np.average(np.square(actual - centre), weights=weighed))) or 1.0
            intercepts, coefficients = solve(grid, (actual - centre) / scale, weighed, l2=l2)
            solved = intercepts * scale + centre, coefficients * scale
        made = _made(terms, link, solved, matrix, weighed)
        return Fitted(made, 1)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Linear:
        record = json.loads(files[FILE])
        return Linear(
            Terms.from_record(record["columns"]),
            record["link"],
            tuple(record["intercepts"]),
            tuple(tuple(each) for each in record["coefficients"]),
            tuple(record["spreads"]),
        )

    def check_space(self, names: Iterable[str]) -> None:
        check_names(self.name, list(names), SPACE)

    def check_aim(self, task: str, loss: str) -> None:
        aim_at(self.name, self.losses, task, loss)


def _made(terms: Terms, link: Link, solved: solving.Solved, matrix: np.ndarray, weights: np.ndarray) -> Linear:
    intercepts, coefficients = solved
    plain = Linear(
        terms,
        link,
        tuple(_rounded(each) for each in intercepts),
        tuple(tuple(_rounded(each) for each in row) for row in coefficients),
        (),
    )
    added = plain.contributions(matrix)[:, :, :-1]
    spreads = np.sqrt(np.average(np.square(added), axis=0, weights=weights)).sum(axis=0)
    return Linear(terms, link, plain.intercepts, plain.coefficients, tuple(_rounded(each) for each in spreads))


def _check_counts(kind: str, actual: np.ndarray) -> None:
    if actual.min() < 0:
        raise BadInputError(
            f"judge.loss: poisson is for counts, and the target holds {actual.min():g}; choose mse or mae"
        )


def _rounded(figure: float) -> float:
    return float(f"{float(figure):.{DIGITS}g}")


MODELS.register("linear", tasks=tuple(LINEAR), seeded=False)(LinearKind("linear", LINEAR))
MODELS.register("logistic", tasks=tuple(LOGISTIC), seeded=False)(LinearKind("logistic", LOGISTIC))
