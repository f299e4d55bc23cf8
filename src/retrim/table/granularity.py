"""Which rows the table has: declared filters, and rows of a finer grain put together into coarser ones.

Both come before anything else is made of the table, and are the same wherever it is assembled. A row that a filter
leaves out is not there: it trains nothing, is judged by nothing, and gets no prediction.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field, model_validator

from retrim.stats.plugins import SettingsForm, SettingsSection, SomeSpan

How = Literal["sum", "mean", "min", "max", "first", "last"]
OF_NUMBERS = ("sum", "mean", "min", "max")


Finite = Annotated[float, Field(allow_inf_nan=False)]


def _no_truth_value(value: Any) -> Any:
    """A value as it stands in the table: unquoted, YAML reads yes and no as truth values."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(
            f"{value} is not a value that a table can contain; to keep every value that is not missing, write "
            "not_missing: true"
        )
    if isinstance(value, bool):
        raise ValueError(f'put {value} in quotes, as it appears in the table, such as "yes"')  # noqa: TRY004  pydantic's own
    return value


class RowFilter(SettingsForm):
    """A condition that a row has to meet to stay; a missing value meets none."""

    column: str = Field(description="column that the condition applies to")
    at_least: Finite | None = Field(default=None, description="smallest value to keep")
    at_most: Finite | None = Field(default=None, description="largest value to keep")
    among: tuple[Annotated[str | int | float, BeforeValidator(_no_truth_value)], ...] | None = Field(
        default=None, min_length=1, description="values to keep"
    )
    not_missing: Literal[True] | None = Field(default=None, description="keep every value that is not missing")

    @model_validator(mode="after")
    def _one_form(self) -> "RowFilter":
        bounds = self.at_least is not None or self.at_most is not None
        if bounds + (self.among is not None) + (self.not_missing is not None) != 1:
            raise ValueError(
                "a filter must have exactly one condition; write it in one of these forms: {column: km, at_least: 0} "
                "(or at_most, or both), {column: status, among: [done]}, {column: km, not_missing: true}"
            )
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(
                f"at_least {self.at_least:g} is above at_most {self.at_most:g}, so no row would remain; swap the two"
            )
        return self

    @property
    def sentence(self) -> str:
        """What it asks, in words."""
        if self.not_missing:
            return f"{self.column} is not missing"
        if self.among is not None:
            return f"{self.column} is {' or '.join(map(str, self.among))}"
        ends = (("at least", self.at_least), ("at most", self.at_most))
        return f"{self.column} is " + " and ".join(f"{word} {end:g}" for word, end in ends if end is not None)

    def keeps(self, values: pd.Series) -> np.ndarray:
        """Which rows stay, shape (n,)."""
        there = values.notna().to_numpy()
        if self.not_missing:
            return there
        if self.among is not None:
            if not pd.api.types.is_numeric_dtype(values.dtype):
                return there & values.isin([str(value) for value in self.among]).to_numpy()
            return there & values.isin([value for value in self.among if not isinstance(value, str)]).to_numpy()
        numbers = values.to_numpy(dtype="float64", na_value=np.nan)
        with np.errstate(invalid="ignore"):
            low = -np.inf if self.at_least is None else self.at_least
            high = np.inf if self.at_most is None else self.at_most
            return np.asarray((numbers >= low) & (numbers <= high))


class ResampleParams(SettingsSection):
    """How rows are aggregated to a coarser granularity."""

    every: SomeSpan = Field(description="length of time that one row of the table covers")
    by: tuple[str, ...] = Field(
        description="grouping columns: rows are aggregated separately for each combination of their values"
    )
    how: dict[str, How] = Field(description="how each other column is aggregated")


class RowParams(SettingsSection):
    """Which rows the table has."""

    where: tuple[RowFilter, ...] = Field(
        default=(), description="conditions that a row must meet; all other rows are left out"
    )
    resample: ResampleParams | None = Field(
        default=None, description="how rows are aggregated to a coarser granularity; null: rows stay as they landed"
    )


AS_THEY_LAND = RowParams()
"""Every row that lands is a row of the table."""


def left_out(table: pd.DataFrame, rows: RowParams) -> dict[str, int]:
    """How many rows each filter leaves out that no filter before it does, by its sentence."""
    found: dict[str, int] = {}
    stays = np.ones(len(table), dtype=bool)
    for each in rows.where:
        kept = stays & each.keeps(table[each.column])
        found[each.sentence] = found.get(each.sentence, 0) + int(stays.sum() - kept.sum())
        stays = kept
    return found


def kept(table: pd.DataFrame, rows: RowParams) -> pd.DataFrame:
    """The rows that no filter leaves out, in their order."""
    if not rows.where:
        return table
    stays = np.logical_and.reduce([each.keeps(table[each.column]) for each in rows.where])
    return table[stays].reset_index(drop=True)


