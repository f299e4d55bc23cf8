"""What a version says of rows, and one prediction taken apart: what each feature adds to the raw score."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from retrim.errors import BadInputError, RefusedError, RetrimError, UnknownNameError
from retrim.features.view import FeatureView
from retrim.stats.codec import key
from retrim.training.bundle import Predictor
from retrim.training.estimators import Link, Model, outputs

COVERAGE = 0.9
"""Share of holdout rows whose answer lies within the interval."""
TOLERANCE = 1e-6
"""By how much contributions may miss the score they sum to, as a share of the score where that is above 1."""
IMPORTANCE_ROWS = 150
"""Judged rows whose contributions are averaged into the importance: more of them change its order hardly ever."""
MISSING, UNSEEN = "missing", "not seen in training"


def half_width(errors: np.ndarray) -> float | None:
    """Half the width of an interval around each prediction that covers `COVERAGE` of rows like these.

    Returns:
        None for fewer rows than it takes: 9.

    Source:
        Split conformal prediction, Lei et al. (2018), J. Am. Stat. Assoc. 113(523), 1094-1111: of n absolute errors
        the one at place ceil((n + 1) * coverage).
    """
    known = np.sort(np.abs(errors[np.isfinite(errors)]))
    rank = int(np.ceil((len(known) + 1) * COVERAGE))
    return float(known[rank - 1]) if 0 < rank <= len(known) else None


def predicted_columns(
    view: FeatureView, predicted: np.ndarray, decided: np.ndarray | None, width: float | None
) -> dict[str, pa.Array]:
    """`prediction`, `class`, `lower`, `upper`, `decision`; each missing in all rows where a version has none.

    Args:
        predicted: Shape (n,), or (n, classes) of a multiclass task.
        decided: Shape (n,); None where nothing is decided.
        width: As `half_width` gives it; None for classes.

    Returns:
        `prediction` is the number, or the probability of the positive class, or that of `class`, the most probable.
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
    return {f"probability of {name}": pa.array(predicted[:, code]) for code, name in enumerate(view.classes)}


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
    for rank in range(order.shape[1]):
        columns[f"feature {rank + 1}"] = names.take(pa.array(order[:, rank]))
        columns[f"contribution {rank + 1}"] = pa.array(np.take_along_axis(parts, order[:, [rank]], axis=1)[:, 0])
    return columns


