"""What predictions did to rows: selected or not, right or wrong, too high or too low. Every measure is a mean of it."""

from dataclasses import dataclass

import numpy as np

MEASURES: dict[str, tuple[str, ...]] = {
    "selection_rate": ("binary",),
    "false_positive_rate": ("binary",),
    "false_negative_rate": ("binary",),
    "error_rate": ("binary", "multiclass"),
    "mean_error": ("regression", "binary", "multiclass"),
    "mean_absolute_error": ("regression",),
}
"""Measures, and the tasks that they fit."""


@dataclass(frozen=True)
class Outcomes:
    """Judged rows as the measures see them, in time order.

    Args:
        task: regression, binary or multiclass.
        actual: Shape (n,). The target of a regression; 0 or 1; of several classes 1 where the likeliest is right.
        predicted: Shape (n,). The target of a regression; the probability of 1; of several classes the highest one.
        selected: Shape (n,), 0 or 1: what is decided on. Binary: selected or not; multiclass: always 1.
    """

    task: str
    actual: np.ndarray
    predicted: np.ndarray
    selected: np.ndarray

    @classmethod
    def of(cls, task: str, actual: np.ndarray, predicted: np.ndarray, *, threshold: float | np.ndarray) -> "Outcomes":
        """From targets and predictions as `retrim.core.metrics` encodes them.

        Args:
            task: regression, binary or multiclass.
            actual: Shape (n,).
            predicted: Shape (n,), or (n, classes).
            threshold: Probability from which a row of a binary task is selected: one, or one a row.
        """
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
