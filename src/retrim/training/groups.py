"""Groups of rows by the section `fairness` of params.yaml, weights that balance them, and outcomes of predictions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator

from retrim.errors import BadInputError
from retrim.stats.plugins import FOLLOWS, SettingsSection
from retrim.table.data import DataParams

Mitigation = Literal["reweight"]
GROUP = "_group"  # column of a training frame that holds each row's group, of all declared columns together
MISSING = "missing"
MEASURES: dict[str, tuple[str, ...]] = {
    "selection_rate": ("binary",),
    "false_positive_rate": ("binary",),
    "false_negative_rate": ("binary",),
    "error_rate": ("binary", "multiclass"),
    "mean_error": ("regression", "binary", "multiclass"),
    "mean_absolute_error": ("regression",),
}  # and the tasks that they fit
SIZES = ("mean_error", "mean_absolute_error")  # measures of predictions; all others are shares of what is decided
NUMBERS = ("number", "integer")


class GroupParams(SettingsSection):
    """Groups that one column makes: its categories, or the spans between the cuts of a number."""

    column: str = Field(
        description=(
            "column that defines the groups: any category or number except the target, even a column with "
            "the role forbidden"
        )
    )
    cuts: tuple[float, ...] = Field(
        description="values at which a number is split into groups, in ascending order; empty for a category"
    )
    least_rows: int = Field(
        ge=2,
        description=(
            "minimum number of rows behind each figure of a group; a group with fewer rows is reported but not judged"
        ),
    )

    @field_validator("cuts")
    @classmethod
    def _ascend(cls, cuts: tuple[float, ...]) -> tuple[float, ...]:
        if any(low >= high for low, high in pairwise(cuts)):
            raise ValueError(f"{list(cuts)} is not in ascending order; write each cut once, the lowest first")
        return cuts


class AtMostParams(SettingsSection):
    """The largest difference between two groups that a measure may show; null: reported, never refused."""

    selection_rate: float | None = Field(default=None, ge=0, le=1, description="share of rows that are selected")
    false_positive_rate: float | None = Field(
        default=None, ge=0, le=1, description="share of negative rows that are selected"
    )
    false_negative_rate: float | None = Field(
        default=None, ge=0, le=1, description="share of positive rows that are not selected"
    )
    error_rate: float | None = Field(
        default=None, ge=0, le=1, description="share of rows whose predicted class is wrong"
    )
    mean_error: float | None = Field(
        default=None, ge=0, description="mean of prediction minus outcome, in the target's unit"
    )
    mean_absolute_error: float | None = Field(
        default=None, ge=0, description="mean absolute error, in the target's unit"
    )


class FairnessParams(SettingsSection):
    """Error rates by group, limits, mitigation."""

    groups: tuple[GroupParams, ...] = Field(
        default=(), description="columns whose groups are compared; empty: fairness is not evaluated"
    )
    at_most: AtMostParams | None = Field(
        default=None,
        description="for each measure, the largest difference between groups that passes the gate; null: no limit",
    )
    threshold: float = Field(
        exclude=True,
        default=0.5,
        gt=0,
        lt=1,
        description="probability at or above which a row is selected if decide.threshold is null; 0.5 selects "
        "the likelier class",
    )
    mitigate: Annotated[Mitigation | None, FOLLOWS] = Field(
        default=None,
        description="reweight: training weights give every group the same share of each class; null: no mitigation",
    )

    @property
    def reweights(self) -> bool:
        """Whether training rows are weighted."""
        return self.mitigate == "reweight"

    def limits(self) -> dict[str, float]:
        """The measures that may refuse, and what they allow."""
        stated: dict[str, float | None] = {} if self.at_most is None else self.at_most.model_dump()
        return {name: limit for name, limit in stated.items() if limit is not None}


def reweighting(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weight of each row: rows its group and label would have were they independent, over those they have.

    They are above 0, shape (n,), and sum to the rows, in each group and for each label too. In a group that has its
    labels in the same shares as all rows, each weight is 1.

    Source:
        Kamiran and Calders (2012), Knowledge and Information Systems 33(1), 1-33, section 5.2.
    """
    group, label = pd.factorize(groups)[0], pd.factorize(labels)[0]
    pair = group * (int(label.max(initial=0)) + 1) + label
    by_group, by_label, by_pair = (np.bincount(codes)[codes] for codes in (group, label, pair))
    return np.asarray(by_group * by_label / (len(pair) * by_pair))


