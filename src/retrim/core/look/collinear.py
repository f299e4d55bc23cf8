"""Multicollinearity: how far each number can be told from the others by a sum, and how near they are to being one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

CONSTANT = 1e-12
"""Standard deviation, in units of the largest number, up to which a column is constant: it is rounding."""
EXACT = 1e-9
"""Share of the variance of all columns, of a direction that is taken for none."""


@dataclass(frozen=True)
class Collinear:
    """How numbers hang together linearly.

    Args:
        inflation: Variance inflation factor of each column, 1 or more; infinite where the others give it exactly.
            From 5 or 10 on it is usually called high. Constant columns are left out.
        condition: Condition number of the standardised columns, 1 or more: from 30 on usually called strong.
        together: Columns that carry the direction of the least variance, where the condition is 30 or more: those
            whose share of it is above half of an equal one.
    """

    inflation: dict[str, float]
    condition: float
    together: tuple[str, ...]


def collinear(columns: Mapping[str, np.ndarray]) -> Collinear | None:
    """How these numbers hang together; None of fewer than 2 that vary, or no more rows than columns.

    Args:
        columns: Numbers by name, shape (n,) each; a missing one is taken for the median.

    Source:
        Belsley, Kuh and Welsch (1980), Regression Diagnostics, chapter 3.
    """
    names, standard = [], []
    for name, values in columns.items():
        if np.isnan(values).all():
            continue
        filled = np.where(np.isnan(values), np.nanmedian(values), values)
        scaled = filled / (np.abs(filled).max() or 1.0)
        if scaled.std() > CONSTANT:
            names.append(name)
            standard.append((scaled - scaled.mean()) / scaled.std())
    if len(names) < 2 or len(standard[0]) <= len(names):
        return None
    matrix = np.column_stack(standard)
    values, axes = np.linalg.eigh(matrix.T @ matrix / len(matrix))
    values = np.maximum(values, 0.0)
    none = values <= EXACT * values.sum()
    inflation = {}
    for place, name in enumerate(names):
        shares = axes[place] ** 2
        exact = bool((shares[none] > 1e-6).any())
        inflation[name] = float("inf") if exact else max(float((shares[~none] / values[~none]).sum()), 1.0)
    condition = float("inf") if none.any() else float(np.sqrt(values[-1] / values[0]))
    carried = axes[:, 0] ** 2
    together = tuple(name for name, share in zip(names, carried, strict=True) if share > 0.5 / len(names))
    return Collinear(inflation, condition, together if condition >= 30 else ())
