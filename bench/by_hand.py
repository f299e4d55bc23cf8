"""The careful script that `bench/tables.py` holds a model against: rounds and size of the trees by the newest fifth
of the past, refitted on all of it."""

from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from raw_tables import Table

CLIP = 1e-12  # of a probability, as retrim's own log loss has it
GRID = [{"num_leaves": leaves, "learning_rate": rate} for leaves in (15, 31, 63) for rate in (0.03, 0.1)]
FIXED = {"min_child_samples": 20, "feature_fraction": 0.8, "bagging_fraction": 0.8, "bagging_freq": 1, "verbosity": -1}


def by_hand(table: Table, rows: pd.DataFrame, past: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    """Predictions of the script for the rows ahead: values, or the probability of the class that came.

    Args:
        table: What they are.
        rows: As the raw file has them, in order of time.
        past: Places of rows whose answers were known, in order.
        ahead: Places of rows to predict, of classes that the past has.
    """
    features = table.features(rows)
    answers = rows[table.target]
    classes = np.unique(answers.iloc[past].astype("str")) if table.task == "multiclass" else np.array([])
    actual = coded(table, answers, classes)
    aim = {"regression": "l1", "binary": "binary", "multiclass": "multiclass"}[table.task]
    objective = {"objective": aim, "num_threads": 1, "seed": 7, **FIXED}
    objective |= {"num_class": len(classes)} if len(classes) else {}
    cut = int(0.8 * len(past))
    older, newer = past[:cut], past[cut:]
    best: tuple[float, dict[str, Any], int] = (np.inf, GRID[0], 1)
    for point in GRID:
        data = lightgbm.Dataset(features.iloc[older], actual[older])
        held = data.create_valid(features.iloc[newer], actual[newer])
        stop = lightgbm.early_stopping(50, verbose=False)
        booster = lightgbm.train({**objective, **point}, data, 2000, valid_sets=[held], callbacks=[stop])
        score = float(next(iter(booster.best_score["valid_0"].values())))
        best = min(best, (score, point, booster.best_iteration), key=lambda one: one[0])
    data = lightgbm.Dataset(features.iloc[past], actual[past])
    model = lightgbm.train({**objective, **best[1]}, data, max(best[2], 1))
    predicted = np.asarray(model.predict(features.iloc[ahead]))
    if not len(classes):
        return predicted
    return np.asarray(predicted[np.arange(len(ahead)), actual[ahead].astype("int64")])


def coded(table: Table, answers: pd.Series, classes: np.ndarray) -> np.ndarray:
    """The answers as numbers: shape (n,); of several classes their places in `classes`."""
    if table.task == "multiclass":
        return np.searchsorted(classes, answers.astype("str").to_numpy()).clip(max=len(classes) - 1).astype("float64")
    if table.task == "binary":
        return (answers == table.positive).to_numpy(dtype="float64")
    return answers.to_numpy(dtype="float64")


def loss_of(task: str, actual: np.ndarray, predicted: np.ndarray) -> float:
    """Mean absolute error, or mean log loss; of several classes `predicted` is the probability of the one that came."""
    if task == "regression":
        return float(np.abs(actual - predicted).mean())
    sure = np.where(actual == 1, predicted, 1 - predicted) if task == "binary" else predicted
    return float(-np.log(np.clip(sure, CLIP, 1)).mean())
