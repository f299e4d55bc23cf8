"""What the gate looks at: the judged rows, and every model on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.metrics import row_losses
from retrim.core.table import ColumnType
from retrim.core.view import FeatureView


@dataclass(frozen=True)
class Stated:
    """The interval about a prediction that a regression promised when it was made.

    Args:
        level: Share of rows that it was to hold.
        low: What actual minus predicted was not to be below, in units of the target.
        high: Nor above.
    """

    level: float
    low: float
    high: float

    @classmethod
    def of(cls, record: Mapping[str, Any], challenger: str) -> "Stated | None":
        """What a bundle's backtest.json says for a challenger by its name; None where it does not.

        One whose window held all rows of every earlier past was backtested as the one on all rows.
        """
        stated = record.get("interval") or {"residuals": {}}
        residuals = stated["residuals"]
        found = residuals.get(challenger) or residuals.get(challenger.replace("sliding", "all"))
        return None if found is None else cls(stated["level"], *found)


@dataclass(frozen=True)
class Scored:
    """One model on the judged rows, as its own feature view codes them.

    Args:
        predicted: Numbers or probabilities of the positive class, shape (n,); a multiclass task: (n, classes).
        actual: Targets in this model's own coding, shape (n,); -1 for a class that it never saw.
        classes: Its classes by code; empty for a regression.
        losses: Shape (n,).
        stated: The interval that a regression promised; None with classes, and where its bundle does not say.
    """

    predicted: np.ndarray
    actual: np.ndarray
    classes: tuple[str, ...]
    losses: np.ndarray
    stated: Stated | None

    @property
    def labels(self) -> np.ndarray:
        """The class it calls each row, as text, so that models of different classes compare: shape (n,)."""
        codes = (self.predicted >= 0.5).astype(int) if self.predicted.ndim == 1 else self.predicted.argmax(axis=1)
        return np.asarray(np.array(self.classes, dtype=object)[codes])


@dataclass(frozen=True)
class Judged:
    """The judging block.

    Args:
        rows: Whole rows of the table in time order, with `_key` and `_event`: columns that are no features too.
        features: The feature columns of today's view and their types.
        task: regression, binary or multiclass.
        challengers: By training window.
        champion: None before the first version.
        floors: Loss of each row of the naive baselines, shape (n,).
    """

    rows: pd.DataFrame
    features: Mapping[str, ColumnType]
    task: str
    challengers: Mapping[str, Scored]
    champion: Scored | None
    floors: Mapping[str, np.ndarray]


def score(
    view: FeatureView,
    rows: pd.DataFrame,
    predicted: np.ndarray,
    *,
    loss: str,
    stated: Stated | None,
) -> Scored:
    """A model's predictions for judged rows, held against what its own view makes of their targets."""
    actual = view.actual(rows)
    return Scored(predicted, actual, view.classes, row_losses(loss, actual, predicted), stated)
