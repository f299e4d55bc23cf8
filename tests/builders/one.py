"""A step by itself, on columns written by hand."""

from typing import Any

import numpy as np

from retrim.features.fitted import STEPS
from retrim.features.step import Frame, StepState, TrainingRows

HOUR = np.timedelta64(1, "h")


def words(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def numbers(*values: float | None) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype="float64")


def past(
    frame: Frame, target: Any = None, *, classes: tuple[str, ...] = (), horizon: np.timedelta64 = HOUR
) -> TrainingRows:
    """Rows an hour apart, whose labels are due an hour later."""
    n = len(next(iter(frame.values())))
    event = np.datetime64("2024-03-01T00:00:00", "us") + np.arange(n) * HOUR
    aim = np.arange(n, dtype="float64") if target is None else np.array(target)
    return TrainingRows(frame, aim, classes, event, event + horizon)


def learn(name: str, rows: TrainingRows, **arguments: Any) -> StepState:
    return STEPS[name].learn(rows, **arguments)


def made(name: str, rows: TrainingRows, asked: Frame | None = None, **arguments: Any) -> dict[str, list[Any]]:
    """What the step makes of `asked`, or of the rows it learned from, as lists."""
    state = learn(name, rows, **arguments).state
    found = STEPS[name].apply(rows.frame if asked is None else asked, state)
    return {column: values.tolist() for column, values in found.items()}
