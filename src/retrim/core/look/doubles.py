"""Rows that come more than once: whole, with another label, or but for one column."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

NEAR_ROWS, NEAR_COLUMNS = 50_000, 200
"""Newest rows in which those are looked for that are the same but for one column; of wider tables none."""


@dataclass(frozen=True)
class Doubles:
    """Rows that come more than once, event time and key aside.

    Args:
        rows: Rows whose features and target an earlier row had.
        conflicting: Rows whose features another row has with another target.
        conflicts: Places of the first of those.
        near: Of the newest rows, those the same as another in all features but one, and not in that.
        near_rows: How many newest rows were looked at for it.
        near_by: How often each feature was the one that differs, most often first.
        near_chance: What near would be if each feature were dealt out anew by itself.
    """

    rows: int
    conflicting: int
    conflicts: tuple[int, ...]
    near: int
    near_rows: int
    near_by: tuple[tuple[str, int], ...]
    near_chance: int

    def as_record(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "conflicting": self.conflicting,
            "near": self.near,
            "near_rows": self.near_rows,
            "near_by": [list(pair) for pair in self.near_by],
            "near_chance": self.near_chance,
        }


class Hashes:
    """The features of each row in one number, added to a column at a time."""

    def __init__(self, rows: int) -> None:
        self._whole = np.zeros(rows, dtype="uint64")
        self._parts: dict[str, np.ndarray] = {}

    def add(self, name: str, values: pd.Series) -> None:
        """Takes a feature in."""
        hashed = hash_column(name, values)
        self._whole += hashed  # of the ring of 2^64, so that one column can be taken out again
        self._parts[name] = hashed[-NEAR_ROWS:]

    def doubles(self, target: pd.Series, *, seed: int) -> Doubles:
        """What comes more than once.

        Args:
            target: Of each row; rows without one conflict with none.
            seed: Of the deal that says what chance would do.
        """
        labelled = target.notna().to_numpy()
        answers = hash_column("", target)
        both = self._whole + answers
        _, first = np.unique(both, return_index=True)
        apart, inverse, rows = np.unique(self._whole[labelled], return_inverse=True, return_counts=True)
        low, high = np.full(len(apart), np.iinfo("uint64").max, dtype="uint64"), np.zeros(len(apart), dtype="uint64")
        np.minimum.at(low, inverse, answers[labelled])
        np.maximum.at(high, inverse, answers[labelled])
        odd = np.flatnonzero(labelled)[((low != high) & (rows > 1))[inverse]]
        near = _near(self._parts)
        dealt = np.random.default_rng(seed)
        by_chance = _near({name: dealt.permutation(part) for name, part in self._parts.items()})
        by = sorted(near.items(), key=lambda pair: (-pair[1][0], pair[0]))
        return Doubles(
            rows=len(both) - len(first),
            conflicting=len(odd),
            conflicts=tuple(int(place) for place in odd[:20]),
            near=_rows_of(near),
            near_rows=min(len(both), NEAR_ROWS) if len(self._parts) <= NEAR_COLUMNS else 0,
            near_by=tuple((name, count) for name, (count, _) in by if count),
            near_chance=_rows_of(by_chance),
        )


def hash_column(name: str, values: pd.Series) -> np.ndarray:
    """A number for each cell, another in another column; missing cells of a column are alike."""
    from zlib import crc32

    hashed = pd.util.hash_pandas_object(values.reset_index(drop=True), index=False).to_numpy()
    salt = np.uint64(crc32(name.encode()) * 2 + 1)
    mixed = (hashed ^ salt) * np.uint64(0x9E3779B97F4A7C15)
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))


def _near(parts: Mapping[str, np.ndarray]) -> dict[str, tuple[int, np.ndarray]]:
    """By feature: rows that are as another but for it, how many and which."""
    if not 2 <= len(parts) <= NEAR_COLUMNS:  # of a single feature all rows are as another but for it
        return {}
    whole = np.sum(list(parts.values()), axis=0, dtype="uint64")
    _, again, same = np.unique(whole, return_inverse=True, return_counts=True)
    found = {}
    for name, part in parts.items():
        rest = whole - part
        _, inverse, rows = np.unique(rest, return_inverse=True, return_counts=True)
        differs = rows[inverse] > same[again]  # more rows are alike without it than with it
        if differs.any():
            found[name] = (int(differs.sum()), differs)
    return found


def _rows_of(near: Mapping[str, tuple[int, np.ndarray]]) -> int:
    return int(np.logical_or.reduce([which for _, which in near.values()]).sum()) if near else 0
