"""The table as the world knew it at a moment: rows, labels, corrections, maturity.

Landed frames carry a person's own columns plus four of ours, which begin with an
underscore, as no column of a person's may:

    _key       str        the row's key
    _batch     str        digest of the batch that brought it
    _arrived   time, UTC  when that batch landed
    _correction bool      whether the batch was landed as a correction

`assemble` adds `_event`, `_due`, `_known` and `_matured` (all times, UTC).
"""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Literal

import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from retrim.core.arrivals import first, first_known, latest
from retrim.core.keyed import at_keys, row_keys, total_order
from retrim.core.lags import HistoryParams, past_features
from retrim.core.lags_fit import history_faults
from retrim.core.rows import RowParams, kept, put_together, row_faults
from retrim.core.section import Section, SomeSpan, Span

ColumnType = Literal["number", "integer", "category", "time"]
Role = Literal["feature", "target", "time", "due", "forbidden"]
LABEL_TIME = "label_time"
OURS = ("_key", "_batch", "_arrived", "_correction")


def check_model_name(text: str) -> str:
    """A name that the registry, git tags and folders can carry."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]*", text):
        raise ValueError("write lower-case letters a to z, digits, '_' and '-', a letter first")
    return text


def check_text(value: object) -> object:
    """A class as text: unquoted, YAML reads yes and no as truth values, and 1 as a number."""
    if value is not None and not isinstance(value, str):
        raise ValueError('put it in quotes, as it stands in the table, such as "yes" or "1"')
    return value


def several(value: object) -> object:
    """One text as a list of one."""
    return (value,) if isinstance(value, str) else value


class ColumnParams(Section):
    """What one column of the table is."""

    type: ColumnType = Field(description="number, integer, category or time (UTC unless it names a zone)")
    role: Role = Field(description="feature; target; time (of the event); due (of the label); forbidden (leaks)")
    # Few columns were ever called otherwise, so the key may be absent: absence is no hidden value.
    was: Annotated[tuple[str, ...], BeforeValidator(several)] = Field(
        default=(), description="what it was called in files that have landed: a name, or several"
    )


class DataParams(Section):
    """What the table is: its columns, its key, its label and when that is due."""

    model: Annotated[str, AfterValidator(check_model_name)] = Field(
        description="name of the model: registry, tags, records"
    )
    columns: dict[str, ColumnParams] = Field(description="every column a batch must have, and no other")
    key: tuple[str, ...] = Field(description="columns that name a row; empty: batch digest and row number do")
    task: Literal["regression", "binary", "multiclass"]
    positive: Annotated[str | None, BeforeValidator(check_text)] = Field(
        description="the class whose probability a binary model gives; else null"
    )
    labels: Literal["with_rows", "or_never", "later"] = Field(
        description="a missing target: a fault (with_rows), an answer that never comes (or_never), one to come (later)"
    )
    label_horizon: Span | None = Field(description="due = event time + this span; null where a column says it")
    batch_every: SomeSpan = Field(description="span between batches, above 0, so that a missing one is noticed")
    batch_grace: Span = Field(description="how late a batch may be before it is reported")
    times_ahead: Span = Field(description="how much later than its arrival an event or a label time may be")
    suite: str = Field(description="path of the Great Expectations suite, from the workspace")
    rows: RowParams = Field(description="which of the landed rows the table has, and at what grain")
    history: HistoryParams = Field(description="features from the past of the table")

    @model_validator(mode="after")
    def _agree(self) -> "DataParams":
        for role in ("target", "time"):
            if len(self._with_role(role)) != 1:
                raise ValueError(f"columns: {len(self._with_role(role))} have the role {role!r}; exactly 1 must")
        for name in self.columns:
            if not name.strip():
                raise ValueError("a column has no name; give it one, in the table too")
            if name.startswith("_"):
                raise ValueError(f"column {name!r} begins with '_', which is kept for retrim's own; rename it")
            if taken := [each for each in self.columns[name].was if each in self.columns]:
                raise ValueError(f"columns: {name!r} was {taken[0]!r}, and that is a column too; rename one of the two")
        if (self.label_horizon is None) == (self.due is None):
            raise ValueError("give the label's due time once: label_horizon, or one column with the role 'due'")
        if (self.task == "binary") != (self.positive is not None):
            raise ValueError("positive: name the positive class of a binary task, and null for any other")
        if self.task != "regression" and self.columns[self.target].type != "category":
            raise ValueError(f"the target of a {self.task} task has the type category")
        if self.task == "regression" and self.columns[self.target].type not in ("number", "integer"):
            raise ValueError("the target of a regression has the type number or integer")
        if not self.features:
            raise ValueError("columns: none has the role 'feature'; at least 1 must")
        for name, kind in self.own_features.items():
            if kind == "time":
                raise ValueError(f"columns: {name!r} is a time; a feature is a number, an integer or a category")
        return self

    @model_validator(mode="after")
    def _agree_on_history(self) -> "DataParams":
        columns = {name: (column.type, column.role) for name, column in self.columns.items()}
        found = history_faults(self.history, columns, key=self.key, task=self.task, horizon=self.label_horizon)
        if found:
            raise ValueError("; ".join(f"history.{fault}" for fault in found))
        used = (*self.own_features, *(feature.of for feature in self.history.features), *self.history.entity)
        found = row_faults(self.rows, columns, key=self.key, features=used)
        if found:
            raise ValueError("; ".join(f"rows.{fault}" for fault in found))
        return self

    @model_validator(mode="after")
    def _agree_on_key(self) -> "DataParams":
        if LABEL_TIME in (self.target, *self.key):
            raise ValueError(f"{LABEL_TIME!r} is what a file of labels calls another column; rename this one")
        for name in self.key:
            if name not in self.columns:
                raise ValueError(f"key: {name!r} is no column; columns: {', '.join(self.columns)}")
            if name == self.target:
                raise ValueError(f"key: {name!r} is the target, which may be corrected; a key may not")
            if self.columns[name].type == "number":
                raise ValueError(f"key: {name!r} is a number, which has many spellings; declare it integer or category")
        return self

    @property
    def row_key(self) -> tuple[str, ...]:
        """The columns that name a row of the table: those that name a landed one, or its span and what it is about."""
        return self.key if self.rows.resample is None else (*self.rows.resample.by, self.time)

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
    def own_features(self) -> dict[str, ColumnType]:
        """Feature columns that a row brings along, and their types."""
        return {name: self.columns[name].type for name in self._with_role("feature")}

    @property
    def series(self) -> tuple[str, ...]:
        """Columns that tell several series apart: with the time they are the key."""
        return tuple(name for name in self.key if name != self.time) if self.time in self.key else ()


def assemble(rows: pd.DataFrame, labels: pd.DataFrame | None, data: DataParams, *, as_of: pd.Timestamp) -> pd.DataFrame:
    """The table as it was known at `as_of`: its rows, as `data.rows` has them, and the features from its past.

    Args:
        rows: Landed rows with the columns of `OURS`.
        labels: Landed labels (`_key`, target, `_arrived`), or None when there are none.
        data: What the table is.
        as_of: The moment the pipeline pretends is now.

    Returns:
        In total order (event time, key), with `_event`, `_due`, `_known`, `_matured`; the target is missing where
        its label is not known.
    """
    return shaped(known_rows(rows, labels, data, as_of=as_of), data, as_of=as_of)


def shaped(table: pd.DataFrame, data: DataParams, *, as_of: pd.Timestamp) -> pd.DataFrame:
    """Known rows as `data.rows` has them, with the features from their past.

    Args:
        table: As `known_rows` gives it.
        data: What the table is.
        as_of: The moment the pipeline pretends is now.
    """
    landed, grain = table["_arrived"].max(), data.rows.resample
    table = kept(table, data.rows)
    if grain is not None:
        table = put_together(table, grain, time=data.time, target=data.target, landed=landed)
        table["_key"] = row_keys(table, data.row_key, "")
        table = _in_order(_ripened(table, as_of))
    return with_past(table, data, data.history)


def known_rows(
    rows: pd.DataFrame, labels: pd.DataFrame | None, data: DataParams, *, as_of: pd.Timestamp
) -> pd.DataFrame:
    """The landed rows as they were known at `as_of`, a row a key, in total order (event time, key).

    Of rows with one key the latest arrival by `as_of` wins, and so it does for labels.
    A row is mature when its label was due and known: `_matured` is the later of the
    two, and missing while either is not so at `as_of`. A label corrected later was
    known from its first arrival on, so a row matures once.

    Args:
        rows: Landed rows with the columns of `OURS`.
        labels: Landed labels (`_key`, target, `_arrived`), or None when there are none.
        data: What the table is.
        as_of: The moment the pipeline pretends is now.

    Returns:
        Rows with `_event`, `_due`, `_known`, `_matured` added; the target is missing where its label is not known.
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
    return _in_order(_ripened(table, as_of))


def _ripened(table: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    matured = table[["_due", "_known"]].max(axis=1, skipna=False)
    table["_matured"] = matured.where(matured <= as_of)
    return table


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
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

    Args:
        table: In total order, with `_event` and `_due`.
        data: What the table is.
        history: What is made of its past.
        also: Columns that it has too, and that were not read.
        renamed: What columns that `history` names are called by now.
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
    made = past_features(
        table, now.model_copy(update={"features": tuple(wanted.values())}), late=late, positive=positive
    )
    added = dict(zip(wanted, made.values(), strict=True))
    return pd.concat([table, pd.DataFrame(added, index=table.index)], axis=1) if added else table


def mature(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of an assembled table whose label was due and known, in its order."""
    return table[table["_matured"].notna()].reset_index(drop=True)


def overdue_labels(table: pd.DataFrame, data: DataParams, *, as_of: pd.Timestamp) -> int:
    """How many labels were due by `as_of` and are still missing; none where what is missing never comes."""
    return 0 if data.labels == "or_never" else int(((table["_due"] <= as_of) & table["_known"].isna()).sum())
