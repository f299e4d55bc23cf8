"""Rows that come more than once: whole, or with another label."""

from dataclasses import dataclass

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
        self._whole = np.zeros(rows, dtype="uint64")

    def add(self, name: str, values: pd.Series) -> None:
        """Takes a feature in."""
        self._whole += hash_column(name, values)

    def doubles(self, target: pd.Series) -> Duplicates:
        """What comes more than once.

        Args:
            target: Of each row; rows without one conflict with none.
        """
        labelled = target.notna().to_numpy()
        answers = hash_column("", target)
        rows = pd.DataFrame({"features": self._whole, "target": answers})
        known = rows[labelled]
        conflicting = known.groupby("features")["target"].transform("nunique") > 1
        return Duplicates(rows=int(rows.duplicated().sum()), conflicting=int(conflicting.sum()))


def hash_column(name: str, values: pd.Series) -> np.ndarray:
    """A number for each cell, another in another column; missing cells of a column are alike."""
    from zlib import crc32

    hashed = pd.util.hash_pandas_object(values.reset_index(drop=True), index=False).to_numpy()
    salt = np.uint64(crc32(name.encode()) * 2 + 1)
    mixed = (hashed ^ salt) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))
