"""Rows that come more than once: whole, or with another label."""

from dataclasses import dataclass
from zlib import crc32

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Duplicates:
    """Duplicate rows, ignoring event time and key.

    Args:
        rows: Rows with the same features and target as an earlier row.
        conflicting: Rows with the same features as another row and a different target.
    """

    rows: int
    conflicting: int


class Hashes:
    """The features of each row in one number, added to a column at a time."""

    def __init__(self, rows: int) -> None:
        self._features = np.zeros(rows, dtype="uint64")

    def add(self, name: str, values: pd.Series) -> None:
        """Takes a feature in."""
        self._features += _hashed(name, values)

    def doubles(self, target: pd.Series) -> Duplicates:
        """What comes more than once; rows without a target conflict with none."""
        rows = pd.DataFrame({"features": self._features, "target": _hashed("", target)})
        targets = rows[target.notna().to_numpy()].groupby("features")["target"].transform("nunique")
        return Duplicates(rows=int(rows.duplicated().sum()), conflicting=int((targets > 1).sum()))


def _hashed(name: str, values: pd.Series) -> np.ndarray:
    """A number for each cell, another in another column; missing cells of a column are alike."""
    cells = pd.util.hash_pandas_object(values.reset_index(drop=True), index=False).to_numpy()
    salt = np.uint64(crc32(name.encode()) * 2 + 1)
    mixed = (cells ^ salt) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))
