"""LightGBM's gradient boosted trees, kept as its own text."""

import ctypes
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

import numpy as np

from retrim.errors import BadInputError, RefusedError
from retrim.features.view import FeatureView, Matrix, RowMatrix
from retrim.training.estimators import (
    MODELS,
    FitTask,
    FittedModel,
    Link,
    Losses,
    aim_at,
    check_classes,
    check_counts,
    check_target,
)
from retrim.training.linear import CERTAIN

OBJECTIVES: Losses = {
    "regression": {"mae": "l1", "mse": "l2", "pinball": "quantile", "poisson": "poisson"},
    "binary": {"log_loss": "binary", "brier": "binary", "error": "binary"},
    "multiclass": {"log_loss": "multiclass", "brier": "multiclass", "error": "multiclass"},
}
LINKS: dict[str, Link] = {"regression": "identity", "binary": "log odds", "multiclass": "log shares"}
MODEL_FILE = "model.txt"
SAMPLE_SEEDS = {"data_random_seed", "data_seed"}
SET_BY_RETRIM = {
    "objective": "judge.loss sets it",
    "num_class": "the table sets it",
    "num_iterations": "tune.max_rounds and early stopping set it",
    "early_stopping_round": "early stopping is used wherever possible",
    "seed": "it is fixed",
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


class GbmEstimator:
    """Fits and loads LightGBM models.

    Source:
        Ke et al. (2017), LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 30.
    """

    def fit(self, view: FeatureView, matrix: Matrix, actual: np.ndarray, task: FitTask) -> FittedModel:
        import lightgbm

        check_target("gbm", actual)
        names, chosen = _safe_names(list(view.columns)), _objective(view, task.loss)
        if chosen["objective"] == "poisson":
            check_counts(actual)
            if not actual.astype("float32").any():  # as LightGBM keeps them; it refuses a sum of 0
                actual = np.full(len(actual), CERTAIN)
        parameters = {
            "bagging_freq": 1,
            **task.hyperparameters,
            **chosen,
            "seed": task.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": task.threads,
            "verbosity": -1,
        }
        if isinstance(matrix, RowMatrix) and not SAMPLE_SEEDS & set(task.hyperparameters):
            parameters["data_random_seed"] = _sample_seed(task.seed)
        train = lightgbm.Dataset(
            _source(matrix), actual, weight=task.weights, feature_name=names, categorical_feature=view.categorical
        )
        valid: list[lightgbm.Dataset] | None = None
        callbacks: list[Callable[..., Any]] | None = None
        if (stop := task.stop) is not None:
            # Of pieces, LightGBM takes rows without weights for rows of weight 0 where those it trains on have some.
            valid = [train.create_valid(_source(stop[0]) if task.weights is None else np.asarray(stop[0]), stop[1])]
            callbacks = [lightgbm.early_stopping(task.patience, first_metric_only=True, verbose=False)]
        try:
            booster = lightgbm.train(
                parameters, train, num_boost_round=task.rounds, valid_sets=valid, callbacks=callbacks
            )
        except lightgbm.basic.LightGBMError as error:
            raise BadInputError(
                f"LightGBM cannot train on {len(matrix)} rows with {task.hyperparameters}: {str(error).strip()}; check "
                "tune.space"
            ) from error
        rounds = task.rounds if stop is None else booster.best_iteration
        text = re.sub(r"(?m)^\[num_threads: \d+\]$", "[num_threads: 0]", booster.model_to_string(num_iteration=rounds))
        if stop is not None:
            booster = lightgbm.Booster(model_str=text)  # the trees that were kept, and no others: rf averages them
        stored = text.encode()
        return FittedModel(Gbm(stored, booster, task.threads, _link(view, stored)), rounds)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Gbm:
        import lightgbm

        text = files[MODEL_FILE]
        return Gbm(text, lightgbm.Booster(model_str=text.decode()), 1, _link(view, text))

    def check_aim(self, task: str, loss: str) -> None:
        aim_at("gbm", OBJECTIVES, task, loss)

    def check_space(self, names: Iterable[str]) -> None:
        known = {alias: name for name, aliases in _parameters().items() for alias in (name, *aliases)}
        meant: dict[str, str] = {}
        for name in names:
            if name not in known:
                near = get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else "; leave it out"
                raise BadInputError(f"tune.space: {name!r} is not a parameter of LightGBM, which would ignore it{hint}")
            parameter = known[name]
            if parameter in SET_BY_RETRIM:
                raise BadInputError(
                    f"tune.space: {name!r} cannot be searched, because {SET_BY_RETRIM[parameter]}; leave it out"
                )
            if parameter in meant:
                raise BadInputError(
                    f"tune.space: {meant[parameter]!r} and {name!r} both mean {parameter}; keep only one of them"
                )
            meant[parameter] = name


def _parameters() -> dict[str, list[str]]:
    """LightGBM's parameters with their other names, as its C interface lists them; its Python package does so nowhere.

    Source:
        `LGBM_DumpParamAliases` in LightGBM's C API.
    """
    import lightgbm  # whose library it is

    folder = files(lightgbm) / "lib"
    library = ctypes.CDLL(str(next(path for path in folder.iterdir() if path.name.startswith("lib_lightgbm."))))
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


def _objective(view: FeatureView, loss: str) -> dict[str, Any]:
    objective, value = aim_at("gbm", OBJECTIVES, view.task, loss)
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
    return "log" if counts else LINKS[view.task]


def _safe_names(names: list[str]) -> list[str]:
    """Names LightGBM takes (it refuses JSON's signs), still unlike one another."""
    safe = [re.sub(r"\W+", "_", name) for name in names]
    return safe if len(set(safe)) == len(safe) else [f"{number}_{name}" for number, name in enumerate(safe)]


MODELS.register("gbm", tasks=tuple(OBJECTIVES), seeded=True)(GbmEstimator())