def put_together(
    table: pd.DataFrame, params: ResampleParams, *, time: str, target: str, landed: pd.Timestamp
) -> pd.DataFrame:
    """A row for each span and combination in which something happened, without its key.

    None for a span that may get more.

    A row's event is the beginning of its span. Its label is due when the last of its rows' labels is, and not before
    the span is over, and never while nothing says when one of them is; it is known when all of them are.

    Returns:
        The columns of `table` but for `_key`; those that nothing is said of are missing.
    """
    span = pd.Timedelta(params.every)
    begins = table["_event"].dt.floor(span)
    by = [table[name] for name in params.by]
    there = begins + span <= landed
    for values in by:
        there &= values.notna()
    groups = table[there].groupby([begins[there].rename("_span"), *(values[there] for values in by)], sort=True)
    found: dict[str, pd.Series] = {}
    for name, how in params.how.items():
        column = groups[name]
        found[name] = column.sum(min_count=1) if how == "sum" else column.agg(how)
    if target in found:
        found[target] = found[target].where(groups[target].count() == groups[target].size())
    whole = pd.DataFrame(found, index=groups.size().index)
    for name in ("_due", "_known"):
        whole[name] = groups[name].max().where(groups[name].count() == groups[name].size())
    whole["_arrived"], whole["_batch"] = groups["_arrived"].max(), groups["_batch"].last()
    whole["_correction"] = groups["_correction"].max()
    whole = whole.reset_index().rename(columns={"_span": "_event"})
    whole[time] = whole["_event"]
    whole["_due"] = whole["_due"].clip(lower=whole["_event"] + span)
    absent = {
        str(name): table[name].iloc[:0].reindex(whole.index) for name in table if name not in whole and name != "_key"
    }
    made = whole.assign(**absent)[[name for name in table if name != "_key"]]
    return made.astype({name: table[name].dtype for name in ("_event", "_due", "_known", "_arrived", time)})


def row_faults(
    rows: RowParams, columns: Mapping[str, tuple[str, str]], *, key: tuple[str, ...], features: tuple[str, ...]
) -> list[str]:
    """Everything about `rows` that the table cannot give, in sentences."""
    found = [fault for each in rows.where for fault in _filter(each, columns)]
    return found if rows.resample is None else [*found, *_resample(rows.resample, columns, key, features)]


def _filter(each: RowFilter, columns: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    kind, role = columns.get(each.column, ("", ""))
    if not role:
        yield f"where: {each.column!r} is not a column; name one of: {', '.join(columns)}"
    elif role == "target":
        yield (
            f"where: {each.column!r} is the target, which is not known when a row is predicted, so the model would be "
            "trained on different rows from those it predicts; filter by a different column"
        )
    elif kind not in ("number", "integer") and (each.at_least is not None or each.at_most is not None):
        yield f"where: {each.column!r} is a {kind}, which has no order; use among or not_missing"
    elif kind == "time" and each.among is not None:
        yield f"where: {each.column!r} is a time, which allows only not_missing; use it, or choose a different column"
    elif kind in ("number", "integer"):
        for value in each.among or ():
            if isinstance(value, str) or (kind == "integer" and value != int(value)):
                yield (
                    f"where: {each.column!r} has the type {kind}, so it is never {value!r}; write, for example, "
                    "among: [1]"
                )


def _resample(
    params: ResampleParams, columns: Mapping[str, tuple[str, str]], key: tuple[str, ...], features: tuple[str, ...]
) -> Iterator[str]:
    target = next(name for name, (_, role) in columns.items() if role == "target")
    for name in params.by:
        kind, role = columns.get(name, ("", ""))
        if not role:
            yield f"resample.by: {name!r} is not a column; name one of: {', '.join(columns)}"
        elif role in ("target", "time", "due") or kind == "number":
            yield f"resample.by: {name!r} is a {kind} with the role {role!r}; choose a category that is a feature"
        elif role == "forbidden" and name not in key:
            yield (
                f"resample.by: {name!r} has the role 'forbidden', and grouping rows by it would reveal it; choose a "
                "feature or a column of data.key"
            )
    for name, how in params.how.items():
        kind, role = columns.get(name, ("", ""))
        if not role:
            yield f"resample.how: {name!r} is not a column; name one of: {', '.join(columns)}"
        elif role in ("time", "due") or name in params.by:
            yield f"resample.how: {name!r} is the event time, the due time or listed in by; remove it"
        elif how in OF_NUMBERS and kind not in ("number", "integer"):
            yield f"resample.how: {name!r} is a {kind}, which has no {how}; use first or last"
    needed = [name for name in dict.fromkeys([*features, target]) if name in columns]
    silent = [name for name in needed if name not in params.by and name not in params.how]
    if silent:
        such = "mean" if columns[silent[0]][0] in ("number", "integer") else "last"
        yield (
            f"resample.how: the aggregation of {', '.join(map(repr, silent))} is not set; write, for example, "
            f"{{{silent[0]}: {such}}}, or set the role of a feature to forbidden"
        )
