"""A column that gives the answer away, and what a run does about it."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pydantic import Field

from retrim.stats.plugins import SettingsSection
from retrim.table.data import DataParams

ALONE = 0.98
"""Share of the target's variance, or of its errors, that one column may explain ahead of its time."""


class LeakParams(SettingsSection):
    """What a run does about columns that give the answer away."""

    probe: bool = Field(
        exclude=True,
        default=True,
        description="whether a run looks for them, and refuses to go on; a column that is none is named in allowed",
    )
    entity: str | None = Field(default=None, description="the column that names what a row is about; null: none")
    allowed: dict[str, str] = Field(default={}, description="columns that are used anyway, each with the reason")


@dataclass(frozen=True)
class Leak:
    """A column, or several together, that give the answer away.

    Args:
        columns: Their names.
        probe: What it was caught by.
        seen: What was seen, with a value where one says it.
        bare: The same without a value; empty: `seen` holds none.
    """

    columns: tuple[str, ...]
    probe: str
    seen: str
    bare: str = ""

    def as_record(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "probe": self.probe, "seen": self.seen}

    @property
    def text(self) -> str:
        return f"{', '.join(self.columns)}: {self.seen}"


def own_features(table: pd.DataFrame, data: DataParams) -> list[str]:
    """Features that rows bring along and that are in the table: rows put together may have lost some."""
    return [name for name in data.own_features if name in table]


def apart(leaks: list[Leak], allowed: Collection[str]) -> tuple[list[Leak], list[Leak]]:
    """Those that are not allowed, and those that are: one of their columns is named."""
    refused = [leak for leak in leaks if not set(leak.columns) & set(allowed)]
    return refused, [leak for leak in leaks if leak not in refused]
