"""How good predictions are: one decorated function per metric.

The rest of retrim calls them by name, through `row_losses` and `measure`. The section `judge` of params.yaml stands at
the end.

A metric takes `(actual, predicted)` and is one of three things, told by its facts:

    rows=True       a per-row loss: returns shape (n,); the metric is its mean, and it can be `judge.loss`
    scalar=True     a total, where rows is False: returns a float
    scalar=False    not a number at all (the confusion matrix): asked for by name, never by `measure`

Encoding, by task:

    regression      actual floats (n,), predicted floats (n,)
    binary          actual 0 or 1 (n,), predicted probability of the positive class (n,)
    multiclass      actual class codes (n,), predicted probabilities (n, k). A code outside 0..k-1 is a
                    class unseen in training: the model gave it probability 0, and it counts as wrong.

A metric that needs a value takes it after an `@` in its name: `pinball@0.9`. A class is
predicted at probability 0.5 or more (binary), or where it is likeliest (multiclass).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any, Literal, TypeVar

import numpy as np
from pydantic import Field, field_validator

from retrim.errors import BadInputError, EmptyWindowError
from retrim.stats.plugins import PluginRegistry, SettingsSection

Task = Literal["regression", "binary", "multiclass"]
Better = Literal["lower", "higher", "none"]
CLASSES: tuple[Task, ...] = ("binary", "multiclass")
F = TypeVar("F", bound=Callable[..., Any])

METRICS: PluginRegistry[Callable[..., Any]] = PluginRegistry("metric")
CLIP = 1e-12  # log loss takes a probability below this as this: no row costs more than 27.7 nats
LEAST = 1e-9  # a mean predicted below this counts as this, in the deviance: nothing comes of a mean of 0


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
        argument: Keyword that the value after the `@` goes to, between 0 and 1; None: it takes none.
    """

    def enter(function: F) -> F:
        facts = {"scalar": scalar, "argument": argument, "signed": signed}
        METRICS.register(name, tasks=tasks, better=better, rows=rows, bounds=bounds, **facts)(function)
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
        raise BadInputError(
            f"metric {name!r}: {stem} needs a {argument} between 0 and 1; write, for example, '{stem}@0.9'"
        )
    return Metric(name, partial(entry.value, **{argument: value}), **facts)


