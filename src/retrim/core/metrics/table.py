"""The table of metrics, and what a name in params.yaml means."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, Literal, TypeVar

import numpy as np

from retrim.core.plugins import Registry
from retrim.errors import BadInputError

Task = Literal["regression", "binary", "multiclass"]
Better = Literal["lower", "higher", "none"]
CLASSES: tuple[Task, ...] = ("binary", "multiclass")
F = TypeVar("F", bound=Callable[..., Any])

METRICS: Registry[Callable[..., Any]] = Registry("metric")


def metric(
    name: str,
    *tasks: Task,
    better: Better,
    rows: bool,
    bounds: tuple[float, float],
    scalar: bool = True,
    argument: str | None = None,
    signed: bool = True,
) -> Callable[[F], F]:
    """Decorator that enters a metric with its facts.

    Args:
        name: As params.yaml says it, without the `@`.
        tasks: Those it fits.
        better: Which way is better.
        rows: Whether it is a per-row loss, its value their mean.
        bounds: Closed range of its value.
        scalar: Whether its value is a number.
        argument: Keyword that the value after the `@` goes to, between 0 and 1; None: it takes none.
        signed: Whether targets may be below 0.
    """
    facts = {
        "tasks": tasks,
        "better": better,
        "rows": rows,
        "bounds": bounds,
        "scalar": scalar,
        "argument": argument,
        "signed": signed,
    }

    def enter(function: F) -> F:
        METRICS.register(name, **facts)(function)
        return function

    return enter


@dataclass(frozen=True)
class Metric:
    """A metric as a name in params.yaml means it, its argument filled in."""

    name: str
    function: Callable[[np.ndarray, np.ndarray], Any]
    tasks: tuple[Task, ...]
    better: Better
    rows: bool
    scalar: bool
    bounds: tuple[float, float]
    signed: bool


def find(name: str) -> Metric:
    """The metric called `name`, such as `mae` or `pinball@0.9`.

    Raises:
        UnknownNameError: No such metric.
        BadInputError: A value after `@` is missing, not wanted, or not between 0 and 1.
    """
    stem, at, text = name.partition("@")
    entry = METRICS.entry(stem)
    facts = dict(entry.facts)
    argument = facts.pop("argument")
    if argument is None:
        if at:
            raise BadInputError(f"metric {name!r}: {stem} takes no value; write {stem!r}")
        return Metric(name, entry.value, **facts)
    try:
        value = float(text)
    except ValueError:
        value = inf
    if not 0 < value < 1:
        raise BadInputError(f"metric {name!r}: {stem} needs a {argument} between 0 and 1; write such as '{stem}@0.9'")
    return Metric(name, partial(entry.value, **{argument: value}), **facts)
