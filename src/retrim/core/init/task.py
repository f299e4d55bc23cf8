"""What is to be predicted: the task, its positive class, and the loss by which everything is judged."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from retrim.core.init.looks import Look
from retrim.core.init.notes import Note
from retrim.core.table import ColumnType

Task = Literal["regression", "binary", "multiclass"]
POSITIVE = (
    "yes",
    "true",
    "1",
    "1.0",
    "y",
    "t",
    "positive",
    "pos",
    "on",
    "ja",
    "oui",
    "default",
    "churn",
    "fraud",
    "late",
    "rain",
)
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
        task: regression, binary or multiclass.
        type: Type of the target.
        positive: Positive class of a binary task.
        loss: Per-row loss.
        metrics: Reported beside it.
        why: Why this loss.
        unsure: What else it could be; empty: nothing.
        rarest: Share of the rarer class; None for a regression.
    """

    task: Task
    type: ColumnType
    positive: str | None
    loss: str
    metrics: tuple[str, ...]
    why: str
    unsure: str
    rarest: float | None


def aim_of(
    look: Look, kind: ColumnType, words: "pd.Series[int]", numbers: np.ndarray | None, wanted: Task | None
) -> Aim | str:
    """What a target asks for; a sentence where it can be none.

    Args:
        look: The target column.
        kind: number, integer or category, as its cells look.
        words: Its distinct cells as text and how often each is there, words for missing ones left out.
        numbers: Its values where they are numbers, none missing; else None.
        wanted: The task that was asked for; None: as it looks.
    """
    distinct = len(words)
    if distinct < 2:
        return (
            f"the target {look.name!r} has {distinct} distinct value; nothing can be learned of one that never varies"
        )
    if kind == "time":
        return f"the target {look.name!r} is a time; name a number, a yes or no, or a class"
    task: Task = wanted or ("binary" if distinct == 2 else "regression" if numbers is not None else "multiclass")
    if task == "regression":
        if numbers is None:
            return (
                f"the target {look.name!r} is text, such as {str(words.index[0])[:40]!r}, and a "
                "regression predicts a number; choose another task or target"
            )
        return _regression(
            kind, numbers, unsure="multiclass" if wanted is None and kind == "integer" and distinct <= FEW_WHOLE else ""
        )
    if task == "binary" and distinct != 2:
        return (
            f"the target {look.name!r} has {distinct} distinct values, and a binary task has 2; "
            "choose --task multiclass or regression"
        )
    if task == "multiclass" and distinct > MOST_CLASSES:
        return (
            f"the target {look.name!r} has {distinct} distinct texts; at most {MOST_CLASSES} classes "
            "can be told apart: is it the target?"
        )
    return _classes(task, words)


def _regression(kind: ColumnType, numbers: np.ndarray, *, unsure: str) -> Aim:
    zeros = float(np.mean(numbers == 0))
    if look_like_counts(numbers):
        why = (
            f"whole numbers from 0, {numbers.mean():.2g} on average, that vary as counts do: Poisson deviance is "
            "least at the mean and weighs an error against it"
        )
        return Aim("regression", kind, None, "poisson", ("poisson", "mae", "rmse"), why, unsure, None)
    if zeros > ZEROS:
        why = (
            f"{zeros:.0%} of the targets are 0, so that the absolute error would be least at 0 for "
            "every row: squared error, which is least at the mean"
        )
        return Aim("regression", kind, None, "mse", ("mae", "rmse", "r2"), why, unsure, None)
    why = "in the target's own unit, and no single row outweighs the others as it would squared"
    return Aim("regression", kind, None, "mae", ("mae", "rmse", "r2"), why, unsure, None)


def look_like_counts(numbers: np.ndarray) -> bool:
    """Whether a target counts rare events: whole numbers from 0, few on average, that vary no less than Poisson counts.

    Ratings and sizes are whole and few too, and vary less than their mean. Of larger counts the mean hardly tells the
    variance, and errors weigh alike. Counts that vary more than Poisson's are counts all the same: the deviance is
    least at their mean.

    Args:
        numbers: Targets, none missing, shape (n,).

    Source:
        Cochran (1954), Biometrics 10(4), 417-451, section 3: (n - 1) variance / mean is chi-squared with n - 1 degrees
        of freedom for Poisson counts. Refused is what varies surely less.
    """
    if len(numbers) < 2 or numbers.min() != 0 or not 0 < numbers.mean() <= FEW_ON_AVERAGE:
        return False
    if not np.array_equal(numbers, np.floor(numbers)):
        return False
    from scipy.stats import chi2

    spread = float(np.sum(np.square(numbers - numbers.mean())) / numbers.mean())
    return bool(chi2.cdf(spread, len(numbers) - 1) > SURE)


def _classes(task: Task, words: "pd.Series[int]") -> Aim:
    shares = words / words.sum()
    rarest = float(shares.min())
    if task == "multiclass":
        why = (
            f"{len(words)} classes, the commonest {shares.max():.0%}: log loss judges the "
            "probabilities, accuracy would not see a rare class"
        )
        return Aim("multiclass", "category", None, "log_loss", ("log_loss", "accuracy", "f1"), why, "", rarest)
    known = [word for word in words.index if str(word).lower() in POSITIVE]
    positive = str(known[0] if len(known) == 1 else words.idxmin())
    share = float(shares[positive])
    naive = max(share, 1 - share)
    why = (
        f"{share:.1%} are {positive!r}: who always says the commoner is right in {naive:.1%}, so "
        "accuracy says little; log loss judges the probabilities"
    )
    metrics = ("log_loss", "brier", "auc", "average_precision") if share < RARE else ("log_loss", "brier", "auc")
    return Aim(
        "binary",
        "category",
        positive,
        "log_loss",
        metrics,
        why,
        "" if len(known) == 1 else f"the positive class could be {str(words.idxmax())!r}",
        rarest,
    )


def imbalance_notes(aim: Aim, target: str) -> list[Note]:
    """What share a rare class has, and what is done about it."""
    if aim.rarest is None or aim.rarest >= UNCOMMON:
        return []
    chosen = (
        "train.balance: null, as the loss judges probabilities: with all rows as they are these are right by "
        "themselves, and balancing only moves them, to be corrected after"
    )
    if aim.task == "binary":
        chosen += "; who needs a yes or no sets decide.threshold: cost and what each error costs"
    return [Note("imbalance", target, f"{aim.rarest:.1%} of the rows are of the rarest class", chosen)]
