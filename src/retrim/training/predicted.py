"""What a version says of rows, as columns that anybody can read: number or probability, class, interval, decision."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from retrim.features.view import FeatureView
from retrim.training.bundle import Predictor

COVERAGE = 0.9
"""Share of holdout rows whose answer lies within the interval."""


def half_width(errors: np.ndarray) -> float | None:
    """Half the width of an interval around each prediction that covers `COVERAGE` of rows like these.

    Args:
        errors: Prediction less answer of holdout rows, shape (n,).

    Returns:
        None for fewer rows than it takes: 9.

    Source:
        Split conformal prediction, Lei et al. (2018), J. Am. Stat. Assoc. 113(523), 1094-1111: of n absolute errors
        the one at place ceil((n + 1) * coverage).
    """
    known = np.sort(np.abs(errors[np.isfinite(errors)]))
    place = int(np.ceil((len(known) + 1) * COVERAGE))
    return float(known[place - 1]) if 0 < place <= len(known) else None


def predicted_columns(
    view: FeatureView, predicted: np.ndarray, decided: np.ndarray | None, width: float | None
) -> dict[str, pa.Array]:
    """`prediction`, `class`, `lower`, `upper`, `decision`; each missing in all rows where a version has none.

    Args:
        view: Of the version.
        predicted: Shape (n,), or (n, classes) of a multiclass task.
        decided: Shape (n,); None where nothing is decided.
        width: As `half_width` gives it; None for classes.

    Returns:
        `prediction` is the number; of two classes the probability of the positive one; of several that of `class`, the
        most probable.
    """
    n = len(predicted)
    columns: dict[str, pa.Array] = {
        "prediction": pa.array(predicted if predicted.ndim == 1 else predicted.max(axis=1, initial=0.0), pa.float64()),
        "class": pa.nulls(n, pa.string()),
        "lower": pa.nulls(n, pa.float64()),
        "upper": pa.nulls(n, pa.float64()),
        "decision": pa.nulls(n, pa.bool_()) if decided is None else pa.array(decided, pa.bool_()),
    }
    if view.task == "multiclass":
        places = pa.array(predicted.argmax(axis=1) if n else np.empty(0, "int64"), pa.int32())
        columns["class"] = pa.array(view.classes, pa.string()).take(places)
    elif view.task == "regression" and width is not None:
        columns |= {"lower": pa.array(predicted - width), "upper": pa.array(predicted + width)}
    return columns


def probability_columns(view: FeatureView, predicted: np.ndarray) -> dict[str, pa.Array]:
    """Of several classes the probability of each, by `probability of CLASS`; nothing for another task."""
    if view.task != "multiclass":
        return {}
    return {f"probability of {name}": pa.array(predicted[:, place]) for place, name in enumerate(view.classes)}


def largest_contributions(
    predictor: Predictor, matrix: np.ndarray, predicted: np.ndarray, most: int
) -> Mapping[str, pa.Array]:
    """The largest contributions to each raw score, as `feature 1`, `contribution 1`, ... in order of their size.

    Of several classes those to the score of the most probable one.

    Raises:
        RefusedError: The model has no exact contributions.
    """
    view = predictor.view
    added = view.by_feature(predictor.model.contributions(matrix)[:, :, :-1])
    of_class = predicted.argmax(axis=1) if predicted.ndim == 2 and len(predicted) else np.zeros(len(added), "int64")
    parts = added[np.arange(len(added)), of_class]
    order = np.argsort(-np.abs(parts), axis=1, kind="stable")[:, :most]
    names, columns = pa.array(list(view.needs), pa.string()), dict[str, pa.Array]()
    for place in range(order.shape[1]):
        columns[f"feature {place + 1}"] = names.take(pa.array(order[:, place]))
        columns[f"contribution {place + 1}"] = pa.array(np.take_along_axis(parts, order[:, [place]], axis=1)[:, 0])
    return columns
