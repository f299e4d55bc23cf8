"""Reference rows: a few judged rows as they stand in the table, with the winner's answers, kept in the bundle.

Whoever loads the bundle later, in another process or another year, asks it these rows again.
"""

import numpy as np
import pandas as pd

from retrim.features.view import FeatureView

REFERENCE_ROWS = "verdict/reference.parquet"
ANSWER = "_answer_"
"""What the columns of the answers begin with; a person's columns never begin with an underscore."""
TOLERANCE = 1e-9
"""How far an answer may lie from the stored one, as a share of that, or of 1 where it is smaller."""
MOST_ROWS = 64
"""Judged rows kept with the winner's answers, at most: enough for each feature's extremes, and answered in no time."""


def with_answers(
    rows: pd.DataFrame, view: FeatureView, predicted: np.ndarray, *, most: int = MOST_ROWS
) -> pd.DataFrame:
    """Some of the rows, each with its answer.

    Taken are, in turn and as long as there is room: the least and the largest prediction; of each feature the first row
    that misses it, the least and the largest number, the rarest category; then rows evenly spread. So the same rows are
    taken whoever asks.

    Returns:
        `_key`, what the view needs, and a column `_answer_0`, ... a number of the prediction.
    """
    answers = predicted.reshape(len(rows), 1 if predicted.ndim == 1 else predicted.shape[1])
    places = _places(rows, view, answers, most=most)
    chosen = rows.iloc[places][["_key", *view.needs]].reset_index(drop=True)
    return chosen.assign(**{f"{ANSWER}{number}": answers[places, number] for number in range(answers.shape[1])})


def answers_of(reference: pd.DataFrame) -> np.ndarray:
    """The stored answers, shape (n, numbers of a prediction)."""
    count = sum(str(name).startswith(ANSWER) for name in reference.columns)
    return reference[[f"{ANSWER}{number}" for number in range(count)]].to_numpy(dtype="float64")


def farthest(answers: np.ndarray, stored: np.ndarray) -> float:
    """The largest distance of an answer from the stored one, as `TOLERANCE` counts it; infinite where shapes differ."""
    given = answers.reshape(len(stored), -1) if len(answers) == len(stored) else answers
    if given.shape != stored.shape:
        return float("inf")
    apart = np.abs(given - stored) / np.maximum(np.abs(stored), 1.0)
    return float(np.where(np.isfinite(apart), apart, np.inf).max(initial=0.0))


def _places(rows: pd.DataFrame, view: FeatureView, answers: np.ndarray, *, most: int) -> list[int]:
    if not len(rows):
        return []
    wanted = [int(answers[:, -1].argmin()), int(answers[:, -1].argmax())]
    for name in view.features:
        wanted += _ends(rows[name], category=view.features[name] == "category")
    spread = np.linspace(0, len(rows) - 1, num=min(most, len(rows))).round().astype(int)
    return sorted(list(dict.fromkeys([*wanted, *(int(row) for row in spread)]))[:most])


def _ends(values: pd.Series, *, category: bool) -> list[int]:
    """Places of the first missing value, and of the least and the largest number or the rarest category."""
    there = np.flatnonzero(values.notna().to_numpy())
    missing = [int(np.flatnonzero(values.isna().to_numpy())[0])] if len(there) < len(values) else []
    if not len(there):
        return missing
    known = values.iloc[there]
    if not category:
        numbers = known.to_numpy(dtype="float64")
        return [*missing, int(there[numbers.argmin()]), int(there[numbers.argmax()])]
    counts = known.astype("str").value_counts()
    rarest = min(counts[counts == counts.min()].index)
    return [*missing, int(there[np.flatnonzero((known.astype("str") == rarest).to_numpy())[0]])]
