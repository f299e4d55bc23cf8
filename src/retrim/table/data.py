"""The section `data` of params.yaml, and the table as the world knew it at a moment: rows, labels, maturity.

Landed frames carry four columns of ours beside a person's own: `_key`, `_batch` (digest of the batch that brought the
row), `_arrived` (when it landed) and `_correction`. `assemble` adds `_event`, `_due`, `_known` and `_matured`, in UTC.
"""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Literal

import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from retrim.stats.plugins import FOLLOWS, SettingsForm, SettingsSection, SomeSpan, Span
from retrim.table.granularity import RowParams, kept, row_faults
from retrim.table.history_faults import history_faults
from retrim.table.keys import at_keys, first, latest, total_order
from retrim.table.lags import HistoryParams, past_features

ColumnType = Literal["number", "integer", "category", "time"]
Role = Literal["feature", "target", "time", "due", "forbidden"]
LABEL_TIME = "label_time"
OURS = ("_key", "_batch", "_arrived", "_correction")


def first_known(rows: pd.DataFrame, labels: pd.DataFrame | None, target: str, as_of: pd.Timestamp) -> pd.DataFrame:
    """`_key` and `_arrived` of the first label of each key."""
    parts = [frame.loc[frame[target].notna(), ["_key", "_arrived"]] for frame in (rows, labels) if frame is not None]
    return first(pd.concat(parts), as_of)


