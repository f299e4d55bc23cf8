"""Metrics by name, on rows that were checked: what the rest of the house calls."""

from collections.abc import Callable, Iterable

import numpy as np

from retrim.core.metrics import classes as _classes  # noqa: F401 - enters its metrics in the table
from retrim.core.metrics import regression as _regression  # noqa: F401 - enters its metrics in the table
from retrim.core.metrics.table import METRICS, Metric, find
from retrim.errors import BadInputError, EmptyWindowError


def named(wanted: Callable[[Metric], bool]) -> str:
    """The names of the metrics that are so, for errors."""
    names = [e.name if e.facts["argument"] is None else f"{e.name}@0.9" for e in METRICS]
    return ", ".join(name for name in names if wanted(find(name)))


def require(names: Iterable[str], *, task: str, rows: bool) -> list[Metric]:
    """The metrics called `names`, all of which fit the task.

    Args:
        names: As in params.yaml.
        task: regression, binary or multiclass.
        rows: Whether each must have a per-row form; else each must be a number.

    Raises:
        UnknownNameError: No such metric.
        BadInputError: One does not fit; the message lists those that do.
    """
    found = []
    for metric in map(find, names):
        if task not in metric.tasks:
            allowed = named(lambda m: task in m.tasks and (m.rows or not rows) and m.scalar)
            raise BadInputError(f"metric {metric.name!r} does not fit a {task} task; those that do: {allowed}")
        if not metric.scalar:
            raise BadInputError(f"metric {metric.name!r} is not a number; those that are: {named(lambda m: m.scalar)}")
        if rows and not metric.rows:
            allowed = named(lambda m: task in m.tasks and m.rows)
            raise BadInputError(f"metric {metric.name!r} has no per-row form; of {task} these have: {allowed}")
        found.append(metric)
    return found


def row_losses(name: str, actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The per-row loss called `name`, lower is better.

    Args:
        name: A metric with a per-row form.
        actual: Shape (n,), encoded as `retrim.core.metrics` says.
        predicted: Shape (n,), or (n, k) for a multiclass task.

    Returns:
        Losses, shape (n,); the metric is their mean.

    Raises:
        UnknownNameError: No such metric.
        BadInputError: It has no per-row form, does not fit the shape of `predicted`, or a value is not finite.
    """
    metric = find(name)
    task = "multiclass" if np.ndim(predicted) == 2 else metric.tasks[0]
    require([name], task=task, rows=True)
    actual, predicted = _checked(actual, predicted, task=task)
    return np.asarray(metric.function(actual, predicted), dtype=float)


def measure(names: Iterable[str], actual: np.ndarray, predicted: np.ndarray, *, task: str) -> dict[str, float]:
    """Each named metric over all rows, in the order of `names`.

    Raises:
        UnknownNameError: No such metric.
        BadInputError: A metric does not fit the task, or shapes or values are not what the task has.
        EmptyWindowError: No rows.
    """
    metrics = require(names, task=task, rows=False)
    actual, predicted = _checked(actual, predicted, task=task)
    if len(actual) == 0:
        raise EmptyWindowError("judged")
    return {metric.name: float(np.mean(metric.function(actual, predicted))) for metric in metrics}


def _checked(actual: np.ndarray, predicted: np.ndarray, *, task: str) -> tuple[np.ndarray, np.ndarray]:
    actual, predicted = np.asarray(actual), np.asarray(predicted, dtype=float)
    if predicted.ndim != (2 if task == "multiclass" else 1) or actual.shape != predicted.shape[:1]:
        wanted = "(n,) and (n, k)" if task == "multiclass" else "(n,) and (n,)"
        raise BadInputError(
            f"actual has the shape {actual.shape} and predicted {predicted.shape}; a {task} task has {wanted}"
        )
    for what, values in (("actual", actual.astype(float)), ("predicted", predicted)):
        if not np.isfinite(values).all():
            wrong = int((~np.isfinite(values)).sum())
            raise BadInputError(f"{wrong} {what} values are missing or infinite; every one must be a number")
    return (actual.astype(float) if task == "regression" else actual.astype(int)), predicted
