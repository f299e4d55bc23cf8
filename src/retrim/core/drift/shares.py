"""Two windows as shares: what the drift tests are written in."""

import numpy as np

from retrim.core.drift.cells import Counts, NumericCells
from retrim.errors import BadInputError, EmptyWindowError


def pair(reference: Counts, current: Counts) -> tuple[np.ndarray, np.ndarray]:
    """Rows in each cell of both windows as float64, the missing last; shapes agree or broadcast.

    Raises:
        EmptyWindowError: A window has no rows.
    """
    for name, window in (("reference", reference), ("current", current)):
        if (window.rows.sum(axis=-1) == 0).any():
            raise EmptyWindowError(name)
    return reference.rows.astype("float64"), current.rows.astype("float64")


def merged(counts: Counts, *, cells: int) -> Counts:
    """The same windows in about `cells` cells, each of an equal share of the reference that the cells were cut from.

    A cell that holds as much alone stays alone, also from what lies beside it, so that a heavy
    value which moves, either way, leaves its cell.

    Raises:
        BadInputError: Fewer than 2 cells.
    """
    if cells < 2:
        raise BadInputError(f"cells is {cells}; at least 2 are needed")
    assert isinstance(counts.cells, NumericCells)
    shares = counts.cells.shares
    middle = np.cumsum(shares) - shares / 2
    group = np.minimum((middle * cells + 1e-9).astype("int64"), cells - 1)
    alone = shares * cells >= 1 - 1e-9
    begins = np.append(True, (np.diff(group) > 0) | alone[1:] | alone[:-1])
    return Counts(counts.cells, np.add.reduceat(counts.rows, np.flatnonzero(np.append(begins, True)), axis=-1))


def shares(rows: np.ndarray) -> np.ndarray:
    """Rows as shares of their window; all 0 for one without rows."""
    total = rows.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(rows, total, out=np.zeros_like(rows), where=total > 0))


def xlogy(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`x * log(y)`, 0 where x is 0."""
    return np.asarray(x * np.log(y, out=np.zeros_like(y), where=x > 0))
