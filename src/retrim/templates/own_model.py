"""A model of one's own: scikit-learn's boosting on histograms, kept by skops. Copy it to start from."""

from typing import Any

import numpy as np
import skops.io
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

HYPERPARAMETERS = ("learning_rate", "max_iter", "max_leaf_nodes")
"""What tune.space has to name, and nothing else."""
LOSSES = {
    "regression": ("mse", "mae", "pinball", "poisson"),
    "binary": ("log_loss", "brier", "error"),
    "multiclass": ("log_loss", "brier", "error"),
}
"""The tasks it is for, and what judge.loss may be for each."""
TRUSTED = ["sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor"]
"""Types that skops may load beyond those it knows to be harmless; `skops.io.get_untrusted_types` lists them."""
MINIMISED = {"mse": "squared_error", "mae": "absolute_error", "pinball": "quantile", "poisson": "poisson"}


def fit(matrix: np.ndarray, actual: np.ndarray, about: Any) -> Any:
    """Any object that `predict` and `save` understand.

    Args:
        matrix: Shape (n, columns); NaN where a cell is missing, and the code of its level in a category.
        actual: Numbers, or codes of classes, shape (n,).
    """
    usual = {"early_stopping": False, "random_state": about.seed, **about.hyperparameters}
    if about.task == "regression":
        name, _, level = about.loss.partition("@")
        made = HistGradientBoostingRegressor(loss=MINIMISED[name], quantile=float(level) if level else None, **usual)
    elif len(np.unique(actual)) == 1:
        made = DummyClassifier(strategy="prior")
    else:
        made = HistGradientBoostingClassifier(**usual)
    held = _held(matrix)
    held[:, np.isnan(held).all(axis=0)] = 0.0  # histograms cannot be cut of no value at all
    made.fit(held, actual, sample_weight=about.weights)
    return made, about.task, len(about.classes)


def predict(model: Any, matrix: np.ndarray) -> np.ndarray:
    """Numbers, or the chance of the positive class, shape (n,); the chances of all classes, shape (n, classes)."""
    made, task, classes = model
    if task == "regression":
        return np.asarray(made.predict(_held(matrix)))
    chances = np.zeros((len(matrix), classes))  # a class without training rows has no chance
    chances[:, made.classes_.astype(int)] = made.predict_proba(_held(matrix))
    return chances[:, 1] if task == "binary" else chances


def save(model: Any) -> bytes:
    """Bytes that `load` makes the same model of."""
    return bytes(skops.io.dumps(model))


def load(content: bytes) -> Any:
    """The model again. skops builds the types it knows and those in TRUSTED, and runs nothing."""
    return skops.io.loads(content, trusted=TRUSTED)


def _held(matrix: np.ndarray) -> np.ndarray:
    """Infinite cells as missing ones."""
    return np.where(np.isfinite(matrix), matrix, np.nan)
