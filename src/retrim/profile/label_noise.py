"""Labels that are likely wrong: those that a model of the other rows contradicts."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from retrim.drift.cells import as_floats
from retrim.features.view import FeatureView
from retrim.stats.codec import Unwritten
from retrim.table.data import DataParams
from retrim.training.estimators import MODELS, FitTask

FOLDS = 5
LEAST, MOST = 100, 30_000
"""Labelled rows that it takes, and of which more are not used."""
MOST_CLASSES = 50
SHOWN = 20
SURE = 0.9
"""Probability of another class from which a suspect is one of the surest."""
FAR = 6.0
"""Standard deviations of a residual from which its row is a suspect: two of 10^9 rows of a normal law are."""
LARGEST = 1e30
MODEL = {
    "num_leaves": 15,
    "learning_rate": 0.1,
    "min_child_samples": 20,
    "feature_fraction": 0.8,
    "bagging_fraction": 0.8,
    "lambda_l2": 1.0,
}
ROUNDS = 60


@dataclass(frozen=True)
class LabelNoise:
    """What a look for wrong labels found.

    Args:
        surest: How many of those with a probability of 90% or more of another class; of a regression all.
        explained: Share of the labels' uncertainty (of a regression of their mean absolute deviation) that the model
            takes away on rows it has not seen; below 0 where it is worse than nothing.
        shown: Places of the surest in the table, the surest first.
        keys: Keys of these, or their numbers in time order if a key may not be shown.
    """

    rows: int
    suspects: int
    surest: int
    explained: Unwritten[float]
    shown: Unwritten[tuple[int, ...]]
    keys: tuple[str, ...] = ()


def noise_of(
    sample: pd.DataFrame, places: np.ndarray, data: DataParams, *, seed: int, threads: int
) -> LabelNoise | None:
    """Rows whose label is likely wrong; None where too few are labelled, or all alike.

    A small model predicts each fifth of the rows from the others. Of classes, a row is a suspect where the class of
    the largest probability is not its label, and that probability is at least the mean which rows labelled so get; of
    a regression, where it is `FAR` robust standard deviations off, those of rows with as large a prediction.

    Args:
        places: Place of each row of the sample in the table, shape (n,).

    Source:
        Confident learning: Northcutt, Jiang and Chuang (2021), J. Artif. Intell. Res. 70, 1373-1411, pruning by class
        with its off-diagonal counts.
    """
    labelled = np.flatnonzero(sample[data.target].notna())
    if data.task == "regression":
        targets = np.nan_to_num(as_floats(sample[data.target]), nan=np.inf)
        labelled = np.flatnonzero(np.abs(targets) < LARGEST)
    if len(labelled) > MOST:
        labelled = labelled[np.sort(np.random.default_rng(seed).choice(len(labelled), MOST, replace=False))]
    rows, places = sample.iloc[labelled].reset_index(drop=True), places[labelled]
    if len(rows) < LEAST or rows[data.target].nunique() < 2:
        return None
    view = FeatureView.learn(rows, data)
    matrix, actual = np.clip(view.matrix(rows), -LARGEST, LARGEST), view.actual(rows)
    fold = np.random.default_rng(seed).permutation(len(rows)) % FOLDS
    predict = partial(_out_of_fold, view, matrix, actual, fold, seed=seed, threads=threads)
    if data.task == "regression":
        return _far(predict(loss="mae")[:, 0], actual, places)
    classes = max(len(np.unique(actual)), 2)
    if classes > MOST_CLASSES or any(len(np.unique(actual[fold != part])) < classes for part in range(FOLDS)):
        return None  # a class that only one fold has cannot be predicted there
    chances = predict(loss="log_loss")
    if data.task == "binary":
        chances = np.column_stack([1 - chances[:, 0], chances[:, 0]])
    return _wrong(chances, actual.astype("int64"), places)


def _out_of_fold(
    view: FeatureView, matrix: np.ndarray, actual: np.ndarray, fold: np.ndarray, *, loss: str, seed: int, threads: int
) -> np.ndarray:
    """Predictions for each row by a model of the other folds, shape (n, classes) or (n, 1)."""
    parts = []
    for part in range(FOLDS):
        rest, task = fold != part, FitTask(loss, MODEL, ROUNDS, seed, threads)
        fitted = MODELS["gbm"].fit(view, matrix[rest], actual[rest], task)
        parts.append(fitted.model.predict(matrix[~rest]).reshape(int((~rest).sum()), -1))
    return np.concatenate(parts)[np.argsort(np.argsort(fold, kind="stable"), kind="stable")]


def _wrong(chances: np.ndarray, actual: np.ndarray, places: np.ndarray) -> LabelNoise:
    rows, classes = chances.shape
    bounds = np.array([chances[actual == code, code].mean() for code in range(classes)])
    confident = np.where(chances >= bounds, chances, -1.0)
    guess = confident.argmax(axis=1)
    odd = (confident.max(axis=1) > 0) & (guess != actual)
    sure, of_label = chances[np.arange(rows), guess], chances[np.arange(rows), actual]
    prior = np.bincount(actual, minlength=classes) / rows
    entropy = float(-(prior[prior > 0] * np.log(prior[prior > 0])).sum())
    loss = float(-np.log(np.clip(of_label, 1e-15, 1)).mean())
    shown = _surest_first(np.flatnonzero(odd), sure - of_label, places)
    return LabelNoise(rows, int(odd.sum()), int((odd & (sure >= SURE)).sum()), 1 - loss / entropy, shown)


def _far(predicted: np.ndarray, actual: np.ndarray, places: np.ndarray) -> LabelNoise:
    """Residuals in robust standard deviations of the tenth of rows whose prediction is as large."""
    off = np.abs(actual - predicted)
    tenth = np.argsort(np.argsort(predicted, kind="stable"), kind="stable") * 10 // len(predicted)
    # Not below half of the whole: a tenth that is predicted nearly exactly would suspect all of its rows.
    middle = [max(float(np.median(off[tenth == part])), 0.5 * float(np.median(off))) for part in range(10)]
    scale = 1.4826 * np.array(middle)[tenth]
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.where(scale > 0, off / scale, 0.0)
    suspects = np.flatnonzero(away >= FAR)
    usual = float(np.abs(actual - np.median(actual)).mean())
    explained = 1 - float(off.mean()) / usual if usual > 0 else 0.0
    return LabelNoise(len(off), len(suspects), len(suspects), explained, _surest_first(suspects, away, places))


def _surest_first(rows: np.ndarray, sure: np.ndarray, places: np.ndarray) -> tuple[int, ...]:
    order = sorted(rows, key=lambda row: (-sure[row], places[row]))
    return tuple(int(places[row]) for row in order[:SHOWN])