def group_of(rows: pd.DataFrame, group: GroupParams) -> np.ndarray:
    """The group of each row by name, shape (n,), such as "single", "below 30", "30 to 60", "60 and above", "missing".

    Raises:
        BadInputError: The rows lack the column, or it is not a number and has cuts.
    """
    if group.column not in rows.columns:
        raise BadInputError(f"fairness.groups: the table has no column {group.column!r}; use a column of the table")
    values = rows[group.column]
    if not group.cuts:
        return values.astype("str").where(values.notna(), MISSING).to_numpy(dtype=object)
    if not pd.api.types.is_numeric_dtype(values):
        raise BadInputError(
            f"fairness.groups: {group.column!r} is not a number, so it cannot have cuts; set its cuts to []"
        )
    cuts = group.cuts
    between = [f"{low:g} to {high:g}" for low, high in pairwise(cuts)]
    names = np.array([f"below {cuts[0]:g}", *between, f"{cuts[-1]:g} and above", MISSING], dtype=object)
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    places = np.searchsorted(cuts, numbers, side="right")  # a row at a cut belongs to the span above it
    return np.asarray(names[np.where(np.isnan(numbers), len(names) - 1, places)])


def with_groups(rows: pd.DataFrame, groups: Sequence[GroupParams]) -> pd.DataFrame:
    """The rows with the group of each, of all columns together, in `GROUP`, such as "age below 30, marital single"."""
    names = zip(*(group.column + " " + group_of(rows, group) for group in groups), strict=True)
    return rows.assign(**{GROUP: np.array([", ".join(parts) for parts in names], dtype=object)})


def as_trained(rows: pd.DataFrame, fairness: FairnessParams) -> pd.DataFrame:
    """Rows of the table as a recipe that reweights wants them: with their groups where `train.balance` says so."""
    return with_groups(rows, fairness.groups) if fairness.reweights else rows


@dataclass(frozen=True)
class Outcomes:
    """Judged rows as the measures see them, in time order."""

    task: str
    # shape (n,). The target of a regression; 0 or 1; of several classes 1 where the likeliest is right
    actual: np.ndarray
    # shape (n,). The target of a regression; the probability of 1; of several classes the highest one
    predicted: np.ndarray
    selected: np.ndarray  # shape (n,), 0 or 1: what is decided on. Binary: selected or not; multiclass: always 1

    @classmethod
    def of(cls, task: str, actual: np.ndarray, predicted: np.ndarray, *, threshold: float) -> "Outcomes":
        """From targets and predictions as `retrim.stats.metrics` encodes them; binary rows are selected from there."""
        if task == "multiclass":
            right = (np.argmax(predicted, axis=1) == actual).astype("float64")
            return cls(task, right, predicted.max(axis=1, initial=0.0), np.ones(len(right)))
        if task == "binary":
            return cls(task, actual.astype("float64"), predicted, (predicted >= threshold).astype("float64"))
        return cls(task, actual.astype("float64"), predicted, np.zeros(len(actual)))

    @property
    def measures(self) -> list[str]:
        """Those that fit the task."""
        return [name for name, tasks in MEASURES.items() if self.task in tasks]

    def parts(self, measure: str) -> tuple[np.ndarray, np.ndarray]:
        """Value and weight (0 or 1) of each row; the measure is the sum of the first over that of the second."""
        every = np.ones(len(self.actual))
        negative = (self.actual == 0).astype("float64")
        match measure:
            case "selection_rate":
                return self.selected, every
            case "false_positive_rate":
                return self.selected * negative, negative
            case "false_negative_rate":
                return (1 - self.selected) * (1 - negative), 1 - negative
            case "error_rate":
                return (self.selected != self.actual).astype("float64"), every
            case "mean_error":
                return self.predicted - self.actual, every
            case _:
                return np.abs(self.predicted - self.actual), every


def require_fit(fairness: FairnessParams, data: DataParams) -> None:
    """Refuses a section that this table cannot have.

    Raises:
        BadInputError: Names the key, what is wrong, what is allowed.
    """
    for fault in _faults(fairness, data):
        raise BadInputError(f"fairness.{fault}")


def _faults(fairness: FairnessParams, data: DataParams) -> Iterator[str]:
    yield from _faults_of_groups(fairness, data)
    for measure in fairness.limits():
        if data.task not in MEASURES[measure]:
            fitting = ", ".join(name for name, tasks in MEASURES.items() if data.task in tasks)
            yield f"at_most.{measure}: not available for a {data.task} task; set it to null. Available: {fitting}"
    if fairness.reweights and not fairness.groups:
        yield "groups: train.balance is 'groups', but none are listed; list columns, or set train.balance to null"


def _faults_of_groups(fairness: FairnessParams, data: DataParams) -> Iterator[str]:
    columns = [group.column for group in fairness.groups]
    for group in fairness.groups:
        name = group.column
        known = data.columns.get(name)
        if known is None:
            yield f"groups: {name!r} is not a column; name one of: {', '.join(data.columns)}"
            continue
        if name == data.target or known.type == "time":
            yield f"groups: {name!r} is the target or a time; choose a category or a number"
        if columns.count(name) > 1:
            yield f"groups: {name!r} is listed twice; keep one"
        if known.type in NUMBERS and not group.cuts:
            yield f"groups: {name!r} is a number; set the values at which it is split, such as cuts: [30, 60]"
        if known.type == "category" and group.cuts:
            yield f"groups: {name!r} is a category, so each value is a group; set its cuts to []"
