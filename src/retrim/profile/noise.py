"""Labels that are likely wrong: rows where a model that never saw them is surest of something else."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.drift.cells import as_floats
from retrim.features.view import FeatureView
from retrim.table.data import DataParams
from retrim.training.estimators import MODELS

FOLDS = 5
LEAST, MOST = 100, 30_000
"""Labelled rows that it takes, and of which more are not used."""
SHOWN = 20
SURE = 0.9
"""Probability of another class from which a suspect is one of the surest."""
FAR = 6.0
"""Standard deviations of a residual from which its row is a suspect: two of 10^9 rows of a normal law are."""
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
class SuspectLabel:
    """A row whose label is likely wrong.

    Args:
        row: Its place in the table.
        label: What it is labelled.
        said: What the model says.
        sure: Probability of that class; of a regression how many standard deviations it lies off.
    """

    row: int
    label: str
    said: str
    sure: float


@dataclass(frozen=True)
class LabelNoise:
    """What a look for wrong labels found.

    Args:
        rows: Labelled rows looked at.
        suspects: How many are suspects.
        surest: How many of those with a probability of 90 % or more of another class; of a regression all.
        told: Share of the labels' uncertainty (of a regression of their mean absolute deviation) that the model takes
            away on rows it has not seen; below 0 where it is worse than nothing.
        shown: The surest.
    """

    rows: int
    suspects: int
    surest: int
    told: float
    shown: tuple[SuspectLabel, ...]


def noise_of(
    sample: pd.DataFrame, places: np.ndarray, data: DataParams, *, seed: int, threads: int
) -> LabelNoise | None:
    """Rows whose label is likely wrong; None where too few are labelled, or all alike.

    A small model predicts each fifth of the rows from the others. Of classes, a row is a suspect where the class of
    the largest probability is not its label, and that probability is at least the mean which rows labelled so get; of
    a regression, where it is `FAR` robust standard deviations off, those of rows with as large a prediction.

    Args:
        sample: Rows drawn at random, features and target, shape (n, columns).
        places: Place of each in the table, shape (n,).
        data: What the table is.
        seed: Of folds and model.
        threads: For LightGBM.

    Source:
        Confident learning: Northcutt, Jiang and Chuang (2021), J. Artif. Intell. Res. 70, 1373-1411, pruning by class
        with its off-diagonal counts.
    """
    known = sample[data.target].notna().to_numpy()
    if data.task == "regression":
        known = np.abs(np.nan_to_num(as_floats(sample[data.target]), nan=np.inf)) < 1e30
    rows, places = sample[known].reset_index(drop=True), places[known]
    if len(rows) > MOST:
        step = np.sort(np.random.default_rng(seed).choice(len(rows), MOST, replace=False))
        rows, places = rows.iloc[step].reset_index(drop=True), places[step]
    if len(rows) < LEAST or rows[data.target].nunique() < 2:
        return None
    view = FeatureView.learn(rows, data)
    matrix, actual = np.clip(view.matrix(rows), -1e30, 1e30), view.actual(rows)
    fold = np.random.default_rng(seed).permutation(len(rows)) % FOLDS
    if data.task == "regression":
        said = _out_of_fold(view, matrix, actual, fold, loss="mae", seed=seed, threads=threads)
        return _far(said[:, 0], actual, places)
    if data.task == "multiclass":
        counts = np.bincount(actual)
        if len(counts) > 50 or min(len(np.unique(actual[fold != part])) for part in range(FOLDS)) < len(counts):
            return None  # a class that only one fold has cannot be predicted there
    elif min(len(np.unique(actual[fold != part])) for part in range(FOLDS)) < 2:
        return None
    said = _out_of_fold(view, matrix, actual, fold, loss="log_loss", seed=seed, threads=threads)
    if data.task == "binary":
        said = np.column_stack([1 - said[:, 0], said[:, 0]])
    return _wrong(said, actual, places, view.classes)


def _out_of_fold(
    view: FeatureView, matrix: np.ndarray, actual: np.ndarray, fold: np.ndarray, *, loss: str, seed: int, threads: int
) -> np.ndarray:
    """Predictions of each row by a model that was fitted on the other folds, shape (n, outputs)."""
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for part in range(FOLDS):
        rest, own = fold != part, fold == part
        fitted = MODELS["gbm"].fit(
            view,
            matrix[rest],
            actual[rest],
            loss=loss,
            hyperparameters=MODEL,
            rounds=ROUNDS,
            stop=None,
            patience=ROUNDS,
            weights=None,
            seed=seed,
            threads=threads,
        )
        parts.append((own, fitted.model.predict(matrix[own]).reshape(int(own.sum()), -1)))
    said = np.empty((len(actual), parts[0][1].shape[1]))
    for own, values in parts:
        said[own] = values
    return said


def _wrong(said: np.ndarray, actual: np.ndarray, places: np.ndarray, classes: Sequence[str]) -> LabelNoise:
    bounds = np.array([said[actual == code, code].mean() for code in range(said.shape[1])])
    confident = np.where(said >= bounds, said, -1.0)
    guess = confident.argmax(axis=1)
    odd = (confident.max(axis=1) > 0) & (guess != actual)
    sure = said[np.arange(len(said)), guess]
    margin = sure - said[np.arange(len(said)), actual]
    order = sorted(np.flatnonzero(odd), key=lambda row: (-margin[row], places[row]))
    shown = tuple(
        SuspectLabel(int(places[row]), classes[actual[row]], classes[guess[row]], float(sure[row]))
        for row in order[:SHOWN]
    )
    prior = np.bincount(actual, minlength=said.shape[1]) / len(actual)
    entropy = float(-(prior[prior > 0] * np.log(prior[prior > 0])).sum())
    loss = float(-np.log(np.clip(said[np.arange(len(said)), actual], 1e-15, 1)).mean())
    return LabelNoise(len(said), int(odd.sum()), int((odd & (sure >= SURE)).sum()), 1 - loss / entropy, shown)


def _far(said: np.ndarray, actual: np.ndarray, places: np.ndarray) -> LabelNoise:
    """Residuals in robust standard deviations of the tenth of rows whose prediction is as large."""
    off = actual - said
    tenth = np.argsort(np.argsort(said, kind="stable"), kind="stable") * 10 // len(said)
    whole = 1.4826 * float(np.median(np.abs(off)))
    scale = np.empty(len(off))
    for part in range(10):
        own = tenth == part
        if own.any():
            # Not below half of the whole: a tenth that is predicted nearly exactly would suspect all of its rows.
            scale[own] = max(1.4826 * float(np.median(np.abs(off[own]))), 0.5 * whole)
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.where(scale > 0, np.abs(off) / scale, 0.0)
    order = sorted(np.flatnonzero(away >= FAR), key=lambda row: (-away[row], places[row]))
    shown = tuple(
        SuspectLabel(int(places[row]), f"{actual[row]:.6g}", f"{said[row]:.6g}", float(away[row]))
        for row in order[:SHOWN]
    )
    usual = float(np.abs(actual - np.median(actual)).mean())
    return LabelNoise(
        len(off), len(order), len(order), 1 - float(np.abs(off).mean()) / usual if usual > 0 else 0.0, shown
    )
