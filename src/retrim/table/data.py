"""What had arrived by a moment: of rows or labels that landed more than once, the first and the latest.

Keys of rows, and rows by key and in total order.

At the pace of Arrow: pandas takes ten times as long to look up a million texts.

Where features from the past do not fit the table, in sentences.

The table as the world knew it at a moment: rows, labels, corrections, maturity.

Landed frames carry a person's own columns plus four of ours, which begin with an
underscore, as no column of a person's may:

    _key       str        the row's key
    _batch     str        digest of the batch that brought it
    _arrived   time, UTC  when that batch landed
    _correction bool      whether the batch was landed as a correction

`assemble` adds `_event`, `_due`, `_known` and `_matured` (all times, UTC).

Local times of the hour that comes twice when clocks go back: which of the two a row is of, by the order of the rows.

02:00  02:15  02:30  02:45  02:00  02:15   the clock went back between the fourth and the fifth: they are the later
02:00  02:00  02:15  02:15                 a source that sorts by local time: of two equal ones the second is it
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from retrim.stats.plugins import SettingsForm, SettingsSection, SomeSpan, Span
from retrim.table.granularity import RowParams, kept, row_faults
from retrim.table.lags import HistoryParams, PastFeature, past_features


def first_known(rows: pd.DataFrame, labels: pd.DataFrame | None, target: str, as_of: pd.Timestamp) -> pd.DataFrame:
    """`_key` and `_arrived` of the first label of each key."""
    parts = [frame.loc[frame[target].notna(), ["_key", "_arrived"]] for frame in (rows, labels) if frame is not None]
    return first(pd.concat(parts), as_of)


def first(landed: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """`_key` and `_arrived` of the first arrival of each key."""
    seen = landed.loc[landed["_arrived"] <= as_of, ["_key", "_arrived"]]
    if not seen["_key"].duplicated().any():  # as most are, and then they need not be sorted
        return seen
    return seen.sort_values("_arrived", kind="stable").drop_duplicates("_key")


def latest(landed: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """The latest arrival of each key, in no order."""
    seen = landed[landed["_arrived"] <= as_of]
    if seen["_key"].duplicated().any():
        seen = seen.sort_values(["_arrived", "_batch"], kind="stable")
        seen = seen.drop_duplicates("_key", keep="last")
    return seen.reset_index(drop=True)


def at_keys(keys: pd.Series, known: pd.DataFrame, column: str) -> pd.Series:
    """A column of `known` for each of `keys`, with its type; missing where `known` has no such key.

    Args:
        keys: Text, shape (n,).

    Returns:
        Shape (n,), with the index of `keys`.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    # One length of text for both: pandas has long ones, a frame without rows may have others.
    asked, among = (pa.array(each.astype("str")).cast(pa.large_string()) for each in (keys, known["_key"]))
    found = pc.fill_null(pc.index_in(asked, value_set=_one(among)), -1).to_numpy(zero_copy_only=False)
    values = known[column].reset_index(drop=True)
    return values.reindex(found).set_axis(keys.index)  # reindex keeps the type, also where nothing is found


def _one(array: "object") -> "object":
    import pyarrow as pa

    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def total_order(event: pd.Series, key: pd.Series) -> np.ndarray:
    """Row numbers in order of event time, rows of one time in order of their key, shape (n,).

    Args:
        event: Times, none missing.
    """
    at = event.to_numpy(dtype="datetime64[ns]" if event.dt.unit == "ns" else "datetime64[us]")
    order = np.argsort(at, kind="stable")
    alike = at[order][1:] == at[order][:-1]
    tied = np.flatnonzero(np.append(alike, False) | np.append(False, alike))
    if len(tied):  # keys are text, dear to sort: only those that decide
        within = pd.DataFrame({"event": at[order[tied]], "key": key.to_numpy()[order[tied]]})
        within["key"] = within["key"].astype("str")
        order[tied] = order[tied][within.sort_values(["event", "key"], kind="stable").index.to_numpy()]
    return order


def row_keys(rows: pd.DataFrame, key: tuple[str, ...], batch: str) -> pd.Series:
    r"""The key of each row as one string: values joined by `|`, times in ISO 8601.

    A `|` within a value of several is written `\|`.

    Args:
        rows: Typed rows, shape (n, columns).

    Returns:
        Strings, shape (n,), index of `rows`.
    """
    if not key:
        return pd.Series([f"{batch}:{number}" for number in range(len(rows))], index=rows.index, dtype="str")
    parts = [_as_text(rows[name]) for name in key]
    if len(parts) > 1:
        # Else ("a|b", "c") and ("a", "b|c") were one key.
        parts = [part.str.replace("\\", "\\\\").str.replace("|", "\\|") for part in parts]
    joined = parts[0]
    for part in parts[1:]:
        joined = joined + "|" + part
    return joined


