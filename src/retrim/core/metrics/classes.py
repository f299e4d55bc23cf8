"""Metrics of predicted probabilities and classes."""

from math import inf

import numpy as np

from retrim.core.metrics.table import CLASSES, metric

CLIP = 1e-12  # log loss takes a probability below this as this: no row costs more than 27.7 nats


@metric("log_loss", *CLASSES, better="lower", rows=True, bounds=(0, float(-np.log(CLIP))))
def log_loss(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Minus the log of the probability given to what happened, in nats, of each row; clipped at `CLIP`."""
    return np.asarray(-np.log(np.clip(_probability_of(actual, predicted), CLIP, 1.0)))


@metric("brier", *CLASSES, better="lower", rows=True, bounds=(0, 2))
def brier(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Squared distance between probabilities and outcome, of each row.

    Returns:
        Shape (n,). Binary: `(p - y)^2`, 0 to 1. Multiclass: summed over the classes, 0 to 2,
        so that on two classes it is twice the binary figure; an unseen class adds 1.

    Source:
        Brier (1950), Monthly Weather Review 78(1), 1-3, which sums over the classes.
    """
    if predicted.ndim == 1:
        return np.asarray(np.square(predicted - actual))
    own = _probability_of(actual, predicted)
    others = np.sum(np.square(predicted), axis=1) - np.square(own)
    return np.asarray(np.maximum(others, 0.0) + np.square(1 - own))


@metric("error", *CLASSES, better="lower", rows=True, bounds=(0, 1))
def error(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """1 where the predicted class is wrong, else 0, of each row."""
    return np.asarray((_classes(predicted) != actual).astype(float))


@metric("accuracy", *CLASSES, better="higher", rows=False, bounds=(0, 1))
def accuracy(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Share of rows whose predicted class is right."""
    return float(np.mean(_classes(predicted) == actual))


@metric("auc", "binary", better="higher", rows=False, bounds=(0, 1))
def auc(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Chance that a positive row is ranked above a negative one, ties half. A single class: 0.5, as by chance."""
    from sklearn.metrics import roc_auc_score

    if np.all(actual == actual[0]):
        return 0.5
    return float(roc_auc_score(actual, predicted))


@metric("average_precision", "binary", better="higher", rows=False, bounds=(0, 1))
def average_precision(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Precision averaged over the recall steps. Chance gives the share of positives, so without any: 0."""
    from sklearn.metrics import average_precision_score

    if not np.any(actual == 1):
        return 0.0
    return float(average_precision_score(actual, predicted))


@metric("precision", *CLASSES, better="higher", rows=False, bounds=(0, 1))
def precision(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Share of rows called a class that are of it; multiclass: mean over the classes. 0 of 0 is 0."""
    from sklearn.metrics import precision_score

    return float(precision_score(actual, _classes(predicted), average=_average(predicted), zero_division=0.0))


@metric("recall", *CLASSES, better="higher", rows=False, bounds=(0, 1))
def recall(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Share of a class's rows that are called it; multiclass: mean over the classes. 0 of 0 is 0."""
    from sklearn.metrics import recall_score

    return float(recall_score(actual, _classes(predicted), average=_average(predicted), zero_division=0.0))


@metric("f1", *CLASSES, better="higher", rows=False, bounds=(0, 1))
def f1(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Harmonic mean of precision and recall; multiclass: mean over the classes. 0 of 0 is 0."""
    from sklearn.metrics import f1_score

    return float(f1_score(actual, _classes(predicted), average=_average(predicted), zero_division=0.0))


@metric("confusion_matrix", *CLASSES, better="none", rows=False, bounds=(0, inf), scalar=False)
def confusion_matrix(actual: np.ndarray, predicted: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Rows counted by actual class (down) and predicted class (across).

    Returns:
        Binary: 2 x 2. Multiclass: (k + 1) x k, the last row for classes unseen in training.
    """
    k = 2 if predicted.ndim == 1 else predicted.shape[1]
    counts = np.zeros((k if predicted.ndim == 1 else k + 1, k), dtype=int)
    np.add.at(counts, (np.where((actual >= 0) & (actual < k), actual, k), _classes(predicted)), 1)
    return tuple(tuple(int(count) for count in row) for row in counts)


def _probability_of(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The probability given to what happened, shape (n,); 0 for a class unseen in training."""
    if predicted.ndim == 1:
        return np.where(actual == 1, predicted, 1 - predicted)
    seen = (actual >= 0) & (actual < predicted.shape[1])
    own = predicted[np.arange(len(actual)), np.where(seen, actual, 0)]
    return np.where(seen, own, 0.0)


def _classes(predicted: np.ndarray) -> np.ndarray:
    return np.asarray((predicted >= 0.5).astype(int) if predicted.ndim == 1 else np.argmax(predicted, axis=1))


def _average(predicted: np.ndarray) -> str:
    return "binary" if predicted.ndim == 1 else "macro"