def base_values(predictor: Predictor, matrix: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """What each raw score is without any feature, shape (n,): of several classes that of the most probable one."""
    base = predictor.model.contributions(matrix)[:, :, -1]
    of_class = predicted.argmax(axis=1) if predicted.ndim == 2 and len(predicted) else np.zeros(len(base), "int64")
    return np.asarray(base[np.arange(len(base)), of_class])


@dataclass(frozen=True)
class Importance:
    """How much each feature weighs, by exact contributions.

    Args:
        weights: Mean absolute contribution by feature, in units of the raw score; summed over the classes.
        rows: Rows that were looked at, `of` those that there were.
    """

    weights: dict[str, float]
    rows: int
    of: int


def importance(
    model: Model, view: FeatureView, rows: pd.DataFrame, *, most: int = IMPORTANCE_ROWS
) -> Importance | None:
    """The importance over rows not seen, in time order, or over `most` of them, spread evenly.

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
    return Importance(dict(zip(view.needs, map(float, weights), strict=True)), len(places), len(rows))


def check_sums(added: np.ndarray, scores: np.ndarray) -> None:
    """Refuses contributions, shape (n, outputs, features + 1), that do not sum to the scores, shape (n, outputs)."""
    missed = np.abs(added.sum(axis=-1) - scores) / np.maximum(np.abs(scores), 1.0)
    if missed.size and not missed.max() <= TOLERANCE:
        raise RetrimError(
            f"the contributions are not exact: their sum differs from the score by {missed.max():.3g}, more than the "
            f"{TOLERANCE:g} allowed; please report this as a bug in retrim"
        )


@dataclass(frozen=True)
class Contribution:
    """The contribution of one feature.

    Args:
        feature: Name of the feature.
        value: Value in the row, as text.
        note: `missing`, `not seen in training`, or empty. The model treats both as missing.
        contribution: Contribution, in units of the raw score.
    """

    feature: str
    value: str
    note: str
    contribution: float


@dataclass(frozen=True)
class Explanation:
    """An explained prediction: `base` and all contributions sum to `score`, which `link` converts to `output`.

    Args:
        task: regression, binary or multiclass.
        link: Scale of the score.
        explained: The class that is explained; None for a regression.
        base: Score of the average training row.
        added: Contribution of each feature, largest first.
        score: The raw score.
        output: Predicted number, or probability of the explained class.
        outputs: Probability of each class; empty for a regression.
        remainder: Sum of the parts minus the score: the rounding error.
    """

    task: str
    link: Link
    explained: Annotated[str | None, key("class")]
    base: float
    added: Annotated[tuple[Contribution, ...], key("contributions")]
    score: float
    output: float
    outputs: dict[str, float]
    remainder: float


def explain_row(predictor: Predictor, row: pd.DataFrame, *, asked: str | None) -> Explanation:
    """The prediction of one row, taken apart.

    Raises:
        BadInputError: The row lacks a feature, or a class is asked of a regression.
        UnknownNameError: The model knows no such class.
        RefusedError: The model has no exact contributions.
    """
    view, model = predictor.view, predictor.model
    predicted = predictor.predict(row)
    matrix = view.matrix(row)
    added, scores = model.contributions(matrix), model.scores(matrix)
    check_sums(added, scores)
    assert np.allclose(outputs(scores, model.link), predicted, rtol=1e-9, atol=1e-12), "the link is another one"
    output, explained, sign = _asked(view, predicted, asked)
    parts, base = sign * view.by_feature(added[0, output, :-1]), sign * float(added[0, output, -1])
    score = sign * float(scores[0, output])
    if model.link == "chance" and sign < 0:  # the chance of "not" is 1 less that of "yes", not its negative
        base += 1.0
        score += 1.0
    row = view.seen(row)
    values = [_told(row[name].iloc[0], view, name) for name in view.needs]
    contributions = [
        Contribution(name, value, note, float(part))
        for name, (value, note), part in zip(view.needs, values, parts, strict=True)
    ]
    every = _outputs(view, predicted)
    return Explanation(
        task=view.task,
        link=model.link,
        explained=explained,
        base=base,
        added=tuple(sorted(contributions, key=lambda part: (-abs(part.contribution), part.feature))),
        score=score,
        output=float(predicted[0]) if explained is None else every[explained],
        outputs=every,
        remainder=base + float(parts.sum()) - score,
    )


def _asked(view: FeatureView, predicted: np.ndarray, asked: str | None) -> tuple[int, str | None, float]:
    """Which raw score is explained, for which class, and its sign: the log odds of "not" are those of "yes" negated."""
    if view.task == "regression":
        if asked is not None:
            raise BadInputError(f"{asked!r} cannot be explained: a regression has no classes; omit --class")
        return 0, None, 1.0
    if asked is not None and asked not in view.classes:
        raise UnknownNameError("class", asked, view.classes)
    if view.task == "binary":
        name = asked or view.classes[-1]
        return 0, name, 1.0 if name == view.classes[-1] else -1.0
    code = view.classes.index(asked) if asked is not None else int(predicted[0].argmax())
    return code, view.classes[code], 1.0


def _outputs(view: FeatureView, predicted: np.ndarray) -> dict[str, float]:
    if view.task == "regression":
        return {}
    if view.task == "binary":
        return dict(zip(view.classes, (1 - float(predicted[0]), float(predicted[0])), strict=True))
    return dict(zip(view.classes, map(float, predicted[0]), strict=True))


def _told(value: Any, view: FeatureView, name: str) -> tuple[str, str]:
    """A value as a person reads it, and whether the model knows it."""
    if pd.isna(value):
        return "", MISSING
    kind, levels = view.needs[name], view.known_levels(name)
    if kind == "time":
        return pd.Timestamp(value).isoformat(), ""
    if kind != "category":
        return f"{float(value):.6g}", ""
    return str(value), UNSEEN if levels is not None and str(value) not in levels else ""
