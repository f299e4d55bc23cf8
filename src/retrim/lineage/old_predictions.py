"""Predictions that an earlier retrim kept in tables of the store: moved into the data set, once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from retrim.adapters.store import Store
from retrim.lineage.prediction_log import SCHEMA, PredictionLog, probabilities_of


def move_old_predictions(store: Store, log: PredictionLog, classes_of: Callable[[int], tuple[str, ...]]) -> int:
    """Moves what stands in the old tables of this model; stopped half-way and done again, each row is there once.

    Args:
        store: The store.
        log: Of the model.
        classes_of: The classes of a version of several classes, in the order of their probabilities.

    Returns:
        How many rows were moved.
    """
    moved = 0
    for rows in store.old_predictions(log.model):
        for version in sorted({row["version"] for row in rows}):
            own = [row for row in rows if row["version"] == version]
            moved += log.add(version, _table(own, classes_of))
    store.drop_old_predictions(log.model)
    return moved


def _table(rows: list[dict[str, Any]], classes_of: Callable[[int], tuple[str, ...]]) -> pa.Table:
    values = [row["value"] for row in rows]
    columns: dict[str, Any] = {field.name: pa.nulls(len(rows), field.type) for field in SCHEMA}
    if isinstance(values[0], list):
        classes, predicted = classes_of(rows[0]["version"]), np.array(values, dtype="float64")
        columns["probabilities"] = probabilities_of(predicted, classes)
        columns["class"] = [classes[place] for place in predicted.argmax(axis=1)]
        columns["prediction"] = predicted.max(axis=1)
    else:
        columns["prediction"] = [value if isinstance(value, float | int) else None for value in values]
    columns["key"] = [row["key"] for row in rows]
    columns["decision"] = [row["selected"] for row in rows]
    for name, own in (("event_time", "event"), ("at", "at")):
        columns[name] = pd.to_datetime(pd.Series([row[own] for row in rows]), utc=True, format="ISO8601")
    return pa.table(columns).cast(SCHEMA)
