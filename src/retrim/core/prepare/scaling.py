"""Scaling: numbers to the range of the training rows, or to their mean and standard deviation."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from retrim.core.prepare.numbers import Moments, moments
from retrim.core.prepare.step import NUMBERS, Frame, Learned, Past, Step, same, step


@step("minmax", takes=NUMBERS, gives="same")
class MinMax(Step):
    """The least training value becomes 0, the largest 1; later rows may lie outside. A constant becomes 0."""

    def learn(self, past: Past) -> Learned:
        ends = {}
        for name, values in past.frame.items():
            there = values[~np.isnan(values)]
            ends[name] = [float(there.min()), float(there.max())] if len(there) else [0.0, 0.0]
        return Learned({"ends": ends}, same(past, "number"))

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        scaled = {}
        for name, values in frame.items():
            low, high = state["ends"][name]
            # Halves, since the distance of two numbers may be larger than any number.
            width = high / 2 - low / 2
            with np.errstate(over="ignore"):
                scaled[name] = (values / 2 - low / 2) / (width if width > 0 else 1.0)
        return scaled


@step("zscore", takes=NUMBERS, gives="same")
class ZScore(Step):
    """Standard deviations from the mean of the training rows. A constant becomes 0."""

    def learn(self, past: Past) -> Learned:
        found = {name: moments(values).as_record() for name, values in past.frame.items()}
        return Learned({"moments": found}, same(past, "number"))

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        with np.errstate(over="ignore"):
            return {name: Moments(*state["moments"][name]).standard(values) for name, values in frame.items()}
