"""The profile of a whole table: each column by itself, then what takes several, on a sample of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from retrim.drift.cells import as_floats
from retrim.profile.columns import ColumnLook, Periods, column_look, cut_periods
from retrim.profile.duplicates import Duplicates, Hashes
from retrim.profile.gaps import Missingness, gaps_of
from retrim.profile.label_noise import LabelNoise, noise_of
from retrim.profile.leaks import Leak, leaks_of
from retrim.profile.table import NO_VALUES, ProfiledTable, TableNote, hidden
from retrim.stats.codec import to_record

WITHOUT_VALUES = ("personal", "nested", "empty", "many levels", "name", "missing")
"""What may be told of a column whose values may not be shown: these sentences hold none."""


@dataclass(frozen=True)
class LabelCounts:
    """Rows with a label, and of classes the rows of each; no classes of a regression."""

    labelled: int
    classes: Mapping[str, int]


@dataclass(frozen=True)
class TableProfile:
    """A profile of a table.

    Args:
        table: The profiled table.
        sampled: Rows in the sample. Everything that is not counted on all rows is computed from this sample.
        periods: Parts of the history.
        columns: Summary of every column, in the order of params.yaml.
        target: Labels of the target; None if its values may not be shown.
        gaps: For features and target with missing values: whether these look random.
        doubles: Duplicate rows.
        noise: Rows whose label is likely wrong; None if this was not examined.
        suspects: Keys of the rows shown, or their numbers in time order if a key may not be shown.
        leaks: Columns that leak the target.
        given: Notes from reading the table.
    """

    table: ProfiledTable
    sampled: int
    periods: Periods
    columns: tuple[ColumnLook, ...]
    target: LabelCounts | None
    gaps: Mapping[str, Missingness]
    doubles: Duplicates
    noise: LabelNoise | None
    suspects: tuple[str, ...]
    leaks: tuple[Leak, ...]
    given: tuple[TableNote, ...]

    @property
    def shown(self) -> dict[str, ColumnLook]:
        return {column.name: column for column in self.columns}

    def as_record(self) -> dict[str, Any]:
        """JSON types; no value of a hidden column."""
        table, data = self.table, self.table.data
        return {
            "model": data.model,
            "task": data.task,
            "target": data.target,
            "rows": table.rows,
            "sampled": self.sampled,
            "from": table.event.iloc[0].isoformat() if table.rows and table.timed else None,
            "to": table.event.iloc[-1].isoformat() if table.rows and table.timed else None,
            "mature": table.mature,
            "periods": {"every": self.periods.every, "labels": list(self.periods.labels)},
            "columns": [column.as_record() for column in self.columns],
            "left_out": dict(table.left_out),
            "missing": {name: to_record(gap) for name, gap in self.gaps.items()},
            "duplicates": to_record(self.doubles),
            "label_noise": None
            if self.noise is None
            else {
                "rows": self.noise.rows,
                "suspects": self.noise.suspects,
                "surest": self.noise.surest,
                "keys": list(self.suspects),
            },
            "leaks": [to_record(leak) for leak in self.leaks],
        }


def profile_table(
    table: ProfiledTable, *, rows: int, seed: int, threads: int, given: Sequence[TableNote]
) -> TableProfile:
    """Looks at a table.

    Each column is fetched once and counted on all rows: what fills it, gaps, duplicates. Leaks, labels, and what tells
    which cells are missing, are looked at on `rows` rows drawn at random.

    Args:
        rows: Of the sample, 1 or more.
        given: Notes from reading the table.
    """
    data = table.data
    periods = cut_periods(table.event, timed=table.timed)
    places = np.sort(np.random.default_rng(seed).permutation(table.rows)[:rows])
    hashes, columns, sample = Hashes(table.rows), [], {}
    reasons: dict[str, str] = {}
    answers, target = pd.Series([], dtype="float64"), None
    for name, (kind, role) in table.kinds.items():
        values = table.column(name)
        why = reasons[name] = hidden(name, values, table, before=reasons)
        columns.append(column_look(name, values, kind=kind, role=role, hidden=why, periods=periods))
        if role in ("feature", "target"):
            sample[name] = values.iloc[places].reset_index(drop=True)
        if role == "feature":
            hashes.add(name, values)
        elif role == "target":
            answers, target = values, None if why else _count_labels(values, task=data.task)
    frame = pd.DataFrame(sample)
    noise = noise_of(frame, places, data, seed=seed, threads=threads)
    types = {name: kind for name, (kind, _) in table.kinds.items() if name in sample}
    newest = max(len(frame) // 8, 1)
    leaks = leaks_of(frame, data, label_time=None, entity=None, judge_rows=newest, calendar=()) if table.rows else []
    return TableProfile(
        table=table,
        sampled=len(places),
        periods=periods,
        columns=tuple(columns),
        target=target,
        gaps=gaps_of(frame, types, first=[data.target, *table.features]),
        doubles=hashes.doubles(answers),
        noise=noise,
        suspects=() if noise is None else tuple(_key_of(table, row, reasons) for row in noise.shown),
        leaks=tuple(
            # Said without a value where one of its columns may not be shown.
            replace(leak, seen=leak.bare or leak.seen) if any(map(reasons.get, leak.columns)) else leak
            for leak in leaks
        ),
        given=tuple(
            note
            for note in given
            if not note.column
            or note.about in WITHOUT_VALUES
            or not (note.column in table.left_out or reasons.get(note.column))
        ),
    )


def _count_labels(values: pd.Series, *, task: str) -> LabelCounts:
    """Counts the labels of a target, shape (n,); an infinite one counts as none."""
    if task == "regression":
        return LabelCounts(int(np.isfinite(as_floats(values)).sum()), {})
    classes = {str(text): int(count) for text, count in values.value_counts().items()}
    return LabelCounts(sum(classes.values()), classes)


def _key_of(table: ProfiledTable, row: int, reasons: Mapping[str, str]) -> str:
    """The key of a row; its number in the order of time where the key holds what may not be shown.

    A key that is only an id is shown although the model may not use it: it is how a row is asked for.
    """
    barred = any(reasons.get(name, "") not in ("", NO_VALUES) for name in table.data.key)
    return f"row {row + 1} in order of time" if barred else str(table.keys.iloc[row])
