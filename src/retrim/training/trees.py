"""LightGBM's trees: gradient boosting as its own text, and random forests averaged over resampled rows."""

import ctypes
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

import numpy as np

from retrim.errors import BadInputError, RefusedError
from retrim.features.view import FeatureView, Matrix, RowMatrix
from retrim.stats.codec import from_record, to_json, to_record
from retrim.training.estimators import (
    MODELS,
    FittedModel,
    Hyperparameters,
    Link,
    Losses,
    aim_at,
    check_classes,
    check_counts,
    check_target,
    outputs,
)
from retrim.training.linear import CERTAIN, weighted_quantile

OBJECTIVES: Losses = {
    "regression": {"mae": "l1", "mse": "l2", "pinball": "quantile", "poisson": "poisson"},
    "binary": {"log_loss": "binary", "brier": "binary", "error": "binary"},
    "multiclass": {"log_loss": "multiclass", "brier": "multiclass", "error": "multiclass"},
}
GBM_LINKS: dict[str, Link] = {"regression": "identity", "binary": "log odds", "multiclass": "log shares"}
MODEL_FILE = "model.txt"
SAMPLE_SEEDS = {"data_random_seed", "data_seed"}
SET_BY_RETRIM = {
    "objective": "judge.loss sets it",
    "num_class": "the table sets it",
    "num_iterations": "tune.max_rounds and early stopping set it",
    "early_stopping_round": "early stopping is used wherever possible",
    "seed": "the setting seed sets it",
    "num_threads": "it changes no result",
    "deterministic": "versions must be reproducible byte for byte",
    "force_row_wise": "versions must be reproducible byte for byte",
    "verbosity": "it changes no result",
    "is_unbalance": "train.balance sets it, and corrects the probabilities",
    "scale_pos_weight": "train.balance sets it, and corrects the probabilities",
}
"""Parameters that a search may not have, and why."""


@dataclass(frozen=True)
class Gbm:
    """A fitted booster as text, in UTF-8. The number of threads is left out of it, so it depends on data alone."""

    text: bytes
    booster: Any
    threads: int
    link: Link

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return np.asarray(self.booster.predict(matrix, num_threads=self.threads))

    def files(self) -> dict[str, bytes]:
        return {MODEL_FILE: self.text}

    def gains(self) -> np.ndarray:
        return np.asarray(self.booster.feature_importance(importance_type="gain"))

    def scores(self, matrix: np.ndarray) -> np.ndarray:
        if not len(matrix):
            return np.empty((0, self.booster.num_model_per_iteration()))
        raw = np.asarray(self.booster.predict(matrix, raw_score=True, num_threads=self.threads))
        return (raw if raw.ndim == 2 else raw[:, None]) / self._averaged

    def contributions(self, matrix: np.ndarray) -> np.ndarray:
        """Exact TreeSHAP values.

        Source:
            Lundberg et al. (2020), From local explanations to global understanding with explainable AI for trees,
            Nature Machine Intelligence 2, 56-67: the path-dependent form, as LightGBM computes it.
        """
        import lightgbm

        width = self.booster.num_feature() + 1
        if not len(matrix):
            return np.empty((0, self.booster.num_model_per_iteration(), width))
        try:
            added = self.booster.predict(matrix, pred_contrib=True, num_threads=self.threads)
        except lightgbm.basic.LightGBMError as error:
            raise RefusedError(
                "the model cannot be explained, because LightGBM cannot compute exact contributions for it "
                f"({str(error).strip()}); train a version with different hyperparameters"
            ) from error
        return np.asarray(added).reshape(len(matrix), -1, width) / self._averaged

    @property
    def _averaged(self) -> int:
        """Trees that a random forest (boosting: rf) averages over: LightGBM's raw scores are their sums."""
        forest = b"\naverage_output\n" in self.text.partition(b"\nTree=")[0]
        return int(self.booster.current_iteration()) if forest else 1