def _as_text(values: pd.Series) -> pd.Series:
    if isinstance(values.dtype, pd.DatetimeTZDtype):
        text = values.dt.strftime("%Y-%m-%dT%H:%M:%S.%f").str.removesuffix(".000000")
        return pd.Series(text, dtype="str")
    if pd.api.types.is_float_dtype(values):
        numbers = values.map(lambda value: repr(int(value)) if value == int(value) else repr(value), na_action="ignore")
        return pd.Series(numbers, dtype="str")
    return values.astype("str")


def history_faults(
    history: HistoryParams,
    columns: Mapping[str, tuple[str, str]],
    *,
    key: tuple[str, ...],
    task: str,
    horizon: str | None,
) -> list[str]:
    """Everything about `history` that the table cannot give.

    Args:
        horizon: Span after which a label is due; None where a column says it.
    """
    found = [*_entity(history, columns, key), *_ahead(history, columns)]
    for name, feature in history.columns.items():
        if name in columns:
            found.append(f"features: {name!r} is also the name of a column in the table; rename that column")
        if feature.of not in columns:
            found.append(f"features: {feature.of!r} is not a column; name one of: {', '.join(columns)}")
        else:
            found += [f"features: {name!r}: {fault}" for fault in _feature(history, feature, columns, task, horizon)]
    return found


def _entity(history: HistoryParams, columns: Mapping[str, tuple[str, str]], key: tuple[str, ...]) -> Iterator[str]:
    for name in history.entity:
        kind, role = columns.get(name, ("", ""))
        if not role:
            yield f"entity: {name!r} is not a column; name one of: {', '.join(columns)}"
        elif role in ("target", "time", "due"):
            yield f"entity: {name!r} has the role {role!r}; choose a column that identifies what a row is about"
        elif role == "forbidden" and name not in key:
            yield (
                f"entity: {name!r} has the role 'forbidden', and grouping rows by it would reveal it; choose a "
                "feature or a column of data.key"
            )
        elif kind == "number":
            yield f"entity: {name!r} is a number, which can be written in many ways; declare it as integer or category"


