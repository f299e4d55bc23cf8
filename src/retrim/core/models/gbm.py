"""LightGBM: gradient boosted trees, deterministic, stored as LightGBM's own text."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrim.core.models import MODELS, Fitted
from retrim.core.view import FeatureView
from retrim.errors import BadInputError, RefusedError

OBJECTIVES = {
    "regression": {"mae": "l1", "mse": "l2", "pinball": "quantile"},
    "binary": {"log_loss": "binary", "brier": "binary", "error": "binary"},
    "multiclass": {"log_loss": "multiclass", "brier": "multiclass", "error": "multiclass"},
}
MODEL_FILE = "model.txt"


@dataclass(frozen=True)
class Gbm:
    """A fitted booster as text. The number of threads is left out of it, so it depends on data alone."""

    text: str
    booster: Any
    threads: int

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return np.asarray(self.booster.predict(matrix, num_threads=self.threads))

    def files(self) -> dict[str, bytes]:
        return {MODEL_FILE: self.text.encode()}

    def gains(self) -> np.ndarray:
        return np.asarray(self.booster.feature_importance(importance_type="gain"))


class GbmKind:
    """Fits and loads LightGBM models.

    Source:
        Ke et al. (2017), LightGBM: A Highly Efficient Gradient Boosting Decision Tree, NeurIPS 30.
    """

    def fit(
        self,
        view: FeatureView,
        matrix: np.ndarray,
        actual: np.ndarray,
        *,
        loss: str,
        hyperparameters: dict[str, Any],
        rounds: int,
        stop: tuple[np.ndarray, np.ndarray] | None,
        patience: int,
        seed: int,
        threads: int,
    ) -> Fitted:
        import lightgbm

        _check_target(actual)
        names = _safe_names(list(view.features))
        parameters = {
            "bagging_freq": 1,
            **hyperparameters,
            **_objective(view, loss),
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": threads,
            "verbosity": -1,
        }
        train = lightgbm.Dataset(matrix, actual, feature_name=names, categorical_feature=view.categorical)
        watched: dict[str, Any] = {}
        if stop is not None:
            watched["valid_sets"] = [train.create_valid(*stop)]
            watched["callbacks"] = [lightgbm.early_stopping(patience, first_metric_only=True, verbose=False)]
        try:
            booster = lightgbm.train(parameters, train, num_boost_round=rounds, **watched)
        except lightgbm.basic.LightGBMError as error:
            raise BadInputError(
                f"LightGBM refuses {len(matrix)} rows with {hyperparameters}: {str(error).strip()}; look at tune.space"
            ) from error
        kept = rounds if stop is None else booster.best_iteration
        text = re.sub(r"(?m)^\[num_threads: \d+\]$", "[num_threads: 0]", booster.model_to_string(num_iteration=kept))
        return Fitted(Gbm(text, booster, threads), kept)

    def load(self, view: FeatureView, files: dict[str, bytes]) -> Gbm:
        import lightgbm

        text = files[MODEL_FILE].decode()
        return Gbm(text, lightgbm.Booster(model_str=text), 1)


def _check_target(actual: np.ndarray) -> None:
    """LightGBM keeps targets in single precision; beyond it they are infinite without a word."""
    largest = float(np.abs(actual).max(initial=0))
    if largest > float(np.finfo(np.float32).max):
        raise BadInputError(f"the target reaches {largest:.3g}; gbm holds up to 3.4e38; give it in a larger unit")


def _objective(view: FeatureView, loss: str) -> dict[str, Any]:
    name, _, quantile = loss.partition("@")
    known = OBJECTIVES[view.task]
    if view.task == "multiclass" and len(view.classes) < 2:
        raise RefusedError(f"the training rows hold {len(view.classes)} class; a multiclass model needs at least 2")
    if name not in known:
        raise BadInputError(f"judge.loss: gbm cannot train a {view.task} for {loss!r}; it can for {', '.join(known)}")
    chosen: dict[str, Any] = {"objective": known[name]}
    if quantile:
        chosen["alpha"] = float(quantile)
    if view.task == "multiclass":
        chosen["num_class"] = len(view.classes)
    return chosen


def _safe_names(names: list[str]) -> list[str]:
    """Names LightGBM takes (it refuses JSON's signs), still unlike one another."""
    safe = [re.sub(r"\W+", "_", name) for name in names]
    return safe if len(set(safe)) == len(safe) else [f"{place}_{name}" for place, name in enumerate(safe)]


MODELS.register("gbm")(GbmKind())
