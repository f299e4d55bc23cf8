"""Small tables to be looked at, each with one thing dialled in."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from retrim.profile.table import ProfiledTable, TableNote
from retrim.profile.whole import TableProfile, profile_table
from retrim.table.data import DataParams

ROWS = 2000


def times(rows: int, *, start: str = "2023-01-01", every: str = "4h") -> pd.Series:
    """Event times one after another."""
    steps = pd.to_timedelta(np.arange(rows) * pd.Timedelta(every).total_seconds(), unit="s")
    return pd.Series(pd.Timestamp(start, tz="UTC") + steps).dt.as_unit("us")


def section(
    kinds: Mapping[str, str],
    *,
    task: str = "binary",
    roles: Mapping[str, str] | None = None,
    past: Sequence[Mapping[str, Any]] = (),
) -> DataParams:
    """What a table is: `at` its time, `id` its key, `y` its target."""
    columns: dict[str, Any] = {"at": {"type": "time", "role": "time"}, "id": {"type": "integer", "role": "forbidden"}}
    columns |= {name: {"type": kind, "role": (roles or {}).get(name, "feature")} for name, kind in kinds.items()}
    columns["y"] = {"type": "number" if task == "regression" else "category", "role": "target"}
    return DataParams.model_validate(
        {
            "model": "own",
            "columns": columns,
            "key": ["id"],
            "task": task,
            "positive": "yes" if task == "binary" else None,
            "labels": "later",
            "label_horizon": "1h",
            "batch_every": "7D",
            "times_ahead": "1h",
            "suite": "expectations/own.json",
            "rows": {"where": []},
            "history": {"entity": [], "ahead": None, "known_ahead": [], "features": list(past)},
        }
    )


def table(
    columns: Mapping[str, Any],
    target: Any,
    *,
    task: str = "binary",
    roles: Mapping[str, str] | None = None,
    every: str = "4h",
    past: Sequence[Mapping[str, Any]] = (),
) -> ProfiledTable:
    """A table of these features; texts are categories, all else numbers."""
    rows = len(target)
    kept = {name: pd.Series(values, dtype="str" if _is_text(values) else "float64") for name, values in columns.items()}
    kinds = {name: "number" if values.dtype == "float64" else "category" for name, values in kept.items()}
    event = times(rows, every=every)
    answers = pd.Series(target, dtype="float64" if task == "regression" else "str", name="y")
    every_column = {"at": event, "id": pd.Series(np.arange(rows, dtype="float64")), **kept, "y": answers}
    data = section(kinds, task=task, roles=roles, past=past)
    for name, feature in data.history.columns.items():
        every_column[name] = every_column[feature.of].shift(1)
    return ProfiledTable(
        data=data,
        event=event,
        keys=pd.Series([f"key-{row}" for row in range(rows)], dtype="str"),
        column=lambda name: every_column[name],
        timed=True,
        mature=rows,
        left_out={},
    )


def _is_text(values: Any) -> bool:
    return any(isinstance(value, str) for value in list(values)[:50])


def looked(
    columns: Mapping[str, Any],
    target: Any,
    *,
    rows: int = 20_000,
    given: tuple[TableNote, ...] = (),
    **options: Any,
) -> TableProfile:
    """A look at such a table."""
    made = table(columns, target, **options)
    return profile_table(made, rows=rows, seed=7, threads=1, given=given)


def answers(rows: int, *, seed: int = 3) -> list[str]:
    """Labels that nothing tells."""
    return list(np.random.default_rng(seed).choice(["yes", "no"], rows))
