"""Which rows the table has: declared filters.

They come before anything else is made of the table, and are the same wherever it is assembled. A row that a filter
leaves out is not there: it trains nothing, is judged by nothing, and gets no prediction.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field, model_validator

from retrim.stats.plugins import SettingsForm, SettingsSection

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


class RowParams(SettingsSection):
    """Which rows the table has."""

    where: tuple[RowFilter, ...] = Field(
        default=(), description="conditions that a row must meet; all other rows are left out"
    )


def left_out(table: pd.DataFrame, rows: RowParams) -> dict[str, int]:
    """How many rows each filter leaves out that no filter before it does, by its sentence."""
    counts: dict[str, int] = {}
    stays = np.ones(len(table), dtype=bool)
    for condition in rows.where:
        remaining = stays & condition.keeps(table[condition.column])
        counts[condition.sentence] = counts.get(condition.sentence, 0) + int(stays.sum() - remaining.sum())
        stays = remaining
    return counts


def kept(table: pd.DataFrame, rows: RowParams) -> pd.DataFrame:
    """The rows that no filter leaves out, in their order."""
    if not rows.where:
        return table
    stays = np.logical_and.reduce([condition.keeps(table[condition.column]) for condition in rows.where])
    return table[stays].reset_index(drop=True)


def row_faults(rows: RowParams, columns: Mapping[str, tuple[str, str]]) -> list[str]:
    """Everything about `rows` that the table cannot give, in sentences."""
    return [fault for condition in rows.where for fault in _filter(condition, columns)]


def _filter(condition: RowFilter, columns: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    name = condition.column
    kind, role = columns.get(name, ("", ""))
    if not role:
        yield f"where: {name!r} is not a column; name one of: {', '.join(columns)}"
    elif role == "target":
        yield (
            f"where: {name!r} is the target, which is not known when a row is predicted, so the model would be "
            "trained on different rows from those it predicts; filter by a different column"
        )
    elif kind not in ("number", "integer") and (condition.at_least is not None or condition.at_most is not None):
        yield f"where: {name!r} is a {kind}, which has no order; use among or not_missing"
    elif kind == "time" and condition.among is not None:
        yield f"where: {name!r} is a time, which allows only not_missing; use it, or choose a different column"
    elif kind in ("number", "integer"):
        for value in condition.among or ():
            if isinstance(value, str) or (kind == "integer" and value != int(value)):
                yield (f"where: {name!r} has the type {kind}, so it is never {value!r}; write, for example, among: [1]")
