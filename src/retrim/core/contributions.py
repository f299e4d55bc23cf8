"""What each feature adds to a prediction, exactly, and how much each weighs over many rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field

from retrim.core.models import Model
from retrim.core.section import Section
from retrim.core.view import FeatureView
from retrim.errors import RefusedError, RetrimError

TOLERANCE = 1e-6
"""By how much contributions may miss the score they sum to, as a share of the score where that is above 1."""


class ExplainParams(Section):
    """How predictions are explained."""

    rows: int = Field(ge=1, description="judged rows whose contributions are averaged into the importance, at most")
    confidence: float = Field(gt=0, lt=1, description="of the interval of a loss in a slice, two-sided")


@dataclass(frozen=True)
class Importance:
    """How much each feature weighs, by exact contributions.

    Args:
        features: Names.
        weights: Mean absolute contribution, in units of the raw score, shape (features,); summed over the classes.
        rows: Rows that were looked at.
        of: Rows that there were.
    """

    features: tuple[str, ...]
    weights: tuple[float, ...]
    rows: int
    of: int

    def as_record(self) -> dict[str, Any]:
        return {"weights": dict(zip(self.features, self.weights, strict=True)), "rows": self.rows, "of": self.of}


def importance(model: Model, view: FeatureView, rows: pd.DataFrame, *, most: int) -> Importance | None:
    """Mean absolute contribution of each feature over `rows`, or over `most` of them, spread evenly.

    Args:
        model: The model.
        view: Its preprocessing.
        rows: Rows it has not seen, in time order.
        most: Rows that are looked at, at most.

    Returns:
        None without rows, or where the model has no exact contributions.
    """
    if not len(rows):
        return None
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).round().astype("int64")
    try:
        added = model.contributions(view.matrix(rows.iloc[places]))
    except RefusedError:
        return None
    weights = np.abs(view.by_feature(added[:, :, :-1])).mean(axis=0).sum(axis=0)
    return Importance(tuple(view.needs), tuple(float(each) for each in weights), len(places), len(rows))


def check_sums(added: np.ndarray, scores: np.ndarray) -> None:
    """Checks that contributions sum to the scores they explain.

    Args:
        added: Shape (n, outputs, features + 1).
        scores: Shape (n, outputs).

    Raises:
        RetrimError: A sum misses its score by more than `TOLERANCE`.
    """
    missed = np.abs(added.sum(axis=-1) - scores) / np.maximum(np.abs(scores), 1.0)
    if missed.size and not missed.max() <= TOLERANCE:
        raise RetrimError(
            f"contributions miss the score by {missed.max():.3g}, more than {TOLERANCE:g}; it is not exact"
        )
