"""The model's predictions as columns: what drift tests look at where labels are still to come."""

import numpy as np
import pandas as pd

from retrim.core.table import ColumnType
from retrim.core.view import FeatureView

SCORE, CONFIDENCE, TARGET = "_score", "_confidence", "_target"


def score_types(task: str) -> dict[str, ColumnType]:
    """Names and types of the columns that `score_columns` gives for a model of a task."""
    if task == "regression":
        return {SCORE: "number"}
    return {SCORE: "category" if task == "multiclass" else "number", CONFIDENCE: "number"}


def score_columns(predicted: np.ndarray, view: FeatureView) -> pd.DataFrame:
    """What a model said of each row.

    Args:
        predicted: Predictions, shape (n,), or (n, classes) for a multiclass task.
        view: Of the model.

    Returns:
        `_score`: the prediction of a regression, the probability of the positive class, or the most probable
        class; `_confidence` for a task of classes: the probability of the most probable one. Shape (n, 1 or 2).
    """
    if view.task == "regression":
        return pd.DataFrame({SCORE: predicted.astype("float64")})
    if view.task == "binary":
        return pd.DataFrame({SCORE: predicted, CONFIDENCE: np.maximum(predicted, 1 - predicted)})
    best = predicted.argmax(axis=1) if len(predicted) else np.empty(0, dtype="int64")
    named = pd.Series([view.classes[place] for place in best], dtype="str")
    return pd.DataFrame({SCORE: named, CONFIDENCE: predicted.max(axis=1, initial=0.0)})