@dataclass(frozen=True)
class GbmEstimator:
    """Fits and loads LightGBM models.

    Args:
        name: As params.yaml says it.
        usual: Parameters where a search does not name them.
        fixed: Those that a search may not have, beside what retrim sets, and why.
        boosting: What is put in their place.

    Source:
        Ke et al. (2017), LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 30.
    """

    name: str
    usual: Hyperparameters
    fixed: dict[str, str]
    boosting: Hyperparameters

    def fit(
        self,
        view: FeatureView,
        matrix: Matrix,
        actual: np.ndarray,
        *,
        loss: str,
        hyperparameters: Hyperparameters,
        rounds: int,
        weights: np.ndarray | None,
        stop: tuple[Matrix, np.ndarray] | None,
        patience: int,
        seed: int,
        threads: int,
    ) -> FittedModel:
        import lightgbm

        check_target(self.name, actual)
        names, chosen = _safe_names(list(view.columns)), _objective(self.name, view, loss)
        if chosen["objective"] == "poisson":
            check_counts(actual)
            if not actual.astype("float32").any():  # as LightGBM keeps them; it refuses a sum of 0
                actual = np.full(len(actual), CERTAIN)
        parameters = {
            **self.usual,
            **hyperparameters,
            **self.boosting,
            **chosen,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": threads,
            "verbosity": -1,
        }
        if isinstance(matrix, RowMatrix) and not SAMPLE_SEEDS & set(hyperparameters):
            parameters["data_random_seed"] = _sample_seed(seed)
        train = lightgbm.Dataset(
            _source(matrix), actual, weight=weights, feature_name=names, categorical_feature=view.categorical
        )
        valid: list[lightgbm.Dataset] | None = None
        callbacks: list[Callable[..., Any]] | None = None
        if stop is not None:
            # Of pieces, LightGBM takes rows without weights for rows of weight 0 where those it trains on have some.
            valid = [train.create_valid(_source(stop[0]) if weights is None else np.asarray(stop[0]), stop[1])]
            callbacks = [lightgbm.early_stopping(patience, first_metric_only=True, verbose=False)]
        try:
            booster = lightgbm.train(parameters, train, num_boost_round=rounds, valid_sets=valid, callbacks=callbacks)
        except lightgbm.basic.LightGBMError as error:
            raise BadInputError(
                f"LightGBM cannot train on {len(matrix)} rows with {hyperparameters}: {str(error).strip()}; check "
                "tune.space"
            ) from error
        kept = rounds if stop is None else booster.best_iteration
        text = re.sub(r"(?m)^\[num_threads: \d+\]$", "[num_threads: 0]", booster.model_to_string(num_iteration=kept))
        if stop is not None:
            booster = lightgbm.Booster(
                model_str=text
            )  # the trees that were kept, and no others: a forest averages them
        stored = text.encode()
        return FittedModel(Gbm(stored, booster, threads, _link(view, stored)), kept)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Gbm:
        import lightgbm

        text = files[MODEL_FILE]
        return Gbm(text, lightgbm.Booster(model_str=text.decode()), 1, _link(view, text))

    def check_aim(self, task: str, loss: str) -> None:
        aim_at(self.name, OBJECTIVES, task, loss)

    def check_space(self, names: Iterable[str]) -> None:
        known = {alias: name for name, aliases in _parameters().items() for alias in (name, *aliases)}
        meant: dict[str, str] = {}
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else "; leave it out"
                raise BadInputError(f"tune.space: {name!r} is not a parameter of LightGBM, which would ignore it{hint}")
            own = known[name]
            reasons = SET_BY_RETRIM | self.fixed
            if own in reasons:
                raise BadInputError(f"tune.space: {name!r} cannot be searched, because {reasons[own]}; leave it out")
            if own in meant:
                raise BadInputError(f"tune.space: {meant[own]!r} and {name!r} both mean {own}; keep only one of them")
            meant[own] = name


def _parameters() -> dict[str, list[str]]:
    """LightGBM's parameters with their other names, as its C interface lists them; its Python package does so nowhere.

    Source:
        `LGBM_DumpParamAliases` in LightGBM's C API.
    """
    import lightgbm  # whose library it is

    folder = files(lightgbm) / "lib"
    library = ctypes.CDLL(str(next(each for each in folder.iterdir() if each.name.startswith("lib_lightgbm."))))
    text, size = ctypes.create_string_buffer(1 << 20), ctypes.c_int64()
    library.LGBM_DumpParamAliases(ctypes.c_int64(len(text)), ctypes.byref(size), text)
    named: dict[str, list[str]] = json.loads(text.value)
    return named


