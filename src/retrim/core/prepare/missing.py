"""Missing cells: said in a column of their own, or filled from the training rows. No step: left to the model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from retrim.core.prepare.numbers import median, moments
from retrim.core.prepare.step import ANY, NUMBERS, Frame, Learned, Made, Past, Step, counts_of, kind_of, known, step


@step("missing_indicator", takes=ANY, gives="same")
class MissingIndicator(Step):
    """Adds `COLUMN:missing`: 1 where the cell is missing, else 0."""

    def learn(self, past: Past) -> Learned:
        return Learned({}, {f"{name}:missing": Made("number", name) for name in past.frame})

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {f"{name}:missing": (~known(values)).astype("float64") for name, values in frame.items()}


class _Fill(Step):
    """Fills missing cells of a column with one value; a column that was missing throughout stays as it is."""

    def learn(self, past: Past) -> Learned:
        found = {name: self.value(values) for name, values in past.frame.items()}
        return Learned({"values": found}, {name: Made(kind_of(values), name) for name, values in past.frame.items()})

    def value(self, values: np.ndarray) -> float | str | None:
        """What the missing cells of a column are given; None where nothing is known."""
        raise NotImplementedError

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        filled = {}
        for name, values in frame.items():
            value = state["values"][name]
            filled[name] = values if value is None else np.where(known(values), values, value)
        return filled


@step("fill_mean", takes=NUMBERS, gives="same")
class FillMean(_Fill):
    """Fills with the mean of the training rows."""

    def value(self, values: np.ndarray) -> float | None:
        found = moments(values)
        return found.mean * found.scale if known(values).any() else None


@step("fill_median", takes=NUMBERS, gives="same")
class FillMedian(_Fill):
    """Fills with the median of the training rows."""

    def value(self, values: np.ndarray) -> float | None:
        return median(values)


@step("fill_mode", takes=ANY, gives="same")
class FillMode(_Fill):
    """Fills with the most frequent value of the training rows; of several the first in order."""

    def value(self, values: np.ndarray) -> float | str | None:
        if values.dtype == object:
            return next(iter(counts_of(values)), None)
        there, counts = np.unique(values[known(values)], return_counts=True)
        return float(there[counts.argmax()]) if len(there) else None
