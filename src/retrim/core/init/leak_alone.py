"""One column that tells the target by itself, on rows after those it was learned from."""

import numpy as np
import pandas as pd

from retrim.core.init.leak import ALONE, Leak

SAMPLED = 20_000
LARGEST = 1e38
ERRORS, ENOUGH = 0.9, 20
"""Share of the errors over the commonest class that one column may take away, where at least so many are expected."""
FEW = 5
"""Errors of a naive rule that are expected, of fewer of which nothing can be told."""
OWN_ROWS = 30
"""Rows that have the column, from which they are judged by themselves."""
GAPS = 0.02
"""Share of rows without the column, from which they are."""


def alone_leak(name: str, values: pd.Series, goal: np.ndarray, *, classes: bool) -> Leak | None:
    """The column as a leak, judged on all rows and on those that have it.

    Args:
        name: Of the column.
        values: Its cells in order of time, shape (n,).
        goal: The target as a number, or the code of its class, shape (n,).
        classes: Whether it is a class.
    """
    step = max(len(values) // SAMPLED, 1)
    move = step_of(goal, classes=classes)
    values, goal = values.iloc[::step], goal[::step]
    whole = values.notna().to_numpy()
    of = ""
    share = _share(values, goal, move, classes=classes)
    if share is None and 1 - whole.mean() >= GAPS and whole.sum() >= OWN_ROWS:
        share = _share(values[whole], goal[whole], move, classes=classes)
        of = f", of the {whole.mean():.0%} of rows that have it"
    if share is None:
        return None
    what = "of a naive rule's errors" if classes else "of the target"
    seen = f"explains {share:.1%} {what} by itself, on rows after those it was learned from{of}"
    return Leak((name,), "alone", seen)


def step_of(goal: np.ndarray, *, classes: bool) -> float:
    """What the rows before leave: the share of rows of another class than the last, or variance about the last value.

    Of a number it may be the variance about the line through the last two. A slow series is told by its own past, and
    a column that tells it no better gives nothing away. Infinite where the target never moves.
    """
    if classes:
        return float(np.mean(goal[1:] != goal[:-1])) or np.inf
    left = [float(np.nanvar(np.diff(goal, n=order))) for order in (1, 2) if np.isfinite(np.diff(goal, n=order)).any()]
    return min([one for one in left if one > 0], default=np.inf)


def _share(values: pd.Series, goal: np.ndarray, move: float, *, classes: bool) -> float | None:
    """What the column explains on the newest 30 % of these rows, where that is too much; else None."""
    cut = int(0.7 * len(goal))
    if len(goal) - cut < 8 or len(np.unique(goal[:cut])) < 2 or len(np.unique(goal[cut:])) < 2:
        return None
    if not pd.api.types.is_numeric_dtype(values):
        known, told = _by_level(values, goal, cut, classes=classes)
    else:
        known, told = np.ones(len(goal) - cut, dtype=bool), _by_tree(values, goal, cut, classes=classes)
    truth, told = goal[cut:][known], told[known]
    if len(truth) < 8:
        return None
    if not classes:
        total = min(float(np.var(truth)), move)
        share = 1 - float(np.mean((truth - told) ** 2)) / total if total > 0 else 0.0
        return share if share >= ALONE else None
    usual = min(1 - max(float(np.mean(truth == kind)) for kind in np.unique(goal[:cut])), move)
    if usual * len(truth) < FEW:
        return None
    share = 1 - float(np.mean(truth != told)) / usual
    return share if share >= (ERRORS if usual * len(truth) >= ENOUGH else ALONE) else None


def _by_level(values: pd.Series, goal: np.ndarray, cut: int, *, classes: bool) -> tuple[np.ndarray, np.ndarray]:
    """Which newer rows have a level that was there before, and what that level was then: its mean or commonest class.

    A missing cell is a level of its own.
    """
    codes = pd.factorize(values)[0]
    old, new = codes[:cut], codes[cut:]
    if classes:
        counted = pd.crosstab(old, goal[:cut])
        told = counted.idxmax(axis=1)
    else:
        told = pd.Series(goal[:cut]).groupby(old).mean()
    found = told.reindex(new).to_numpy(dtype="float64")
    return ~np.isnan(found), found


def _by_tree(values: pd.Series, goal: np.ndarray, cut: int, *, classes: bool) -> np.ndarray:
    """What a tree on one column of numbers says of the newer rows."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    low = float(np.nanmin(numbers)) - 1 if np.isfinite(numbers).any() else 0.0
    filled = np.where(np.isfinite(numbers), numbers, low)
    column = np.clip(filled.reshape(-1, 1), -LARGEST, LARGEST).astype("float32")  # a tree holds no more
    leaf = max(cut // 2000, 2)
    kind, leaves = (DecisionTreeClassifier, 256) if classes else (DecisionTreeRegressor, 2048)
    tree = kind(max_leaf_nodes=leaves, min_samples_leaf=leaf, random_state=0).fit(column[:cut], goal[:cut])
    return np.asarray(tree.predict(column[cut:]), dtype="float64")
