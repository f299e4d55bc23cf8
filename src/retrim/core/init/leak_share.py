"""How much a few columns tell of a target within blocks of time, by a weighted sum or by thresholds on one."""

from dataclasses import dataclass

import numpy as np

from retrim.core.init.leak import ALONE
from retrim.core.init.leak_alone import ENOUGH, ERRORS, LARGEST

BLOCKS, LEAST_BLOCK = 20, 50
"""Blocks of time, and the fewest rows of one."""
LEAST_ROWS = 60
TYPICAL = 0.25
"""Largest residual of a typical row, in typical deviations: one row far out may not decide."""
PROMISING, LEAVES = 0.5, 16
"""Share of errors that a quick weighted sum takes away for a better one to be fitted; cases told apart by a score."""


@dataclass(frozen=True)
class Goal:
    """What is to be told.

    Args:
        values: In order of time, the codes where it is a class, shape (n,).
        kind: The class that scores aim at; None: it is a number.
        move: What the row before leaves, as `step_of` has it.
        log_move: The same of the number's logarithm.
        blocks: Blocks of time within which it is to be told.
    """

    values: np.ndarray
    kind: float | None
    move: float
    log_move: float = np.inf
    blocks: int = BLOCKS

    @property
    def classes(self) -> bool:
        return self.kind is not None

    def aim(self, values: np.ndarray) -> np.ndarray:
        """What scores aim at, shape (n,): the number, or 1 for the class and 0 for the others."""
        return values if self.kind is None else (values == self.kind).astype("float64")


@dataclass(frozen=True)
class Sheet:
    """Columns within blocks of time.

    Args:
        values: Shape (n, columns), each less its block's mean and in its own deviations; 0 where missing.
        present: Shape (n, columns).
        block: Block of each row, ascending, shape (n,).
    """

    values: np.ndarray
    present: np.ndarray
    block: np.ndarray


def runs_of(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each block starts, and of each row the number of its block among those that are there."""
    begins = np.diff(block, prepend=block[:1] - 1) > 0
    return np.flatnonzero(begins), np.cumsum(begins) - 1


def sheet_of(raw: np.ndarray, block: np.ndarray) -> Sheet:
    present = np.isfinite(raw)
    filled = np.where(present, raw, 0.0)
    starts, run = runs_of(block)
    counts = np.maximum(np.add.reduceat(present, starts, axis=0, dtype="float64"), 1)
    means = (np.add.reduceat(filled, starts, axis=0) / counts)[run]
    values = np.where(present, raw - means, 0.0)
    scale = np.sqrt((values**2).sum(axis=0) / np.maximum(present.sum(axis=0), 1))
    usable = np.isfinite(scale) & (scale > 0)
    values = np.where(usable, values / np.where(usable, scale, 1.0), 0.0)
    return Sheet(values, present & usable, block)


def judged(columns: np.ndarray, rows: np.ndarray, values: np.ndarray, block: np.ndarray, goal: Goal) -> float | None:
    """The share that these columns explain, where that is too much; else None."""
    share = share_of(columns, rows, values, block, goal)
    return share if share >= (ERRORS if goal.classes else ALONE) else None


def share_of(columns: np.ndarray, rows: np.ndarray, values: np.ndarray, block: np.ndarray, goal: Goal) -> float:
    """What a weighted sum of the columns explains on these rows: of variance, or of errors by one threshold."""
    if rows.sum() < LEAST_ROWS:
        return 0.0
    if goal.classes:
        return _errors_saved(columns[rows], goal, values[rows], block[rows])
    return _variance_saved(columns[rows], values[rows], block[rows], goal.move)


def _variance_saved(columns: np.ndarray, values: np.ndarray, block: np.ndarray, move: float) -> float:
    """Against the mean of each block, and against the step from the row before: a slow series is told by its past."""
    least = 3 * (columns.shape[1] + 1)
    left, whole, free, means = [], [], 0, 0
    for number in np.unique(block):
        here = block == number
        if here.sum() < least:
            continue
        centred = values[here] - values[here].mean()
        matrix = np.column_stack([np.ones(int(here.sum())), columns[here]])
        weights, *_ = np.linalg.lstsq(matrix, centred, rcond=None)
        left.append(centred - matrix @ weights)
        whole.append(centred)
        free += matrix.shape[1]
        means += 1
    if not whole:
        return 0.0
    residual, centred = np.concatenate(left), np.concatenate(whole)
    variance = float((centred**2).sum()) / max(len(centred) - means, 1)
    usual = min(variance, move)
    far = np.abs(centred) >= np.median(np.abs(centred))
    typical = float(np.median(np.abs(residual[far]))) <= TYPICAL * float(np.median(np.abs(centred[far])))
    if not (np.isfinite(usual) and usual > 0 and typical):
        return 0.0
    return 1 - float((residual**2).sum()) / max(len(residual) - free, 1) / usual


def _errors_saved(columns: np.ndarray, goal: Goal, kinds: np.ndarray, block: np.ndarray) -> float:
    """By a few thresholds on the weighted sum that tells one class best, within blocks, over a naive rule."""
    values = goal.aim(kinds)
    _, counts = np.unique(kinds, return_counts=True)
    usual = min(len(kinds) - float(counts.max()), goal.move * len(kinds))
    if usual < ENOUGH or min(values.sum(), len(values) - values.sum()) < ENOUGH:
        return 0.0
    centred = sheet_of(columns, block).values
    if columns.shape[1] == 1:
        return 1 - _wrong(centred[:, 0], kinds) / usual
    weights, *_ = np.linalg.lstsq(centred, values - values.mean(), rcond=None)
    share = 1 - _wrong(centred @ weights, kinds) / usual
    if share < PROMISING:
        return share
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=100.0).fit(centred, values)
    return max(share, 1 - _wrong(centred @ fitted.coef_[0], kinds) / usual)


def _wrong(score: np.ndarray, kinds: np.ndarray) -> int:
    from sklearn.tree import DecisionTreeClassifier

    tree = DecisionTreeClassifier(max_leaf_nodes=LEAVES, min_samples_leaf=max(len(kinds) // 100, 10), random_state=0)
    column = np.clip(score.reshape(-1, 1), -LARGEST, LARGEST)
    return int((tree.fit(column, kinds).predict(column) != kinds).sum())
