"""Labels that came before they were due: what a fit may take of the rows that wait, and how sure it is of each.

Rows whose label has come early are no fair sample: where the answer decides when it comes, those known at an age are
mostly of one kind. So the rows beside them, whose label has not come, are taken in too: once as every class, each time
with the chance that it is that class.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from retrim.stats.codec import rows_at


def shares_left(delays: np.ndarray, classes_of: np.ndarray, ages: np.ndarray, *, classes: int) -> np.ndarray:
    """Share of the labels of each class that take longer than an age, as rows past their horizon show it.

    None is below what the rarest class could show, one over its rows and one: else a class of few rows would be ruled
    out by their number alone. Where a class has no such rows all shares are 1, and delays tell nothing.

    Args:
        delays: Of labels whose rows are past their horizon, in days, shape (n,).
        classes_of: Class code of each of them, shape (n,).
        ages: Of rows that wait, in days, shape (m,).
        classes: Classes there are.

    Returns:
        Shape (m, classes), above 0 and at most 1.
    """
    counts = np.bincount(classes_of, minlength=classes)
    left = np.empty((len(ages), classes))
    for code in range(classes):
        longer = np.searchsorted(np.sort(delays[classes_of == code]), ages, side="right")
        left[:, code] = 1 - longer / max(counts[code], 1)
    return np.asarray(np.maximum(left, 1 / (counts.min() + 1)))


def class_chances(predicted: np.ndarray, left: np.ndarray) -> np.ndarray:
    """The chance of each class of rows whose label has not come yet, given that it has not.

    Args:
        predicted: By the model that waits: of the positive class, shape (n,), or of each, shape (n, classes).
        left: Share of the labels of each class that take as long, shape (n, classes).

    Returns:
        Shape (n, classes); each row sums to 1.

    Source:
        One expectation step of the delayed feedback model, Chapelle (2014), KDD 20, 1097-1105, with the delays'
        own shares in place of his exponential.
    """
    each = predicted if predicted.ndim == 2 else np.column_stack([1 - predicted, predicted])
    weighed = np.maximum(each, LEAST) * left
    return np.asarray(weighed / weighed.sum(axis=1, keepdims=True))


LEAST = 1e-6  # a chance below this counts as this: a weight is above 0


@dataclass(frozen=True)
class SoftRows:
    """Rows as a fit takes them in: some once with their label, the others once as every class.

    Args:
        places: Which row each is of, among those given.
        actual: Its class code.
        weights: 1 of a label that is known, else the chance of the class.
    """

    places: np.ndarray
    actual: np.ndarray
    weights: np.ndarray


def soft_rows(actual: np.ndarray, known: np.ndarray, chances: np.ndarray) -> SoftRows:
    """Rows that are not due, those of known label once and the others once as every class, in their order.

    Args:
        actual: Class codes, shape (n,); of a row without label any.
        known: Whether its label has come, shape (n,).
        chances: Of the rows without, in order, shape (rows without, classes).
    """
    classes = chances.shape[1]
    places = np.repeat(np.arange(len(actual)), np.where(known, 1, classes))
    codes, weights = actual[places].copy(), np.ones(len(places))
    waits = ~known[places]
    codes[waits] = np.tile(np.arange(classes), int((~known).sum()))
    weights[waits] = chances.ravel()
    return SoftRows(places, codes, weights)


def is_taken(keys: pd.Series) -> np.ndarray:
    """The half of all rows that a fit may take in before they are due, by their key alone, shape (n,).

    The other half judges: a model loses 18 to 52% less on rows whose label it was fitted on (`bench/early_labels.py`).
    """
    hashed = pd.util.hash_array(keys.to_numpy(dtype="object"), categorize=False)
    return np.asarray(hashed % 2 == 0)


def taken_early(rows: pd.DataFrame, *moments: pd.Timestamp) -> np.ndarray:
    """Which rows fits at these moments took in before they were due, or may have, shape (n,).

    Args:
        rows: With `_key`, `_event` and `_due`.
        moments: Of the fits.
    """
    waited = np.zeros(len(rows), dtype=bool)
    for moment in moments:
        waited |= ((rows["_event"] < moment) & (rows["_due"] > moment)).to_numpy()
    return np.asarray(waited & is_taken(rows["_key"])) if waited.any() else waited


@dataclass(frozen=True)
class EarlyCounts:
    """How many rows came early with their label, and how many were taken in without one."""

    labelled: int
    waiting: int


@dataclass(frozen=True)
class EarlyRows:
    """Rows that a fit takes in before they are due.

    Args:
        places: Their row numbers, ascending, shape (n,).
        rows: The rows themselves.
        known: Whether the label has come, shape (n,).
        left: Share of the labels of each class that take as long, of those without, shape (rows without, classes).
    """

    places: np.ndarray
    rows: pd.DataFrame
    known: np.ndarray
    left: np.ndarray

    @property
    def counts(self) -> EarlyCounts:
        """How many there are."""
        return EarlyCounts(int(self.known.sum()), int((~self.known).sum()))


def early_rows(
    rows: pd.DataFrame, came: pd.Series, actual: np.ndarray, past: np.ndarray, *, moment: pd.Timestamp, classes: int
) -> EarlyRows:
    """What a fit at a moment may take in beside its past: of the half that may, rows not due or held back by a cut.

    A row that is past its horizon and has no label is not among them: nothing tells when its label comes, if ever.

    Args:
        rows: In total order with `_key`, `_event` and `_due`.
        came: When each label came, however early; missing where it has not yet, shape (n,).
        actual: Class codes, shape (n,); of a row without label any.
        past: Row numbers that are fitted on anyway, ascending: they tell how long labels take.
        moment: Of the fit; no later event and no later label counts.
        classes: Classes there are.
    """
    event = rows["_event"]
    known = (came <= moment).to_numpy()
    wanted = is_taken(rows["_key"]) & (event < moment).to_numpy() & (known | (rows["_due"] > moment).to_numpy())
    wanted[past] = False
    wanted[known & (actual < 0)] = False  # of a class that no model knows
    places = np.flatnonzero(wanted)
    old = past[known[past] & (actual[past] >= 0)]
    delays = _days(came.iloc[old] - event.iloc[old])
    ages = _days(moment - event.iloc[places[~known[places]]])
    left = shares_left(delays, actual[old], ages, classes=classes)
    return EarlyRows(places, rows_at(rows, places), known[places], left)


def _days(spans: "pd.Series[pd.Timedelta]") -> np.ndarray:
    return np.asarray(spans.dt.total_seconds() / 86_400)