def check_model_name(text: str) -> str:
    """A name that the registry, git tags and folders can carry."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", text):
        raise ValueError("use only lower-case letters a to z, digits, '_' and '-', and begin with a letter")
    return text


def check_text(value: object) -> object:
    """A class as text: unquoted, YAML reads yes and no as truth values, and 1 as a number."""
    if value is not None and not isinstance(value, str):
        raise ValueError('put the class in quotes, as it appears in the table, such as "yes" or "1"')
    return value


def several(value: object) -> object:
    """One text as a list of one."""
    return (value,) if isinstance(value, str) else value


class ColumnParams(SettingsForm):
    """What one column of the table is."""

    type: ColumnType = Field(
        description="type of the column: number, integer, category, or time (in reading.zone unless it names a zone)"
    )
    role: Role = Field(
        description="role of the column: feature, target, time (of the event), due (when the label is due) or "
        "forbidden (it would leak the target)"
    )
    was: Annotated[tuple[str, ...], BeforeValidator(several)] = Field(
        default=(), description="earlier name or names of the column in landed files"
    )
    rest: tuple[str, ...] = Field(
        default=(), description="of a binary target: the other classes, where one is predicted against several"
    )
    faults: Literal["block", "warn"] = Field(
        default="block",
        exclude_if=lambda faults: faults == "block",
        description="what a fault in the column does to a batch: it is quarantined (block), or lands as suspicious, "
        "with cells that cannot be read as missing (warn)",
    )


class DataParams(SettingsSection):
    """The table: its columns, its key, its label, and when a label is due."""

    model: Annotated[str, AfterValidator(check_model_name)] = Field(
        description="name of the model in the registry, tags and records"
    )
    columns: dict[str, ColumnParams] = Field(description="columns that a batch must have; no others are allowed")
    key: tuple[str, ...] = Field(
        default=(),
        description="columns that identify a row; if empty, a row is identified by its batch digest and row number",
    )
    task: Literal["regression", "binary", "multiclass"] = Field(
        description="what is predicted: a number (regression), one of two classes (binary) or one of several classes "
        "(multiclass)"
    )
    positive: Annotated[str | None, BeforeValidator(check_text)] = Field(
        default=None, description="for a binary task, the class whose probability is predicted; null for other tasks"
    )
    labels: Literal["with_rows", "or_never", "later"] = Field(
        default="with_rows",
        description="what a missing target means: an error (with_rows), a label that never arrives "
        "(or_never) or a label that arrives later (later)",
    )
    label_horizon: Span | None = Field(
        default=None,
        description="time from the event of a row until its label is due; null: a column contains the due time",
    )
    batch_every: SomeSpan = Field(
        description="usual time between two batches, above 0; retrim uses it to detect a missing batch"
    )
    batch_grace: Annotated[Span, FOLLOWS] = Field(
        default="1D", description="how late a batch may be before it is reported"
    )
    times_ahead: Span = Field(
        default="1h", description="how far an event time or a label time may lie after the arrival of its batch"
    )
    suite: Annotated[str, FOLLOWS] = Field(
        default="", description="path of the Great Expectations suite, relative to the workspace"
    )
    rows: RowParams = Field(
        default=RowParams(), description="which landed rows the table contains, and at what granularity"
    )
    history: HistoryParams = Field(
        default=HistoryParams(), description="features computed from earlier rows of the table"
    )

    @model_validator(mode="after")
    def _agree(self) -> "DataParams":
        for role in ("target", "time"):
            if len(self._with_role(role)) != 1:
                raise ValueError(
                    f"columns: {len(self._with_role(role))} columns have the role {role!r}; set this role for exactly "
                    "1 column"
                )
        for name in self.columns:
            if not name.strip():
                raise ValueError("a column has no name; choose one, and use it in the table too")
            if name.startswith("_"):
                raise ValueError(f"column {name!r} begins with '_', which is reserved for retrim; rename it")
            if taken := [earlier for earlier in self.columns[name].was if earlier in self.columns]:
                raise ValueError(
                    f"columns: `was` of {name!r} is {taken[0]!r}, the name of another column; rename one of the two"
                )
        if (self.label_horizon is None) == (self.due is None):
            raise ValueError(
                "the label's due time must be set exactly once: set either label_horizon or the role 'due' for one "
                "column"
            )
        if (self.task == "binary") != (self.positive is not None):
            raise ValueError("positive: set it to the positive class for a binary task, and to null for any other task")
        if self.task != "regression" and self.columns[self.target].type != "category":
            raise ValueError(
                f"the target of a {self.task} task must have the type category; change the type of {self.target!r}"
            )
        if self.task == "regression" and self.columns[self.target].type not in ("number", "integer"):
            raise ValueError(
                f"the target of a regression must have the type number or integer; change the type of {self.target!r}"
            )
        if not self.features:
            raise ValueError("columns: no column has the role 'feature'; set this role for at least 1 column")
        for name, kind in self.own_features.items():
            if kind == "time":
                raise ValueError(
                    f"columns: {name!r} is a time, but a feature must be a number, an integer or a category; change "
                    "its role"
                )
        return self

    @model_validator(mode="after")
    def _agree_on_rest(self) -> "DataParams":
        for name, column in self.columns.items():
            if column.rest and (name != self.target or self.positive is None or self.positive in column.rest):
                raise ValueError(f"columns: `rest` of {name!r} is for the other classes of a binary target; remove it")
        return self

    @model_validator(mode="after")
    def _agree_on_faults(self) -> "DataParams":
        held = sorted(self.warned & {self.target, self.time, self.due, *self.key})
        if held:
            raise ValueError(f"columns: `faults` of {held[0]!r} cannot be warn, as no row can do without it; remove it")
        return self

    @model_validator(mode="after")
    def _agree_on_history(self) -> "DataParams":
        columns = {name: (column.type, column.role) for name, column in self.columns.items()}
        faults = history_faults(self.history, columns, key=self.key, task=self.task, horizon=self.label_horizon)
        if faults:
            raise ValueError("; ".join(f"history.{fault}" for fault in faults))
        faults = row_faults(self.rows, columns)
        if faults:
            raise ValueError("; ".join(f"rows.{fault}" for fault in faults))
        return self

    @model_validator(mode="after")
    def _agree_on_key(self) -> "DataParams":
        if LABEL_TIME in (self.target, *self.key):
            raise ValueError(f"{LABEL_TIME!r} is reserved for the label time in label files; rename this column")
        for name in self.key:
            if name not in self.columns:
                raise ValueError(f"key: {name!r} is not a column; name one of: {', '.join(self.columns)}")
            if name == self.target:
                raise ValueError(
                    f"key: {name!r} is the target, which corrections may change; choose a column that never changes"
                )
            if self.columns[name].type == "number":
                raise ValueError(
                    f"key: {name!r} is a number, which can be written in many ways; declare it as integer or category"
                )
        return self

    @property
    def latest_after(self) -> pd.Timedelta:
        """How much later than its arrival the event of a row may be: rows that are predicted ahead come before it."""
        return pd.Timedelta(self.times_ahead) + pd.Timedelta(self.history.ahead or 0)

    def _with_role(self, role: str) -> list[str]:
        return [name for name, column in self.columns.items() if column.role == role]

    @property
    def target(self) -> str:
        return self._with_role("target")[0]

    @property
    def time(self) -> str:
        return self._with_role("time")[0]

    @property
    def due(self) -> str | None:
        return next(iter(self._with_role("due")), None)

    @property
    def features(self) -> dict[str, ColumnType]:
        """Features and their types in the order of params.yaml: columns of the table, then those from its past."""
        return {**self.own_features, **dict.fromkeys(self.history.columns, "number")}

    @property
    def warned(self) -> frozenset[str]:
        """Columns of which a fault is a warning."""
        return frozenset(name for name, column in self.columns.items() if column.faults == "warn")

    @property
    def own_features(self) -> dict[str, ColumnType]:
        """Feature columns that a row brings along, and their types."""
        return {name: self.columns[name].type for name in self._with_role("feature")}

    @property
    def entity(self) -> str | None:
        """The column of `data.history.entity` that names what a row is about; None: there is none, or several do."""
        return self.history.entity[0] if len(self.history.entity) == 1 else None

    @property
    def series(self) -> tuple[str, ...]:
        """Columns that tell several series apart: with the time they are the key."""
        return tuple(name for name in self.key if name != self.time) if self.time in self.key else ()


def assemble(rows: pd.DataFrame, labels: pd.DataFrame | None, data: DataParams, *, as_of: pd.Timestamp) -> pd.DataFrame:
    """The table as it was known at `as_of`: its rows, as `data.rows` has them, and the features from its past.

    It is as `known_rows` has it.
    """
    return shaped(known_rows(rows, labels, data, as_of=as_of), data)


def shaped(table: pd.DataFrame, data: DataParams) -> pd.DataFrame:
    """Known rows as `data.rows` has them, with the features from their past."""
    return with_past(kept(table, data.rows), data, data.history)


def known_rows(
    rows: pd.DataFrame, labels: pd.DataFrame | None, data: DataParams, *, as_of: pd.Timestamp
) -> pd.DataFrame:
    """The landed rows as they were known at `as_of`, a row a key, in total order (event time, key).

    Of rows with one key the latest arrival by `as_of` wins, and so it does for labels. A row is mature when its label
    was due and known: `_matured` is the later of the two, and missing while either is not so at `as_of`. A label
    corrected later was known from its first arrival on, so a row matures once. `_event`, `_due`, `_known` and
    `_matured` are added; the target is missing where its label is not known.
    """
    table = latest(rows, as_of)
    target = data.target
    if labels is not None and len(labels):
        brought = table["_arrived"].where(table[target].notna())
        late = latest(labels, as_of)
        arrived = at_keys(table["_key"], late, "_arrived")
        newer = arrived.notna() & (brought.isna() | (arrived >= brought))
        table[target] = table[target].mask(newer, at_keys(table["_key"], late, target))
    known = at_keys(table["_key"], first_known(rows, labels, target, as_of), "_arrived")
    if labels is not None and len(labels):  # one that came before its row was known of no row until that came
        known = known.clip(lower=at_keys(table["_key"], first(rows, as_of), "_arrived"))
    table["_event"] = table[data.time]
    table["_due"] = table[data.due] if data.due else table[data.time] + pd.Timedelta(data.label_horizon or 0)
    table["_known"] = known.where(table[target].notna())
    matured = table[["_due", "_known"]].max(axis=1, skipna=False)
    table["_matured"] = matured.where(matured <= as_of)
    return table.take(total_order(table["_event"], table["_key"])).reset_index(drop=True)


def with_past(
    table: pd.DataFrame,
    data: DataParams,
    history: HistoryParams,
    also: Collection[str] = (),
    renamed: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """The table with the features of `history` beside its columns; those that are there already stay as they are.

    Features of a column that the table no longer has are not made: an older version may have known more columns.
    """
    late = frozenset(name for name, column in data.columns.items() if column.role in ("target", "forbidden"))
    positive = None if data.positive is None else (data.target, data.positive)
    there = {*table.columns, *also}
    now = history.called(renamed or {})
    wanted = {
        name: feature
        for name, feature in zip(history.columns, now.features, strict=True)
        if name not in there and {feature.of, *now.entity} <= set(table.columns)
    }
    features = past_features(
        table, now.model_copy(update={"features": tuple(wanted.values())}), late=late, positive=positive
    )
    added = dict(zip(wanted, features.values(), strict=True))
    return pd.concat([table, pd.DataFrame(added, index=table.index)], axis=1) if added else table


def mature(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of an assembled table whose label was due and known, in its order."""
    return table[table["_matured"].notna()].reset_index(drop=True)


def label_times(table: pd.DataFrame, labels: pd.DataFrame | None, target: str, *, as_of: pd.Timestamp) -> pd.Series:
    """When each label came, as its first file says: also before it was due.

    Of a label that came with its row, when it was due; missing where none came. The index is that of `table`.
    """
    due = table["_due"].where(table[target].notna())
    if labels is None or not len(labels):
        return due
    seen = labels[labels["_arrived"] <= as_of]
    first_files = seen.sort_values("_arrived", kind="stable").drop_duplicates("_key")
    stated = at_keys(table["_key"], first_files, LABEL_TIME).set_axis(table.index)
    return stated.where(stated.notna(), due)


def overdue_labels(table: pd.DataFrame, data: DataParams, *, as_of: pd.Timestamp) -> int:
    """How many labels were due by `as_of` and are still missing; none where what is missing never comes."""
    return 0 if data.labels == "or_never" else int(((table["_due"] <= as_of) & table["_known"].isna()).sum())
