"""The null: how far windows without drift stray, so that a distance becomes a p-value and a rate a threshold.

It does not depend on the window that is looked at, only on how many rows that has. So it is made once for windows of
the usual length, when a model is made, and kept in its profile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

TAIL = 0.1  # share of the drawn windows that the tail is fitted to
SERVES = 2  # a null serves windows of up to that many times more or fewer rows ...
TENTH = 0.1  # ... and that of a joint test windows of up to this share more or fewer


@dataclass(frozen=True)
class Null:
    """How far windows without drift stray, each by its furthest contrast.

    Args:
        strayed: Of the drawn windows, ascending, in the units of `watched.strayed`, shape (draws,).
    """

    strayed: np.ndarray

    @property
    def start(self) -> float:
        """Where the tail starts."""
        return float(np.quantile(self.strayed, 1 - TAIL))

    @property
    def slope(self) -> float:
        """How fast the tail falls: 1 where p-values of contrasts are what they say, less where they are too small."""
        beyond = self.strayed[self.strayed > self.start] - self.start
        return 1 / max(float(beyond.mean()), 1e-9) if len(beyond) else 1.0

    def p_value(self, far: np.ndarray | float) -> np.ndarray:
        """How often a window without drift strays at least so far: counted, and in the tail by an exponential fit."""
        far = np.asarray(far, dtype="float64")
        n = len(self.strayed)
        counted = (n - np.searchsorted(self.strayed, far, side="left") + 1) / (n + 1)
        fitted = TAIL * np.exp(-self.slope * np.maximum(far - self.start, 0))
        return np.where(far > self.start, fitted, np.minimum(counted, 1.0))

    def threshold(self, rate: float) -> float:
        """How far a window strays with this probability."""
        if rate >= TAIL:
            return float(np.quantile(self.strayed, 1 - rate))
        return self.start + float(np.log(TAIL / rate)) / self.slope


@dataclass(frozen=True)
class KeptNull:
    """A null that was drawn when a profile was made.

    Args:
        columns: Those that it looks at, in order.
        rows: Of a window.
        null: How far such windows stray.
    """

    columns: tuple[str, ...]
    rows: int
    null: Null

    def serves(self, columns: tuple[str, ...], rows: int) -> bool:
        """Whether it stands for the null of these columns in windows of that many rows.

        Distances are p-values of windows of their own length, so half or twice as many rows move what the rarest of
        them is by less than another draw of 4,000 windows does (docs/decisions/calibrated-alarms.md).
        """
        return columns == self.columns and self.rows <= SERVES * rows and rows <= SERVES * self.rows


@dataclass(frozen=True)
class KeptTogether:
    """How far windows of a profile's sample stray in one joint test.

    Args:
        test: Its name.
        arguments: Its own, and the seed.
        columns: Those that it looks at, in order.
        rows: Of a window, thinned as the sample is.
        strayed: Of each window, in order of time.
    """

    test: str
    arguments: Mapping[str, int]
    columns: tuple[str, ...]
    rows: int
    strayed: tuple[float, ...]

    def serves(self, test: str, arguments: Mapping[str, int], columns: tuple[str, ...], rows: int) -> bool:
        """Whether it was made by the same test, for windows of a tenth more or fewer rows at most."""
        same = (self.test, dict(self.arguments), self.columns) == (test, dict(arguments), columns)
        return same and abs(self.rows - rows) <= TENTH * self.rows


@dataclass(frozen=True)
class Nulls:
    """What a profile keeps of them.

    Args:
        alone: Of columns that are looked at one by one; an entry for each set of them.
        together: Of joint tests.
    """

    alone: tuple[KeptNull, ...]
    together: tuple[KeptTogether, ...]

    def as_record(self) -> dict[str, Any]:
        """JSON types; `from_record` reads it back."""
        alone = [{"columns": [*k.columns], "rows": k.rows, "strayed": k.null.strayed.tolist()} for k in self.alone]
        together = [
            {
                "test": kept.test,
                "arguments": dict(kept.arguments),
                "columns": [*kept.columns],
                "rows": kept.rows,
                "strayed": [*kept.strayed],
            }
            for kept in self.together
        ]
        return {"alone": alone, "together": together}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Nulls":
        alone = [KeptNull(tuple(k["columns"]), k["rows"], Null(np.array(k["strayed"]))) for k in record["alone"]]
        together = [
            KeptTogether(k["test"], k["arguments"], tuple(k["columns"]), k["rows"], tuple(k["strayed"]))
            for k in record["together"]
        ]
        return cls(tuple(alone), tuple(together))


NONE_KEPT = Nulls((), ())
