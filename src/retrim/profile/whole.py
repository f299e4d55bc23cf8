"""The profile of a whole table: each column by itself, then what takes several, on a sample of rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import PlainSerializer

from retrim.drift.cells import as_floats
from retrim.profile.gaps import Missingness, gaps_of
from retrim.profile.label_noise import LabelNoise, noise_of
from retrim.profile.leaks import leaks_of
from retrim.profile.table import NO_VALUES, Leak, ProfiledTable, TableNote, hidden
from retrim.stats.codec import Numbers, Unwritten, to_record
from retrim.table.data import ColumnType, Role

WITHOUT_VALUES = ("personal", "nested", "empty", "many levels", "name", "missing")
"""What may be told of a column whose values may not be shown: these sentences hold none."""
PERIODS = 20
"""Parts of a history, at most."""
MIXER = np.uint64(0x9E3779B97F4A7C15)
"""What the number of a row is multiplied by for each feature, so that their order counts: odd, so nothing is lost."""


@dataclass(frozen=True)
class ColumnLook:
    """Summary of a column.

    Args:
        type: Type, as in params.yaml.
        role: Role, as in params.yaml.
        hidden: Why its values are not shown; empty if they may be.
        missing: Rows without a value.
        missing_by: Share of missing values in each part of the history.
        most: Rows with the most frequent value.
    """

    name: str
    type: ColumnType
    role: Role
    hidden: str
    rows: Unwritten[int]
    missing: int
    missing_by: Annotated[Numbers, PlainSerializer(lambda by: by.round(6).tolist(), return_type=list[float])]
    distinct: int
    most: Unwritten[int]

    @property
    def missing_share(self) -> float:
        return self.missing / self.rows if self.rows else 0.0

    @property
    def most_share(self) -> float:
        """Share of the rows with a value that have the commonest."""
        filled = self.rows - self.missing
        return self.most / filled if filled else 0.0


def _look_at_column(name: str, values: pd.Series, table: ProfiledTable, hidden: str, period: np.ndarray) -> ColumnLook:
    (kind, role), blank, counts = table.kinds[name], values.isna(), values.value_counts()
    by = blank.astype("float64").groupby(period).mean().to_numpy()
    most = int(counts.max()) if len(counts) else 0
    return ColumnLook(name, kind, role, hidden, len(values), int(blank.sum()), by, len(counts), most)


@dataclass(frozen=True)
class TableProfile:
    """A profile of a table.

    Args:
        sampled: Rows in the sample. Everything that is not counted on all rows is computed from this sample.
        period_rows: Rows of a part of the history; the last may have fewer.
        periods: Parts of the history, each called by the day on which it begins, or by its rows.
        columns: Summary of every column, in the order of params.yaml.
        labelled: Rows with a label; None if values of the target may not be shown.
        classes: Rows of each class; empty for a regression.
        gaps: For features and target with missing values: whether these look random.
        repeated: Rows with the same features and target as an earlier row, ignoring event time and key.
        conflicting: Rows with the same features as another row and a different target.
        noise: Rows whose label is likely wrong; None if this was not examined.
        leaks: Columns that leak the target.
    """

    table: ProfiledTable
    sampled: int
    period_rows: int
    periods: tuple[str, ...]
    columns: Mapping[str, ColumnLook]
    labelled: int | None
    classes: Mapping[str, int]
    gaps: Mapping[str, Missingness]
    repeated: int
    conflicting: int
    noise: LabelNoise | None
    leaks: tuple[Leak, ...]
    given: tuple[TableNote, ...]

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
            "periods": {"every": f"{self.period_rows} rows", "labels": list(self.periods)},
            "columns": [to_record(column) for column in self.columns.values()],
            "left_out": dict(table.left_out),
            "missing": {name: to_record(gap) for name, gap in self.gaps.items()},
            "duplicates": {"rows": self.repeated, "conflicting": self.conflicting},
            "label_noise": None if self.noise is None else to_record(self.noise),
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
    period_rows = max(-(-table.rows // PERIODS), 1)
    period = np.arange(table.rows) // period_rows
    places = np.sort(np.random.default_rng(seed).permutation(table.rows)[:rows])
    features = np.zeros(table.rows, dtype="uint64")
    columns, sample, reasons = dict[str, ColumnLook](), dict[str, pd.Series](), dict[str, str]()
    for name, (_, role) in table.kinds.items():
        values = table.column(name)
        why = reasons[name] = hidden(name, values, table, before=reasons)
        columns[name] = _look_at_column(name, values, table, why, period)
        if role in ("feature", "target"):
            sample[name] = values.iloc[places].reset_index(drop=True)
        if role == "feature":
            features = features * MIXER + hash_cells(values)
        elif role == "target":
            answers = values
    repeated, conflicting = count_repeats(features, answers)
    labelled, classes = (None, {}) if reasons[data.target] else _count_labels(answers, task=data.task)
    frame = pd.DataFrame(sample)
    noise = noise_of(frame, places, data, seed=seed, threads=threads)
    if noise is not None:
        noise = replace(noise, keys=tuple(_key_of(table, row, reasons) for row in noise.shown))
    types = {name: kind for name, (kind, _) in table.kinds.items() if name in sample}
    newest = max(len(frame) // 8, 1)
    leaks = leaks_of(frame, data, entity=None, judge_rows=newest, calendar=()) if table.rows else []
    barred = {*table.left_out, *filter(reasons.get, reasons)}
    return TableProfile(
        table=table,
        sampled=len(places),
        period_rows=period_rows,
        periods=name_periods(table.event, period_rows, timed=table.timed),
        columns=columns,
        labelled=labelled,
        classes=classes,
        gaps=gaps_of(frame, types, first=[data.target, *data.features]),
        repeated=repeated,
        conflicting=conflicting,
        noise=noise,
        leaks=tuple(
            # Said without a value where one of its columns may not be shown.
            replace(leak, seen=leak.bare or leak.seen) if barred & set(leak.columns) else leak
            for leak in leaks
        ),
        given=tuple(
            note for note in given if not note.column or note.about in WITHOUT_VALUES or note.column not in barred
        ),
    )


def name_periods(event: pd.Series, rows: int, *, timed: bool) -> tuple[str, ...]:
    """Each part of so many rows, called by the day on which it begins, or by its rows.

    Args:
        event: Event times in ascending order, UTC, none missing, shape (n,).
    """
    starts = range(0, len(event), rows)
    if timed:
        return tuple(f"{event.iloc[start]:%Y-%m-%d}" for start in starts)
    return tuple(f"rows {start + 1} to {min(start + rows, len(event))}" for start in starts)


def hash_cells(values: pd.Series) -> np.ndarray:
    """A number for each cell, uint64; missing cells are alike."""
    return pd.util.hash_pandas_object(values.reset_index(drop=True), index=False).to_numpy()


def count_repeats(features: np.ndarray, target: pd.Series) -> tuple[int, int]:
    """Rows that are like an earlier one, and rows with the features of another one and a different target.

    Args:
        features: All features of each row in one number, shape (n,).
        target: Shape (n,); a row without one conflicts with none.
    """
    rows = pd.DataFrame({"features": features, "target": hash_cells(target)})
    targets = rows[target.notna().to_numpy()].groupby("features")["target"].transform("nunique")
    return int(rows.duplicated().sum()), int((targets > 1).sum())


def _count_labels(values: pd.Series, *, task: str) -> tuple[int, dict[str, int]]:
    """Rows with a label, and with each class of a classification; an infinite label counts as none."""
    if task == "regression":
        return int(np.isfinite(as_floats(values)).sum()), {}
    classes = {str(text): int(count) for text, count in values.value_counts().items()}
    return sum(classes.values()), classes


def _key_of(table: ProfiledTable, row: int, reasons: Mapping[str, str]) -> str:
    """The key of a row; its number in the order of time where the key holds what may not be shown.

    A key that is only an id is shown although the model may not use it: it is how a row is asked for.
    """
    barred = any(reasons.get(name, "") not in ("", NO_VALUES) for name in table.data.key)
    return f"row {row + 1} in order of time" if barred else str(table.keys.iloc[row])
