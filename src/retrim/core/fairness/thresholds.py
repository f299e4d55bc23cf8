"""Group-aware thresholds: a threshold a group, such that one rate is alike in all of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.fairness.groups import crossed
from retrim.core.fairness.params import Equalised, GroupParams
from retrim.errors import BadInputError

LEVELS = 1001  # levels of the rate that are tried: a tenth of a percent apart


@dataclass(frozen=True)
class Thresholds:
    """How a chance becomes a decision.

    Args:
        groups: What makes the groups.
        default: Threshold of a row in a group that has none of its own.
        by_group: Thresholds by name of the group, of all columns together.
        small: Groups whose rows were too few, with how many there were.
    """

    groups: tuple[GroupParams, ...]
    default: float
    by_group: Mapping[str, float]
    small: Mapping[str, int]

    def of(self, rows: pd.DataFrame) -> np.ndarray:
        """The threshold of each row, shape (n,).

        Raises:
            BadInputError: The rows lack a column that makes groups.
        """
        if not self.groups or not len(rows):
            return np.full(len(rows), self.default)
        lacking = [group.column for group in self.groups if group.column not in rows.columns]
        if lacking:
            raise BadInputError(
                f"the model decides by {', '.join(lacking)}, which the table does not have; keep the column in "
                "data.columns, or roll back to a version that does without"
            )
        return np.array([self.by_group.get(name, self.default) for name in crossed(rows, self.groups)], dtype="float64")

    def as_record(self) -> dict[str, Any]:
        """JSON types; `from_record` reads it back."""
        return {
            "groups": [group.model_dump(mode="json") for group in self.groups],
            "default": self.default,
            "by_group": dict(self.by_group),
            "small": dict(self.small),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Thresholds":
        groups = tuple(GroupParams.model_validate(group) for group in record["groups"])
        return cls(groups, record["default"], record["by_group"], record["small"])


def group_thresholds(
    scores: np.ndarray,
    actual: np.ndarray,
    names: np.ndarray,
    groups: tuple[GroupParams, ...],
    *,
    default: float,
    equalise: Equalised,
) -> Thresholds:
    """Thresholds that make one rate alike in all groups, with as many rows selected as before.

    For each level of the rate every group has the threshold that gives it this rate. Of all levels the
    one is taken that selects as many rows in all as `default` does for everyone.

    Args:
        scores: Chances that the model gave to rows it was not fitted on, shape (n,).
        actual: 0 or 1, shape (n,).
        names: Group of each row, of all columns together, shape (n,).
        groups: What makes the groups.
        default: The threshold of everyone, and of groups with too few rows to have their own.
        equalise: The rate.

    Source:
        Hardt, Price and Srebro (2016), NeurIPS 29, whose thresholds fairlearn's ThresholdOptimizer computes.
        Unlike both, a decision is never drawn at random: the same row is decided alike each time, and rates
        are alike up to the steps that scores leave.
    """
    least = max(group.least_rows for group in groups)
    counted = _counted(actual, equalise)
    curves: dict[str, np.ndarray] = {}
    small: dict[str, int] = {}
    levels = np.linspace(0.0, 1.0, LEVELS)
    for name in sorted(set(names)):
        inside = scores[(names == name) & counted]
        if len(inside) < least:
            small[name] = len(inside)
            continue
        # Selected are scores at or above the threshold: a rate of misses rises with it, one of selected rows falls.
        rising = levels if equalise == "false_negative_rate" else 1 - levels
        curves[name] = np.quantile(inside, rising)
    wanted = float((scores >= default).mean())
    fixed = ~np.isin(names, list(curves))
    chosen = np.zeros(LEVELS) + float((scores[fixed] >= default).sum())
    for name, curve in curves.items():
        own = np.sort(scores[names == name])
        chosen += len(own) - np.searchsorted(own, curve, side="left")
    place = int(np.argmin(np.abs(chosen / len(scores) - wanted)))
    by_group = {name: float(curve[place]) for name, curve in curves.items()}
    return Thresholds(groups, default, by_group, small)


def _counted(actual: np.ndarray, equalised: Equalised) -> np.ndarray:
    """Rows that the rate is a rate of."""
    if equalised == "selection_rate":
        return np.ones(len(actual), dtype=bool)
    return np.asarray(actual == (1 if equalised == "false_negative_rate" else 0))
