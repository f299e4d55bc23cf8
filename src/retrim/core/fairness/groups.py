"""Rows to groups: the categories of a column, or the spans between the cuts of a number."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from retrim.core.fairness.params import FairnessParams, GroupParams
from retrim.core.fairness.reweight import GROUP
from retrim.errors import BadInputError

MISSING = "missing"


def group_of(rows: pd.DataFrame, group: GroupParams) -> np.ndarray:
    """The group of each row by name, shape (n,), such as "single", "below 30", "30 to 60", "60 and above", "missing".

    Raises:
        BadInputError: The rows lack the column, or it is no number and has cuts.
    """
    if group.column not in rows.columns:
        raise BadInputError(f"fairness.groups: the table has no column {group.column!r}; name one that it has")
    values = rows[group.column]
    if not group.cuts:
        return values.astype("str").where(values.notna(), MISSING).to_numpy(dtype=object)
    if not pd.api.types.is_numeric_dtype(values):
        raise BadInputError(f"fairness.groups: {group.column!r} is no number; give it cuts: []")
    names = np.array([*_spans(group.cuts), MISSING], dtype=object)
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    places = np.searchsorted(group.cuts, numbers, side="right")  # a row at a cut belongs to the span above it
    return np.asarray(names[np.where(np.isnan(numbers), len(names) - 1, places)])


def crossed(rows: pd.DataFrame, groups: Sequence[GroupParams]) -> np.ndarray:
    """The groups of all columns together, by name, shape (n,), such as "age below 30, marital single"."""
    parts = [group.column + " " + group_of(rows, group).astype(object) for group in groups]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + ", " + part
    return np.asarray(joined)


def with_groups(rows: pd.DataFrame, groups: Sequence[GroupParams]) -> pd.DataFrame:
    """The rows with the group of each, of all columns together, in the column `GROUP`."""
    return rows.assign(**{GROUP: crossed(rows, groups)})


def as_trained(rows: pd.DataFrame, fairness: FairnessParams) -> pd.DataFrame:
    """Rows of the table as a recipe that reweights wants them: with their groups where `fairness.mitigate` says so."""
    return with_groups(rows, fairness.groups) if fairness.reweights else rows


def _spans(cuts: tuple[float, ...]) -> list[str]:
    between = [f"{low:g} to {high:g}" for low, high in pairwise(cuts)]
    return [f"below {cuts[0]:g}", *between, f"{cuts[-1]:g} and above"]
