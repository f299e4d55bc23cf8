"""What is to be predicted: the task, its positive class, and the loss by which everything is judged."""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from retrim.errors import RefusedError, UnknownNameError
from retrim.profile.table import Notes
from retrim.table.data import ColumnType

Task = Literal["regression", "binary", "multiclass"]
POSITIVE = {"yes", "true", "1", "1.0", "y", "t", "positive", "pos", "on", "ja", "oui"} | {
    *("default", "churn", "fraud", "late", "rain"),
}
MOST_CLASSES = 50
FEW_WHOLE = 10
"""Whole numbers that a target may have, at most, to be asked about: they may be classes."""
RARE = 0.05
UNCOMMON = 0.2
"""Share of the rarest class below which the report says what is done about it."""
ZEROS = 0.5
"""Share of zeros from which the median is 0, and the mean absolute error with it."""

FEW_ON_AVERAGE = 10
"""Mean up to which whole numbers may be counts whose loss is Poisson's."""
SURE = 0.01


@dataclass(frozen=True)
class Aim:
    """What is predicted, and how it is judged.

    Args:
        unsure: What else it could be; empty: nothing.
        rarest: Share of the rarer class; None for a regression.
    """

    task: Task
    type: ColumnType
    loss: str
    metrics: tuple[str, ...]
    why: str
    positive: str | None = None
    unsure: str = ""
    rarest: float | None = None
    rest: tuple[str, ...] = ()  # the other classes, where one is held against several


def aim_of(
    name: str,
    kind: ColumnType,
    words: "pd.Series[int]",
    numbers: np.ndarray | None,
    wanted: Task | None,
    positive: str | None = None,
) -> Aim:
    """What a target asks for.

    Args:
        words: How often each distinct value is there, commonest first.
        numbers: Its values where they are numbers, none missing; else None.
        wanted: The task that was asked for; None: as it looks.
        positive: The class that was asked for; with more than two it is held against all others together.

    Raises:
        RefusedError: Nothing can be learned of it, or it does not fit the task.
    """
    distinct = len(words)
    if distinct < 2:
        have = "has only 1 distinct value" if distinct else "has no values"
        raise RefusedError(f"the target {name!r} {have}, so nothing can be learned; choose a different target")
    if kind == "time":
        raise RefusedError(f"the target {name!r} is a time; choose a target that is a number, a yes or no, or a class")
    example = f"such as {str(words.index[0])[:40]!r}"
    if positive is not None and distinct > 2 and wanted in (None, "binary"):
        return _one_against_the_rest(name, words, positive)
    task: Task = wanted or ("binary" if distinct == 2 else "regression" if numbers is not None else "multiclass")
    if task == "regression":
        if numbers is None:
            raise RefusedError(
                f"the target {name!r} is text, {example}, but a regression predicts a number; choose a different task "
                "or target"
            )
        few = wanted is None and kind == "integer" and distinct <= FEW_WHOLE
        return _regression(kind, numbers, unsure="multiclass" if few else "")
    if task == "binary" and distinct != 2:
        raise RefusedError(
            f"the target {name!r} has {distinct} distinct values, but a binary task needs 2; pass --positive CLASS for "
            "one against the rest, or --task multiclass or regression"
        )
    if task == "multiclass" and distinct > MOST_CLASSES:
        raise RefusedError(
            f"the target {name!r} has {distinct} distinct texts, {example}, but at most {MOST_CLASSES} classes are "
            "supported; use a different target, or write its cells as numbers"
        )
    return _classes(task, words)


def _regression(kind: ColumnType, numbers: np.ndarray, *, unsure: str) -> Aim:
    zeros = float(np.mean(numbers == 0))
    loss, metrics = "mae", ("mae", "rmse", "r2")
    why = "in the target's own unit, and no single row dominates as it would with squared errors"
    if look_like_counts(numbers):
        loss, metrics = "poisson", ("poisson", "mae", "rmse")
        why = (
            f"whole numbers from 0, {numbers.mean():.2g} on average, that vary like counts: Poisson deviance is "
            "lowest at the mean and weighs errors relative to it"
        )
    elif zeros > ZEROS:
        loss = "mse"
        why = (
            f"{zeros:.0%} of the targets are 0, so predicting 0 for every row would have the lowest absolute error: "
            "squared error is lowest at the mean"
        )
    return Aim("regression", kind, loss, metrics, why, unsure=unsure)


def look_like_counts(numbers: np.ndarray) -> bool:
    """Whether a target counts rare events: whole numbers from 0, few on average, that vary no less than Poisson counts.

    Args:
        numbers: Targets, none missing, shape (n,).

    Source:
        Cochran (1954), Biometrics 10(4), 417-451, section 3: (n - 1) variance / mean is chi-squared with n - 1 degrees
        of freedom for Poisson counts. Refused is what varies surely less.
    """
    # Ratings and sizes are whole and few too, and vary less than their mean. Of larger counts the mean hardly tells the
    # variance. Counts that vary more than Poisson's are counts anyway: the deviance is least at their mean.
    if len(numbers) < 2 or numbers.min() != 0 or not 0 < numbers.mean() <= FEW_ON_AVERAGE:
        return False
    if not np.array_equal(numbers, np.floor(numbers)):
        return False
    from scipy.stats import chi2

    spread = float(np.sum(np.square(numbers - numbers.mean())) / numbers.mean())
    return bool(chi2.cdf(spread, len(numbers) - 1) > SURE)


def _one_against_the_rest(name: str, words: "pd.Series[int]", positive: str) -> Aim:
    classes = [str(word) for word in words.index]
    if positive not in classes:
        raise UnknownNameError(f"class of {name!r}:", positive, classes)
    one = int(words.iloc[classes.index(positive)])
    aim = _classes("binary", pd.Series({positive: one, f"not {positive}": int(words.sum()) - one}))
    rest = tuple(sorted(word for word in classes if word != positive))
    return replace(aim, positive=positive, unsure="", rest=rest)


def _classes(task: Task, words: "pd.Series[int]") -> Aim:
    shares = words / words.sum()
    rarest = float(shares.min())
    if task == "multiclass":
        why = (
            f"{len(words)} classes, and the most common has {shares.max():.0%} of the rows: log loss judges the "
            "probabilities, but accuracy would miss a rare class"
        )
        return Aim(task, "category", "log_loss", ("log_loss", "accuracy", "f1"), why, rarest=rarest)
    known = [word for word in words.index if str(word).lower() in POSITIVE]
    positive = str(known[0] if len(known) == 1 else words.idxmin())
    share = float(shares[positive])
    why = (
        f"{share:.1%} of the rows are {positive!r}: always predicting the more common class is right for "
        f"{max(share, 1 - share):.1%}, so accuracy says little; log loss judges the probabilities"
    )
    metrics = ("log_loss", "brier", "auc", *(("average_precision",) if share < RARE else ()))
    unsure = "" if len(known) == 1 else f"the positive class could also be {str(words.idxmax())!r}"
    return Aim(task, "category", "log_loss", metrics, why, positive, unsure, rarest)


def note_imbalance(aim: Aim, target: str, notes: Notes) -> None:
    """Notes what share a rare class has, and what is done about it."""
    if aim.rarest is None or aim.rarest >= UNCOMMON:
        return
    done = (
        "train.balance: null, because the loss judges probabilities. They are calibrated without balancing, and after "
        "balancing they would have to be corrected"
    )
    if aim.task == "binary":
        done += ". If you need a yes or no, set the cost of each error in decide.threshold"
    notes.tell("imbalance", target, f"the rarest class has {aim.rarest:.1%} of the rows", done)