def _ahead(history: HistoryParams, columns: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    own = [name for name, (_, role) in columns.items() if role == "feature"]
    for name in history.known_ahead:
        if name not in own:
            yield f"known_ahead: {name!r} is not a feature; name one of: {', '.join(own)}"
    if history.ahead is None:
        if history.known_ahead:
            yield "known_ahead: lists columns, but ahead is null; set ahead to a span, or set known_ahead to []"
        return
    unknown = [name for name in own if name not in history.known_ahead]
    if unknown:
        yield (
            f"ahead: known_ahead does not list {', '.join(map(repr, unknown))}; add each feature whose value is known "
            f"{history.ahead} before the event of the row, and set the role of any other to forbidden under columns "
            "(features of its past may stay)"
        )


def _feature(
    history: HistoryParams, feature: PastFeature, columns: Mapping[str, tuple[str, str]], task: str, horizon: str | None
) -> Iterator[str]:
    kind, role = columns[feature.of]
    binary = role == "target" and task == "binary"
    if kind not in ("number", "integer") and not binary and feature.stat != "count":
        yield (
            f"{feature.of!r} is a {kind}, but a lag or statistic needs a number; choose a numeric column, or write "
            "stat: count"
        )
    if feature.span_back is None:
        return
    back, ahead = pd.Timedelta(feature.span_back), pd.Timedelta(history.ahead or 0)
    if back <= ahead:
        yield f"the lag {feature.span_back} is not longer than ahead; set a lag longer than {history.ahead}"
    elif role in ("target", "forbidden") and horizon is not None and back < ahead + pd.Timedelta(horizon):
        least = f"label_horizon {horizon}" + (f" plus ahead {history.ahead}" if history.ahead else "")
        yield (
            f"the label {feature.of!r} of the row {feature.span_back} earlier is not due yet; set a lag of at least "
            f"{least}"
        )


ColumnType = Literal["number", "integer", "category", "time"]
Role = Literal["feature", "target", "time", "due", "forbidden"]
LABEL_TIME = "label_time"
OURS = ("_key", "_batch", "_arrived", "_correction")


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
    batch_grace: Span = Field(default="1D", description="how late a batch may be before it is reported")
    times_ahead: Span = Field(
        default="1h", description="how far an event time or a label time may lie after the arrival of its batch"
    )
    suite: str = Field(description="path of the Great Expectations suite, relative to the workspace")
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
            if taken := [each for each in self.columns[name].was if each in self.columns]:
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
    def _agree_on_history(self) -> "DataParams":
        columns = {name: (column.type, column.role) for name, column in self.columns.items()}
        found = history_faults(self.history, columns, key=self.key, task=self.task, horizon=self.label_horizon)
        if found:
            raise ValueError("; ".join(f"history.{fault}" for fault in found))
        found = row_faults(self.rows, columns)
        if found:
            raise ValueError("; ".join(f"rows.{fault}" for fault in found))
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

    Args:
        labels: Landed labels (`_key`, target, `_arrived`), or None when there are none.

    Returns:
        In total order (event time, key), with `_event`, `_due`, `_known`, `_matured`; the target is missing where
        its label is not known.
    """
    return shaped(known_rows(rows, labels, data, as_of=as_of), data)


def shaped(table: pd.DataFrame, data: DataParams) -> pd.DataFrame:
    """Known rows as `data.rows` has them, with the features from their past."""
    return with_past(kept(table, data.rows), data, data.history)


def known_rows(
    rows: pd.DataFrame, labels: pd.DataFrame | None, data: DataParams, *, as_of: pd.Timestamp
) -> pd.DataFrame:
    """The landed rows as they were known at `as_of`, a row a key, in total order (event time, key).

    Of rows with one key the latest arrival by `as_of` wins, and so it does for labels.
    A row is mature when its label was due and known: `_matured` is the later of the
    two, and missing while either is not so at `as_of`. A label corrected later was
    known from its first arrival on, so a row matures once.

    Args:
        labels: Landed labels (`_key`, target, `_arrived`), or None when there are none.

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


def label_times(table: pd.DataFrame, labels: pd.DataFrame | None, target: str, *, as_of: pd.Timestamp) -> pd.Series:
    """When each label came, as its first file says: also before it was due.

    Args:
        labels: Landed labels (`_key`, `label_time`, `_arrived`), or None when there are none.

    Returns:
        Shape (n,), index of `table`; of a label that came with its row, when it was due; missing where none came.
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


DAY = 86_400_000_000  # microseconds
USUAL = 1.9  # a local time of that hour has about twice as many rows as others have


def later_hours(
    earlier: pd.Series, later: pd.Series, group: np.ndarray, *, names_rows: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Which rows are of the later of the two hours, and which might be of either, as nothing tells them apart.

    Args:
        earlier: Each row's instant if it is of the earlier one, in the order of the file, shape (n,).
        group: A number a series that rows belong to, shape (n,): each has an order of its own.

    Returns:
        Two masks, each of shape (n,).
    """
    twice = (earlier.notna() & (earlier != later)).to_numpy()
    is_later, either = np.zeros(len(earlier), dtype=bool), np.zeros(len(earlier), dtype=bool)
    if not twice.any():
        return is_later, either
    number, tick = np.arange(len(earlier)), earlier.dt.as_unit("us").astype("int64").to_numpy()
    order = np.lexsort((number, group))
    steps = np.diff(tick[order])[np.diff(group[order]) == 0]
    if (steps < 0).sum() > (steps > 0).sum():  # the newest first
        order = np.lexsort((-number, group))
    marked = twice[order]
    rows = pd.DataFrame({"place": order, "group": group[order], "tick": tick[order]})
    rows["run"] = _runs(rows, marked)
    usual = _stretches(rows[~marked]).median() if (~marked).any() else 1.0
    rows = rows[marked].copy()
    rows["change"] = _changes(rows["tick"])
    went_back = rows.groupby("run")["tick"].diff().lt(0)
    rows["later"] = went_back.groupby(rows["run"]).cummax()
    if names_rows:
        equal = rows.groupby(["group", "change", "tick"])["tick"]
        rows["later"] = rows["later"].where(equal.transform("size") < 2, equal.cumcount() > 0)
    else:
        rows["later"] |= _halves(rows, usual)
    told = rows.groupby(["group", "change"])["later"].transform("any")
    is_later[rows["place"]] = rows["later"]
    either[rows["place"]] = ~told
    return is_later, either


def _changes(ticks: pd.Series) -> pd.Series:
    """A number a change of the clock: times of one lie within a day."""
    seen = np.unique(ticks)
    number = np.concatenate([[0], np.cumsum(np.diff(seen) > DAY)])
    return pd.Series(number[np.searchsorted(seen, ticks)], index=ticks.index)


def _runs(rows: pd.DataFrame, marked: np.ndarray) -> np.ndarray:
    """A number a run of neighbours of one series and one change whose hour comes twice."""
    near = rows["group"].diff().eq(0) & rows["tick"].diff().abs().lt(DAY) & marked & np.append(False, marked[:-1])
    return np.cumsum(~near.to_numpy())


def _stretches(rows: pd.DataFrame) -> pd.Series:
    """How many neighbours have the same time, for each such stretch."""
    begins = rows["tick"].diff().ne(0) | rows["group"].diff().ne(0)
    return begins.groupby(begins.cumsum()).size()


def _halves(rows: pd.DataFrame, usual: float) -> pd.Series:
    """The second half of each stretch of equal times, in runs that never go back and have about twice as many rows."""
    begins = rows["tick"].diff().ne(0) | rows["run"].diff().ne(0)
    stretch = begins.cumsum()
    size, place = begins.groupby(stretch).transform("size"), begins.groupby(stretch).cumcount()
    regular = (size.ge(USUAL * usual) & ~rows["later"]).groupby(rows["run"]).transform("all")
    return regular & (place >= size // 2)
