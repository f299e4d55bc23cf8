"""Distances between two rows of counts that know nothing of an order of the cells."""

import numpy as np

from retrim.core.drift.shares import shares, xlogy


def stability(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Population stability index in nats; a cell empty in both windows says nothing and is left out.

    Args:
        old: Rows in each cell, shape (..., cells).
        new: The same of the other window.

    Returns:
        0 or more, shape (...).
    """
    half = np.where(old + new > 0, 0.5, 0.0)
    p, q = shares(old + half), shares(new + half)
    return np.asarray((xlogy(q, q) - xlogy(q, p) + xlogy(p, p) - xlogy(p, q)).sum(axis=-1)).clip(min=0.0)


def jensen_shannon(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence in bits, 0 to 1, shape (...); arguments as for `stability`."""
    p, q = shares(old), shares(new)
    middle = (p + q) / 2
    nats = (xlogy(p, p) - xlogy(p, middle) + xlogy(q, q) - xlogy(q, middle)).sum(axis=-1) / 2
    return np.asarray(nats / np.log(2)).clip(0.0, 1.0)


def total_variation(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The share of rows that would have to change cell, 0 to 1, shape (...); arguments as for `stability`."""
    return np.asarray(np.abs(shares(old) - shares(new)).sum(axis=-1) / 2)


def expected(old: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows expected in each cell of both windows if they share one distribution, and its degrees of freedom."""
    n, m = old.sum(axis=-1, keepdims=True), new.sum(axis=-1, keepdims=True)
    both = old + new
    freedom = (both > 0).sum(axis=-1) - 1
    return both * (n / (n + m)), both * (m / (n + m)), freedom
