"""The terms of a linear model: matrix columns imputed, standardised, one-hot, with all that was learned in JSON.

Every term has the mean 0 over the training rows, so that the intercept is the score of the average row.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

HUGE = 1e100
"""A number beyond this counts as missing, as an infinite one does: its square would leave double precision."""
LEVELS = 100
"""Levels of a category that have a term of their own; rarer ones share one with what is missing or unseen."""


@dataclass(frozen=True)
class Number:
    """A number's terms: the value, and whether it is missing.

    Args:
        centre: Mean of the training rows; a missing value is taken to be it.
        scale: Their standard deviation; 0: the column never varied and has no term of its value.
        low: Below it a value is taken to be it: a span of the training rows under their least ...
        high: ... and as far above their greatest.
        missing: Share of missing values; 0 or 1: no term says that one is missing.
    """

    centre: float
    scale: float
    low: float
    high: float
    missing: float

    @classmethod
    def learn(cls, values: np.ndarray, weights: np.ndarray) -> "Number":
        known = _known(values)
        if not known.any():
            return cls(0.0, 0.0, 0.0, 0.0, 1.0)
        held, weighed = values[known], weights[known]
        least, most = float(held.min()), float(held.max())
        centre = min(max(float(np.average(held, weights=weighed)), least), most)
        scale = 0.0 if least == most else float(np.sqrt(np.average(np.square(held - centre), weights=weighed)))
        span = most - least
        missing = 0.0 if known.all() else float(weights[~known].sum() / weights.sum())
        return cls(centre, scale, least - span, most + span, missing)

    def terms(self, values: np.ndarray) -> list[np.ndarray]:
        known = _known(values)
        made = []
        if self.scale:
            held = np.clip(np.where(known, values, self.centre), self.low, self.high)
            made.append((held - self.centre) / self.scale)
        if 0 < self.missing < 1:
            made.append(np.where(known, 0.0, 1.0) - self.missing)
        return made

    def as_record(self) -> dict[str, Any]:
        return {
            "type": "number",
            "centre": self.centre,
            "scale": self.scale,
            "low": self.low,
            "high": self.high,
            "missing": self.missing,
        }


@dataclass(frozen=True)
class Category:
    """A category's terms: one a level, and one for what is rare, missing or unseen.

    Args:
        levels: Codes with a term of their own, ascending.
        shares: Their shares of the training rows.
        other: Share of the rest; 0: there was none, and a row of it later is taken for the average row.
    """

    levels: tuple[float, ...]
    shares: tuple[float, ...]
    other: float

    @classmethod
    def learn(cls, values: np.ndarray, weights: np.ndarray) -> "Category":
        codes, places = np.unique(values[~np.isnan(values)], return_inverse=True)
        found = np.bincount(places, weights=weights[~np.isnan(values)], minlength=len(codes)) / weights.sum()
        kept = np.sort(np.lexsort((codes, -found))[:LEVELS])
        shares = tuple(float(share) for share in found[kept])
        whole = len(kept) == len(codes) and not np.isnan(values).any()
        return cls(tuple(float(code) for code in codes[kept]), shares, 0.0 if whole else max(1.0 - sum(shares), 0.0))

    def terms(self, values: np.ndarray) -> list[np.ndarray]:
        known = np.isin(values, self.levels)
        seen = known | (self.other > 0)
        own = [
            np.where(seen, (values == code) - share, 0.0) for code, share in zip(self.levels, self.shares, strict=True)
        ]
        return [*own, np.where(known, 0.0, 1.0) - self.other] if self.other else own

    def as_record(self) -> dict[str, Any]:
        return {
            "type": "category",
            "levels": list(self.levels),
            "shares": list(self.shares),
            "other": self.other,
        }


Column = Number | Category


@dataclass(frozen=True)
class Terms:
    """The terms of every matrix column, in its order."""

    columns: tuple[Column, ...]

    @classmethod
    def learn(cls, matrix: np.ndarray, weights: np.ndarray, categorical: list[int]) -> "Terms":
        """The terms of training rows.

        Args:
            matrix: Shape (n, columns), n at least 1.
            weights: How often each row counts, above 0, shape (n,).
            categorical: Places of the columns that hold codes of categories.
        """
        named = set(categorical)
        learned: list[Column] = [
            (Category if place in named else Number).learn(matrix[:, place], weights)
            for place in range(matrix.shape[1])
        ]
        return cls(tuple(learned))

    def of(self, matrix: np.ndarray) -> list[list[np.ndarray]]:
        """The terms of rows by column, each of shape (n,)."""
        return [column.terms(matrix[:, place]) for place, column in enumerate(self.columns)]

    def as_record(self) -> list[dict[str, Any]]:
        """JSON types; `from_record` reads it back."""
        return [column.as_record() for column in self.columns]

    @classmethod
    def from_record(cls, record: list[dict[str, Any]]) -> "Terms":
        return cls(tuple(_column(each) for each in record))


def _column(record: dict[str, Any]) -> Column:
    if record["type"] == "category":
        return Category(tuple(record["levels"]), tuple(record["shares"]), record["other"])
    return Number(record["centre"], record["scale"], record["low"], record["high"], record["missing"])


def _known(values: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.asarray(np.abs(values) <= HUGE)
