"""The feature view: named columns with type and role, and how they become numbers.

It is learned once, on training rows, and stored in the bundle, so that a champion is
always scored with its own preprocessing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
import pandas as pd

from retrim.core.table import ColumnType, DataParams

UNSEEN = -1


@dataclass(frozen=True)
class FeatureView:
    """How rows become a matrix, and targets become numbers.

    Args:
        features: Feature columns and their types, in matrix order.
        levels: Known levels of each category column; a level's place is its code.
        target: The target column.
        task: regression, binary or multiclass.
        classes: Classes by code; for a binary task the last is the positive one. Empty for a regression.
    """

    features: dict[str, ColumnType]
    levels: dict[str, tuple[str, ...]]
    target: str
    task: str
    classes: tuple[str, ...]

    @classmethod
    def learn(cls, rows: pd.DataFrame, data: DataParams) -> "FeatureView":
        """The view of training rows: their category levels and classes, sorted."""
        levels = {name: _levels(rows[name]) for name, kind in data.features.items() if kind == "category"}
        classes: tuple[str, ...] = ()
        if data.task == "binary" and data.positive is not None:
            classes = (f"not {data.positive}", data.positive)
        elif data.task == "multiclass":
            classes = _levels(rows[data.target])
        return cls(data.features, levels, data.target, data.task, classes)

    @property
    def categorical(self) -> list[int]:
        """Places of the category columns in the matrix."""
        return [place for place, name in enumerate(self.features) if name in self.levels]

    def matrix(self, rows: pd.DataFrame) -> np.ndarray:
        """Features as float64, shape (n, features). Missing and unseen levels are NaN."""
        columns = []
        for name in self.features:
            if name in self.levels:
                codes = _codes(rows[name], self.levels[name])
                columns.append(np.where(codes == UNSEEN, np.nan, codes.astype("float64")))
            else:
                columns.append(rows[name].to_numpy(dtype="float64", na_value=np.nan))
        return np.column_stack(columns) if len(rows) else np.empty((0, len(self.features)))

    def actual(self, rows: pd.DataFrame) -> np.ndarray:
        """Targets: float64 for a regression, else class codes; `UNSEEN` for a class never trained on."""
        if self.task == "regression":
            return rows[self.target].to_numpy(dtype="float64")
        if self.task == "binary":
            return (rows[self.target] == self.classes[-1]).to_numpy(dtype="int64")
        return _codes(rows[self.target], self.classes)

    def as_record(self) -> dict[str, Any]:
        """JSON types; `from_record` reads it back."""
        return {
            "features": [{"name": name, "type": kind} for name, kind in self.features.items()],
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "target": self.target,
            "task": self.task,
            "classes": list(self.classes),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "FeatureView":
        return cls(
            features={feature["name"]: feature["type"] for feature in record["features"]},
            levels={name: tuple(levels) for name, levels in record["levels"].items()},
            target=record["target"],
            task=record["task"],
            classes=tuple(record["classes"]),
        )


def _levels(values: pd.Series) -> tuple[str, ...]:
    return tuple(sorted(values.dropna().astype("str").unique()))


def _codes(values: pd.Series, levels: tuple[str, ...]) -> np.ndarray:
    """The place of each value among the levels; `UNSEEN` for one that is missing or not among them."""
    return np.asarray(pd.Index(levels, dtype="str").get_indexer(pd.Index(values.astype("str"))), dtype="int64")


def order_digest(keys: Iterable[str]) -> str:
    """SHA-256 of the row keys in their order: another order trains another model where bagging is on."""
    digest = sha256()
    for key in keys:
        digest.update(key.encode())
        digest.update(b"\n")
    return digest.hexdigest()