def _source(matrix: Matrix) -> Any:
    """What LightGBM bins: the matrix, or what it reads a piece at a time. The bins, and so the model, are the same."""
    if isinstance(matrix, np.ndarray):
        return matrix
    import lightgbm

    pieces = matrix

    class Pieces(lightgbm.Sequence):
        batch_size = pieces.piece

        def __len__(self) -> int:
            return len(pieces)

        def __getitem__(self, places: Any) -> np.ndarray:
            return pieces[places]

    return Pieces()


def _sample_seed(seed: int) -> int:
    """The seed of the rows that bins are cut from, as LightGBM derives it from `seed`: for pieces it forgets to.

    Source:
        LightGBM 4.7, src/io/config.cpp (Config::Set) and include/LightGBM/utils/random.h (NextShort).
    """
    drawn = (214013 * seed + 2531011) % 2**32 >> 16 & 0x7FFF
    return drawn % 0x7FFF


def _objective(kind: str, view: FeatureView, loss: str) -> dict[str, Any]:
    objective, value = aim_at(kind, OBJECTIVES, view.task, loss)
    check_classes(view.task, len(view.classes))
    chosen: dict[str, Any] = {"objective": objective}
    if value is not None:
        chosen["alpha"] = value
    if view.task == "multiclass":
        chosen["num_class"] = len(view.classes)
    return chosen


def _link(view: FeatureView, text: bytes) -> Link:
    """What raw scores are: a model of counts scores their logarithm."""
    counts = b"\nobjective=poisson\n" in text.partition(b"\nTree=")[0]
    return "log" if counts else GBM_LINKS[view.task]


def _safe_names(names: list[str]) -> list[str]:
    """Names LightGBM takes (it refuses JSON's signs), still unlike one another."""
    safe = [re.sub(r"\W+", "_", name) for name in names]
    return safe if len(set(safe)) == len(safe) else [f"{place}_{name}" for place, name in enumerate(safe)]


MODELS.register("gbm", tasks=tuple(OBJECTIVES), seeded=True)(GbmEstimator("gbm", {"bagging_freq": 1}, {}, {}))

MEANS = {"log_loss": "mse", "brier": "mse", "error": "mse"}
GROWN_FOR: Losses = {
    "regression": {"mse": "mse", "mae": "mae", "pinball": "pinball", "poisson": "mse"},
    "binary": MEANS,
    "multiclass": MEANS,
}
FOREST_LINKS: dict[str, Link] = {"regression": "identity", "binary": "chance", "multiclass": "shares"}
BASE = "forest.json"
TREES = GbmEstimator(
    "forest",
    usual={
        "bagging_fraction": 0.632,  # as many different rows as a bootstrap holds
        "feature_fraction_bynode": 0.6,
        "lambda_l2": 1.0,  # a leaf starts from one usual row: without it a pure one is sure of what it never saw
    },
    fixed={
        "boosting": "a forest always uses rf",
        "learning_rate": "a forest averages its trees",
        "bagging_freq": "a forest draws separate rows for each tree",
        "boost_from_average": "retrim subtracts the average before training",
    },
    boosting={"boosting": "rf", "bagging_freq": 1, "boost_from_average": False},
)


@dataclass(frozen=True)
class ForestRecord:
    """A forest without its trees.

    Args:
        base: What the trees start from, a figure an output: the mean target (median, quantile), or a class's share.
        link: What scores are.
    """

    base: tuple[float, ...]
    link: Link


@dataclass(frozen=True)
class Forest(ForestRecord):
    """A fitted forest.

    Args:
        trees: What they add to the base, an output each.
    """

    trees: tuple[Gbm, ...]

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return outputs(self.scores(matrix), self.link)

    def files(self) -> dict[str, bytes]:
        trees = {_file(place): each.text for place, each in enumerate(self.trees)}
        return {BASE: to_json(to_record(ForestRecord(self.base, self.link))), **trees}

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
    """Fits and loads random forests; each round adds a tree.

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
        hyperparameters: Hyperparameters,
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
            raise BadInputError("forest cannot be trained on 0 rows; wait for more rows")
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
        grown = tuple(each for each in trees if isinstance(each, Gbm))
        return FittedModel(Forest(tuple(base), FOREST_LINKS[view.task], grown), kept)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Forest:
        own = from_record(ForestRecord, json.loads(files[BASE]))
        trees = [TREES.load(_of_numbers(view), {MODEL_FILE: files[_file(place)]}) for place in range(len(own.base))]
        return Forest(own.base, own.link, tuple(trees))

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
