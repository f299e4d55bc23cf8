"""Outliers: numbers beyond fences set by training rows. They are said, capped, taken for missing, or not trained on.

A column of which more than the declared share lies beyond has a long tail: its values are valid though rare, and it
is left as it is.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from retrim.core.prepare.numbers import moments, quantiles
from retrim.core.prepare.sheet import held
from retrim.core.prepare.step import NUMBERS, Frame, Learned, Made, Past, Step, same, step

By = Literal["zscore", "iqr"]
Reach = Annotated[float, Field(gt=0, le=1e6)]
Share = Annotated[float, Field(ge=0, le=1)]


def fences(values: np.ndarray, *, by: By, reach: float) -> list[float] | None:
    """The least and the largest number that is no outlier; None where the known do not spread.

    Args:
        values: Shape (n,).
        by: zscore: from the mean, in standard deviations; iqr: from the quartiles, in their distance.
        reach: How far.

    Source:
        Tukey (1977), Exploratory Data Analysis: reach 1.5 is his inner fence, 3 the outer.
    """
    there = values[~np.isnan(values)]
    if not len(there):
        return None
    with np.errstate(over="ignore"):
        if by == "zscore":
            found = moments(there)
            low, high = found.mean - reach * found.sd, found.mean + reach * found.sd
            ends = np.array([low, high]) * found.scale
        else:
            first, third = quantiles(there, [0.25, 0.75])
            ends = np.array([first, third]) + reach * (third / 2 - first / 2) * np.array([-2.0, 2.0])
    return None if not ends[0] < ends[1] else [float(end) for end in held(ends)]


def beyond(values: np.ndarray, ends: list[float] | None) -> np.ndarray:
    """Which numbers lie beyond the fences, shape (n,)."""
    if ends is None:
        return np.zeros(len(values), dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.asarray((values < ends[0]) | (values > ends[1]))


def _learned(past: Past, makes: Mapping[str, Made], *, by: By, reach: float, at_most: float) -> Learned:
    found: dict[str, list[float] | None] = {}
    said: dict[str, Any] = {}
    for name, values in past.frame.items():
        ends = fences(values, by=by, reach=reach)
        rows = int(beyond(values, ends).sum())
        tail = rows > at_most * max(int((~np.isnan(values)).sum()), 1)
        said[name] = {"fences": ends, "beyond": rows, "kept as a tail": tail}
        found[name] = None if tail else ends
    return Learned({"fences": found}, dict(makes), said=said)


@step("outlier_flag", takes=NUMBERS, gives="same")
class OutlierFlag(Step):
    """Adds `COLUMN:outlier`: 1 beyond the fences, else 0."""

    def learn(self, past: Past, *, by: By, reach: Reach) -> Learned:
        makes = {f"{name}:outlier": Made("number", name) for name in past.frame}
        return _learned(past, makes, by=by, reach=reach, at_most=1.0)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {
            f"{name}:outlier": beyond(values, state["fences"][name]).astype("float64") for name, values in frame.items()
        }


@step("outlier_cap", takes=NUMBERS, gives="same")
class OutlierCap(Step):
    """A number beyond a fence becomes the fence."""

    def learn(self, past: Past, *, by: By, reach: Reach, at_most: Share) -> Learned:
        return _learned(past, same(past, "number"), by=by, reach=reach, at_most=at_most)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        ends = state["fences"]
        return {name: values if ends[name] is None else np.clip(values, *ends[name]) for name, values in frame.items()}


@step("outlier_missing", takes=NUMBERS, gives="same")
class OutlierMissing(Step):
    """A number beyond a fence becomes missing."""

    def learn(self, past: Past, *, by: By, reach: Reach, at_most: Share) -> Learned:
        return _learned(past, same(past, "number"), by=by, reach=reach, at_most=at_most)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {name: np.where(beyond(values, state["fences"][name]), np.nan, values) for name, values in frame.items()}


@step("outlier_drop", takes=NUMBERS, gives="same")
class OutlierDrop(Step):
    """No model is fitted on a row with a number beyond a fence; rows that judge or are predicted stay."""

    def learn(self, past: Past, *, by: By, reach: Reach, at_most: Share) -> Learned:
        return _learned(past, {}, by=by, reach=reach, at_most=at_most)

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {}

    def kept(self, frame: Frame, state: Mapping[str, Any]) -> np.ndarray | None:
        out = [beyond(values, state["fences"][name]) for name, values in frame.items()]
        dropped = np.logical_or.reduce(out) if out else np.zeros(0, dtype=bool)
        return None if not len(dropped) or dropped.all() else ~dropped