@metric("log_loss", *CLASSES, better="lower", rows=True, bounds=(0, float(-np.log(CLIP))))
def log_loss(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """For each row: minus the log of the predicted probability of the outcome, in nats; clipped at `CLIP`."""
    return np.asarray(-np.log(np.clip(_probability_of(actual, predicted), CLIP, 1.0)))


@metric("brier", *CLASSES, better="lower", rows=True, bounds=(0, 2))
def brier(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Squared distance between probabilities and outcome of each row.

    Binary: `(p - y)^2`, 0 to 1. Multiclass: summed over the classes, 0 to 2, so that on two classes it is twice the
    binary figure; an unseen class adds 1.

    Source:
        Brier (1950), Monthly Weather Review 78(1), 1-3, which sums over the classes.
    """
    if predicted.ndim == 1:
        return np.asarray(np.square(predicted - actual))
    chance = _probability_of(actual, predicted)
    others = np.sum(np.square(predicted), axis=1) - np.square(chance)
    return np.asarray(np.maximum(others, 0.0) + np.square(1 - chance))


@metric("error", *CLASSES, better="lower", rows=True, bounds=(0, 1))
def error(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """For each row: 1 if the predicted class is wrong, else 0."""
    return np.asarray((_classes(predicted) != actual).astype(float))


@metric("accuracy", *CLASSES, better="higher", rows=False, bounds=(0, 1))
def accuracy(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Share of rows whose predicted class is right."""
    return float(np.mean(_classes(predicted) == actual))


@metric("auc", "binary", better="higher", rows=False, bounds=(0, 1))
def auc(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Probability that a positive row ranks above a negative one; ties count half. With a single class: 0.5."""
    from sklearn.metrics import roc_auc_score

    if np.all(actual == actual[0]):
        return 0.5
    return float(roc_auc_score(actual, predicted))


@metric("average_precision", "binary", better="higher", rows=False, bounds=(0, 1))
def average_precision(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Precision averaged over the recall steps. Random scores give the share of positives; without positives: 0."""
    from sklearn.metrics import average_precision_score

    if not np.any(actual == 1):
        return 0.0
    return float(average_precision_score(actual, predicted))


@metric("precision", *CLASSES, better="higher", rows=False, bounds=(0, 1))
def precision(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the rows predicted as a class that belong to it; multiclass: mean over the classes. 0 of 0 is 0."""
    from sklearn.metrics import precision_score

    return float(precision_score(actual, _classes(predicted), average=_average(predicted), zero_division=0.0))


@metric("recall", *CLASSES, better="higher", rows=False, bounds=(0, 1))
def recall(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the rows of a class that are predicted as it; multiclass: mean over the classes. 0 of 0 is 0."""
    from sklearn.metrics import recall_score

    return float(recall_score(actual, _classes(predicted), average=_average(predicted), zero_division=0.0))


@metric("f1", *CLASSES, better="higher", rows=False, bounds=(0, 1))
def f1(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Harmonic mean of precision and recall; multiclass: mean over the classes. 0 of 0 is 0."""
    from sklearn.metrics import f1_score

    return float(f1_score(actual, _classes(predicted), average=_average(predicted), zero_division=0.0))


@metric("confusion_matrix", *CLASSES, better="none", rows=False, bounds=(0, inf), scalar=False)
def confusion_matrix(actual: np.ndarray, predicted: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """Rows counted by actual class (down) and predicted class (across).

    Binary: 2 x 2. Multiclass: (k + 1) x k, the last row for classes unseen in training.
    """
    k = 2 if predicted.ndim == 1 else predicted.shape[1]
    counts = np.zeros((k if predicted.ndim == 1 else k + 1, k), dtype=int)
    np.add.at(counts, (np.where((actual >= 0) & (actual < k), actual, k), _classes(predicted)), 1)
    return tuple(tuple(int(count) for count in row) for row in counts)


def _probability_of(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The probability given to what happened, shape (n,); 0 for a class unseen in training."""
    if predicted.ndim == 1:
        return np.where(actual == 1, predicted, 1 - predicted)
    seen = (actual >= 0) & (actual < predicted.shape[1])
    chance = predicted[np.arange(len(actual)), np.where(seen, actual, 0)]
    return np.where(seen, chance, 0.0)


def _classes(predicted: np.ndarray) -> np.ndarray:
    return np.asarray((predicted >= 0.5).astype(int) if predicted.ndim == 1 else np.argmax(predicted, axis=1))


def _average(predicted: np.ndarray) -> str:
    return "binary" if predicted.ndim == 1 else "macro"


@metric("mae", "regression", better="lower", rows=True, bounds=(0, inf))
def mae(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Absolute error of each row, in units of the target."""
    return np.asarray(np.abs(actual - predicted))


@metric("mse", "regression", better="lower", rows=True, bounds=(0, inf))
def mse(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Squared error of each row, in squared units of the target."""
    return np.asarray(np.square(actual - predicted))


@metric("pinball", "regression", better="lower", rows=True, bounds=(0, inf), argument="quantile")
def pinball(actual: np.ndarray, predicted: np.ndarray, *, quantile: float) -> np.ndarray:
    """Pinball loss of each row, in units of the target; its mean is lowest at the true quantile.

    A quantile of 0.5 gives half the absolute error.

    Source:
        Koenker and Bassett (1978), Econometrica 46(1), 33-50.
    """
    short = actual - predicted
    return np.asarray(np.maximum(quantile * short, (quantile - 1) * short))


@metric("poisson", "regression", better="lower", rows=True, bounds=(0, inf), signed=False)
def poisson(actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Poisson deviance of each row: twice the log likelihood that the prediction lacks; lowest at the true mean.

    Args:
        actual: Counts, or other amounts of 0 or more, shape (n,).
        predicted: Predicted means, shape (n,); below `LEAST` they count as `LEAST` where something happened, else as 0.

    Raises:
        BadInputError: A target is below 0.

    Source:
        McCullagh and Nelder (1989), Generalized Linear Models, 2nd edition, section 2.3.
    """
    if len(actual) and np.min(actual) < 0:
        raise BadInputError(
            f"judge: 'poisson' needs a target of 0 or more, but the lowest target is {np.min(actual):g}; choose mse or "
            "mae"
        )
    mean = np.maximum(predicted, np.where(actual > 0, LEAST, 0.0))
    ratio = np.divide(actual, mean, out=np.ones(len(mean)), where=actual > 0)  # 0 log 0 is 0
    return np.asarray(np.maximum(2 * (actual * np.log(ratio) - actual + mean), 0.0))


@metric("rmse", "regression", better="lower", rows=False, bounds=(0, inf))
def rmse(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Root of the mean squared error, in units of the target."""
    return float(np.sqrt(np.mean(np.square(actual - predicted))))


@metric("r2", "regression", better="higher", rows=False, bounds=(-inf, 1))
def r2(actual: np.ndarray, predicted: np.ndarray) -> float:
    """Share of the variance explained. With a constant target: 1 if every prediction is exact, else 0."""
    left, total = np.sum(np.square(actual - predicted)), np.sum(np.square(actual - np.mean(actual)))
    if np.all(actual == actual[0]) or total == 0:
        return float(left == 0)
    return float(1 - left / total)


def named(wanted: Callable[[Metric], bool]) -> str:
    """The names of the metrics that are so, for errors."""
    names = [e.name if e.facts["argument"] is None else f"{e.name}@0.9" for e in METRICS]
    return ", ".join(name for name in names if wanted(find(name)))


def require(names: Iterable[str], *, task: str, rows: bool) -> list[Metric]:
    """The metrics called `names`, all of which fit the task.

    Raises:
        UnknownNameError: No such metric.
        BadInputError: One does not fit; the message lists those that do.
    """
    metrics = []
    for metric in map(find, names):
        if task not in metric.tasks:
            allowed = named(lambda m: task in m.tasks and (m.rows or not rows) and m.scalar)
            raise BadInputError(f"metric {metric.name!r} does not fit a {task} task; choose one of: {allowed}")
        if not metric.scalar:
            allowed = named(lambda m: m.scalar)
            raise BadInputError(f"metric {metric.name!r} is not a single number; choose one of: {allowed}")
        if rows and not metric.rows:
            fault = f"cannot be computed for each row; for a {task} task choose one of"
            raise BadInputError(f"metric {metric.name!r} {fault}: {named(lambda m: task in m.tasks and m.rows)}")
        metrics.append(metric)
    return metrics


def row_losses(name: str, actual: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The per-row loss called `name`, lower is better; the metric is its mean.

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
            f"actual has the shape {actual.shape} and predicted {predicted.shape}, but a {task} task needs the shapes "
            f"{wanted}"
        )
    for what, values in (("actual", actual.astype(float)), ("predicted", predicted)):
        if not np.isfinite(values).all():
            wrong = int((~np.isfinite(values)).sum())
            raise BadInputError(
                f"{what}: {wrong} of {values.size} values are missing or infinite; pass only finite numbers"
            )
    return (actual.astype(float) if task == "regression" else actual.astype(int)), predicted


class JudgeParams(SettingsSection):
    """How predictions are evaluated, everywhere."""

    loss: str = Field(
        default="mae", description="per-row loss for tuning, probes and decisions, such as mae or pinball@0.9"
    )
    metrics: tuple[str, ...] = Field(
        default=("mae", "rmse", "r2"), description="metrics that are reported in addition to the loss"
    )
    draws: int = Field(
        exclude=True,
        default=2000,
        ge=1,
        description="number of bootstrap draws; the benchmark error rates were measured with this number",
    )
    block_rows: int = Field(
        default=24,
        ge=1,
        description=(
            "number of rows in a bootstrap block; choose about the number of consecutive rows whose errors "
            "are correlated"
        ),
    )

    @field_validator("loss")
    @classmethod
    def _has_rows(cls, name: str) -> str:
        return _valid(name, lambda metric: metric.rows, "cannot be computed for each row; choose one of")

    @field_validator("metrics")
    @classmethod
    def _are_numbers(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        wanted, fault = (lambda metric: metric.scalar), "is not a single number; choose one of"
        return tuple(_valid(name, wanted, fault) for name in names)


def _valid(name: str, wanted: Callable[[Metric], bool], fault: str) -> str:
    """Checks a name for pydantic, which reports ValueErrors with the key they stand under."""
    try:
        metric = find(name)
    except BadInputError as wrong:
        raise ValueError(str(wrong)) from wrong
    if not wanted(metric):
        raise ValueError(f"metric {name!r} {fault}: {named(wanted)}")
    return name
