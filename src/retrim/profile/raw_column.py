"""One raw column at a glance: its distinct cells and how often each stands there."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pandas as pd

Stored = Literal["text", "number", "integer", "boolean", "time", "other"]


SAID_MISSING = {
    "null",
    "none",
    "nan",
    "na",
    "n/a",
    "#n/a",
    "nil",
    "\\n",
    "-",
    "--",
    ".",
    "?",
    "missing",
    "(null)",
    "<na>",
}
"""Words for a missing cell, in small letters."""
SAMPLED = 2000
"""Distinct cells of a column, the commonest, that are tried."""


@dataclass(frozen=True)
class RawColumn:
    """A raw column.

    Args:
        name: Its name.
        stored: How the file holds it; all of a CSV is text.
        cells: Its cells in the order of the file, missing where blank; text columns hold str, shape (n,).
    """

    name: str
    stored: Stored
    cells: pd.Series

    @cached_property
    def counts(self) -> "pd.Series[int]":
        """How often each distinct cell that is not blank stands there, text as it is, commonest first."""
        return self.cells.value_counts()

    @cached_property
    def words(self) -> "pd.Series[int]":
        """The same for text with the blanks around it cut off."""
        counts = self.counts
        index = pd.Index(counts.index.astype("str").str.strip(), dtype="str")
        return counts.set_axis(index).groupby(level=0, sort=False).sum()

    @cached_property
    def sampled(self) -> "pd.Series[int]":
        """The commonest of those words, known ones for a missing cell aside."""
        return self.words[~self.words.index.str.lower().isin(SAID_MISSING)].iloc[:SAMPLED]

    @property
    def rows(self) -> int:
        return len(self.cells)

    @property
    def filled(self) -> int:
        """Cells that are not blank."""
        return int(self.counts.sum())

    @property
    def distinct(self) -> int:
        return len(self.counts)


def share_of(counts: "pd.Series[int]", fits: pd.Series) -> float:
    """The share of cells whose distinct value fits; 0 of no cells."""
    total = int(counts.sum())
    return float(counts[fits.to_numpy(dtype=bool)].sum() / total) if total else 0.0
