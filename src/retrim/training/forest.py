"""Random forests: LightGBM's trees on rows drawn anew for each, averaged; chances are means, not single steps."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retrim.errors import BadInputError
from retrim.features.view import FeatureView, Matrix
from retrim.stats.canonical import to_json
from retrim.training.estimators import MODELS, FittedModel, Link, Losses, aim_at, check_classes, outputs
from retrim.training.gbm import MODEL_FILE, Gbm, GbmEstimator
from retrim.training.linear import weighted_quantile

MEANS = {"log_loss": "mse", "brier": "mse", "error": "mse"}
GROWN_FOR: Losses = {
    "regression": {"mse": "mse", "mae": "mae", "pinball": "pinball", "poisson": "mse"},
    "binary": MEANS,
    "multiclass": MEANS,
}
LINKS: dict[str, Link] = {"regression": "identity", "binary": "chance", "multiclass": "shares"}
BASE = "forest.json"
TREES = GbmEstimator(
    "forest",
    usual={
        "bagging_fraction": 0.632,  # as many different rows as a bootstrap holds
        "feature_fraction_bynode": 0.6,
        "lambda_l2": 1.0,  # a leaf starts from one usual row: without it a pure one is sure of what it never saw
    },
    fixed={
        "boosting": "a forest is grown by rf",
        "learning_rate": "the trees of a forest are averaged",
        "bagging_freq": "each tree of a forest has rows of its own",
        "boost_from_average": "the average is taken off before",
    },
    boosting={"boosting": "rf", "bagging_freq": 1, "boost_from_average": False},
)


@dataclass(frozen=True)
class Forest:
    """A fitted forest.

    Args:
        base: What the trees start from, a figure an output: the mean target (median, quantile), or a class's share.
        trees: What they add, an output each.
        link: What scores are.
    """

    base: tuple[float, ...]
    trees: tuple[Gbm, ...]
    link: Link

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return outputs(self.scores(matrix), self.link)

    def files(self) -> dict[str, bytes]:
        trees = {_file(place): each.text.encode() for place, each in enumerate(self.trees)}
        return {BASE: to_json({"base": list(self.base), "link": self.link}), **trees}

    def gains(self) -> np.ndarray:
        return np.asarray(np.sum([each.gains() for each in self.trees], axis=0))

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        if not len(matrix):
            return np.empty((0, len(self.base)))
        return np.asarray(np.hstack([each.scores(matrix) for each in self.trees]) + np.array(self.base))

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        found = np.concatenate([each.contributions(matrix) for each in self.trees], axis=1)
        found[:, :, -1] += np.array(self.base)
        return np.asarray(found)


class ForestEstimator:
    """Fits and loads forests; rounds are trees.

    LightGBM's own forest of classes takes one Newton step from the share of all rows in each leaf, which overshoots
    where a class is rare, and it counts a tree that found no split as 0. So the average is taken off
    before, and chances are grown as means of 0 and 1.

    Source:
        Breiman (2001), Machine Learning 45, 5-32; chances as means: Malley et al. (2012), Methods of Information in
        Medicine 51(1), 74-81.
    """

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
    ) -> FittedModel:
        way, level = aim_at("forest", GROWN_FOR, view.task, loss)
        check_classes(view.task, len(view.classes))
        if not len(matrix):
            raise BadInputError("forest refuses 0 rows; wait for more rows")
        own = _targets(view, actual)
        watched = None if stop is None else _targets(view, stop[1])
        weighed = np.ones(len(matrix)) if weights is None else weights
        base, trees, kept = [], [], 1
        for place in range(own.shape[1]):
            target = own[:, place]
            start = _start(target, weighed, way, level)
            fitted = TREES.fit(
                _of_numbers(view),
                matrix,
                target - start,
                loss=way if level is None else f"{way}@{level}",
                hyperparameters=hyperparameters,
                rounds=rounds,
                weights=weights,
                stop=None if stop is None or watched is None else (stop[0], watched[:, place] - start),
                patience=patience,
                seed=seed,  # of all classes: they see the same rows, so that their shares nearly sum to 1
                threads=threads,
            )
            base.append(start)
            trees.append(fitted.model)
            kept = max(kept, fitted.rounds)
        return FittedModel(
            Forest(tuple(base), tuple(each for each in trees if isinstance(each, Gbm)), LINKS[view.task]), kept
        )

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Forest:
        record = json.loads(files[BASE])
        trees = [
            TREES.load(_of_numbers(view), {MODEL_FILE: files[_file(place)]}) for place in range(len(record["base"]))
        ]
        return Forest(tuple(record["base"]), tuple(trees), record["link"])

    def check_space(self, names: Iterable[str]) -> None:
        TREES.check_space(names)

    def check_aim(self, task: str, loss: str) -> None:
        aim_at("forest", GROWN_FOR, task, loss)


def _file(place: int) -> str:
    return f"trees_{place}.txt"


def _of_numbers(view: FeatureView) -> FeatureView:
    return replace(view, task="regression", classes=())


def _targets(view: FeatureView, actual: np.ndarray) -> np.ndarray:
    """What the trees of each output are grown for, shape (n, outputs)."""
    if view.task == "multiclass":
        return np.asarray(actual[:, None] == np.arange(len(view.classes)), dtype="float64")
    return np.asarray(actual, dtype="float64")[:, None]


def _start(target: np.ndarray, weights: np.ndarray, way: str, level: float | None) -> float:
    if way == "mse":
        return float(np.average(target, weights=weights))
    return weighted_quantile(target, weights, 0.5 if level is None else level)


MODELS.register("forest", tasks=tuple(GROWN_FOR), seeded=True)(ForestEstimator())
