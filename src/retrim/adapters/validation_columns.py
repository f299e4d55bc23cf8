"""A suite on a table whose columns have changed: what is asked under another name, and what is not asked any more.

An expectation that names a column by an earlier name is asked of the column as it is called now. One that names a
column which landed and is gone from params.yaml is not asked: it is said, and the batch lands. One that names a column
which never was there is an error, as a wrong name is.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from retrim.adapters.validation import columns_of
from retrim.core.landed_schema import ColumnNames

NAMED = ("column", "column_A", "column_B")


@dataclass(frozen=True)
class FittedSuite:
    """A suite as it is asked, and a sentence for each column that makes it ask less than it says.

    Args:
        suite: What is asked.
        notes: What is not, and the cure.
    """

    suite: dict[str, Any]
    notes: tuple[str, ...]


def fit_suite(
    suite: dict[str, Any], path: str, *, columns: Collection[str], landed: Collection[str], names: ColumnNames
) -> FittedSuite:
    """The suite for a table with `columns`.

    Args:
        suite: As `read_suite` gives it.
        path: Where it lies, for the notes.
        columns: What the table has now.
        landed: What landed batches have.
        names: What columns were called.
    """
    asked, gone = [], dict[str, int]()
    for one in suite["expectations"]:
        now = {name: name if name in columns else names.current(name) for name in columns_of(one)}
        lost = sorted(name for name, found in now.items() if found is None and name in landed)
        if lost:
            gone |= {name: gone.get(name, 0) + 1 for name in lost}
        else:
            asked.append(_called(one, {name: found or name for name, found in now.items()}))
    notes = (
        f"{path}: {count} of its expectations are about {name!r}, which is no column any more, and are not asked; take "
        "them out"
        for name, count in gone.items()
    )
    return FittedSuite({**suite, "expectations": asked}, tuple(notes))


def _called(expectation: dict[str, Any], now: Mapping[str, str]) -> dict[str, Any]:
    """The expectation with its columns as they are called now."""
    kwargs = dict(expectation["kwargs"])
    kwargs |= {name: now[kwargs[name]] for name in NAMED if name in kwargs}
    if "column_list" in kwargs:
        kwargs["column_list"] = [now[name] for name in kwargs["column_list"]]
    return {**expectation, "kwargs": kwargs}
