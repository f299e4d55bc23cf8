"""What is looked at: a table whose columns are fetched one at a time.

What was seen in a table, and what was made of it: the sentences that `retrim init` prints and its record keeps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd

from retrim.profile.people import personal
from retrim.profile.raw_column import RawColumn as RawLook
from retrim.table.data import ColumnType, DataParams, Role

NO_VALUES = "forbidden to the model"


@dataclass(frozen=True)
class ProfiledTable:
    """A table in order of time.

    Args:
        data: What it is.
        event: Event time of each row, UTC, ascending, shape (n,).
        keys: Key of each row, shape (n,).
        column: One of its columns as typed rows hold it, in that order, index 0 to n - 1.
        timed: Whether the event time is one; else it only stands for the order of the rows.
        batches: Number of the batch of each row, by arrival from 0, shape (n,); None: there are none.
        mature: Rows whose label was due and known; None: not known.
        left_out: Columns that were never kept, and why; nothing else is known of them.
        unnamed: Columns of which no value may be shown wherever they stand, keys included.
    """

    data: DataParams
    event: pd.Series
    keys: pd.Series
    column: Callable[[str], pd.Series]
    timed: bool
    batches: np.ndarray | None
    mature: int | None
    left_out: Mapping[str, str]
    unnamed: frozenset[str]

    @property
    def rows(self) -> int:
        return len(self.event)

    @cached_property
    def features(self) -> dict[str, ColumnType]:
        return self.data.features

    @cached_property
    def kinds(self) -> dict[str, tuple[ColumnType, Role]]:
        """Type and role of every column, those from the past last."""
        own: dict[str, tuple[ColumnType, Role]] = {
            name: (column.type, column.role) for name, column in self.data.columns.items()
        }
        return {**own, **dict.fromkeys(self.data.history.columns, ("number", "feature"))}


def hidden(name: str, values: pd.Series, table: ProfiledTable, *, before: Mapping[str, str]) -> str:
    """Why no value of a column may be shown; empty: all may be.

    Args:
        name: The column.
        values: All of it: a value that a sample has not may be among the commonest that are shown.
        table: What it belongs to.
        before: The same of the columns before it: one from the past is hidden as what it is made of.
    """
    past = table.data.history.columns.get(name)
    if past is not None:
        return before[past.of]
    kind, role = table.kinds[name]
    stored = "text" if kind == "category" else "number"
    whose = "" if kind == "time" else personal(RawLook(name, stored, values))  # type: ignore[arg-type]  # one of its words
    if whose:
        return f"looks like {whose}"
    return NO_VALUES if role == "forbidden" or name in table.unnamed else ""


Weight = Literal["stop", "warn", "tell"]
"""stop: nothing is written; warn: a person should look; tell: what was found and decided."""


@dataclass(frozen=True)
class TableNote:
    """One thing seen.

    Args:
        about: Kind of finding, in one word or two, such as `decimal comma`.
        column: Column it is about; empty: the table.
        seen: What was found, with its figure.
        done: What was made of it, or what to do.
        weight: How much it matters.
    """

    about: str
    column: str
    seen: str
    done: str
    weight: Weight = "tell"

    def as_record(self) -> dict[str, Any]:
        return {
            "about": self.about,
            "column": self.column,
            "seen": self.seen,
            "done": self.done,
            "weight": self.weight,
        }

    def __str__(self) -> str:
        where = f"{self.column}: " if self.column else ""
        return f"{self.about}: {where}{self.seen}; {self.done}"
