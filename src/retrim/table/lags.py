"""Features from the past of the table: lags and rolling statistics, by entity, of what was known at each row.

A column's name is its definition: `trips lag 1` is one row back, `trips mean 7D by station` that of the 7 days before,
`trips max 7D known 24h ahead` of what was known 24 hours before the row's event. What is a feature of its row is known
right after its event: rows of one moment do not see one another. The target, and a column with the role forbidden, are
known when the label was due; not when it arrived, as a history that was landed in one day would hold no past at all.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import numpy as np
import pandas as pd
from pydantic import Field, field_validator, model_validator

from retrim.stats.codec import as_numbers
from retrim.stats.plugins import SettingsForm, SettingsSection, SomeSpan, check_above_zero, check_span
from retrim.table.ranges import STATISTICS

Stat = Literal["mean", "min", "max", "std", "count", "sum", "last"]
MOST_BACK = 100_000


class PastFeature(SettingsForm):
    """One feature from the past: a lag, or a statistic over a span."""

    of: str = Field(description="column that the feature is computed from")
    lag: int | str | None = Field(
        default=None, description="how far back the value is taken: a number of rows, or a span such as 24h"
    )
    over: SomeSpan | None = Field(default=None, description="span before the row over which the statistic is computed")
    stat: Stat | None = Field(default=None, description="statistic of the values in that span")

    @field_validator("lag")
    @classmethod
    def _rows_or_span(cls, lag: int | str | None) -> int | str | None:
        if isinstance(lag, str):
            return check_above_zero(check_span(lag))
        if lag is not None and not 1 <= lag <= MOST_BACK:
            raise ValueError(
                f"a lag of {lag} rows is out of range; write a number from 1 to {MOST_BACK}, or a span such as '24h'"
            )
        return lag

    @model_validator(mode="after")
    def _one_form(self) -> "PastFeature":
        if (self.lag is None) == (self.over is None) or (self.over is None) != (self.stat is None):
            raise ValueError(
                "set either lag, or both over and stat: {of: trips, lag: 24h} or {of: trips, over: 7D, stat: mean}"
            )
        return self

    @property
    def span_back(self) -> str | None:
        """The span of a lag; None for a lag in rows, and for a statistic."""
        return self.lag if isinstance(self.lag, str) else None


class HistoryParams(SettingsSection):
    """Features from the past of the table."""

    entity: tuple[str, ...] = Field(
        default=(), description="columns that identify the entity of a row; empty: all rows are about the same entity"
    )
    ahead: SomeSpan | None = Field(
        default=None, description="how long before its event a row is predicted; null: at the time of its event"
    )
    known_ahead: tuple[str, ...] = Field(
        default=(),
        description=(
            "features whose values are already known when the row is predicted, which is "
            "data.history.ahead before its event"
        ),
    )
    features: tuple[PastFeature, ...] = Field(
        default=(), description="lags and statistics of earlier rows; each of them is a numeric feature"
    )

    @model_validator(mode="after")
    def _once(self) -> "HistoryParams":
        names = [self.name_of(feature) for feature in self.features]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"features: {name!r} is declared {names.count(name)} times; keep one")
        if len(set(self.entity)) < len(self.entity):
            raise ValueError("entity: a column is listed twice; list each column once")
        return self

    def name_of(self, feature: PastFeature) -> str:
        """The column that a feature becomes: its definition in words."""
        what = f"lag {feature.lag}" if feature.lag is not None else f"{feature.stat} {feature.over}"
        whose = f" by {', '.join(self.entity)}" if self.entity else ""
        return f"{feature.of} {what}{whose}{f' known {self.ahead} ahead' if self.ahead else ''}"

    def called(self, renamed: Mapping[str, str]) -> "HistoryParams":
        """The same, where the columns that it names are called otherwise by now."""
        if not renamed:
            return self
        entity, known = (tuple(renamed.get(name, name) for name in names) for names in (self.entity, self.known_ahead))
        features = tuple(
            feature.model_copy(update={"of": renamed.get(feature.of, feature.of)}) for feature in self.features
        )
        return self.model_copy(update={"entity": entity, "known_ahead": known, "features": features})

    @property
    def columns(self) -> dict[str, PastFeature]:
        """Features by the name of their column, in the order of params.yaml."""
        return {self.name_of(feature): feature for feature in self.features}


def newest_known(target: str, columns: Iterable[str]) -> str | None:
    """Which column holds the newest target that was known when a row was predicted: lag 1, as `name_of` calls it."""
    lag = f"{target} lag 1"
    return next((name for name in columns if name == lag or name.startswith((f"{lag} by ", f"{lag} known "))), None)


def past_takes(*histories: HistoryParams) -> set[str]:
    """The columns that features from the past are made of."""
    return {name for history in histories for name in (*history.entity, *(feature.of for feature in history.features))}


def past_features(
    table: pd.DataFrame, history: HistoryParams, *, late: frozenset[str], positive: tuple[str, str] | None
) -> dict[str, np.ndarray]:
    """The columns from the past, by name, each float64 of shape (n,); missing where there is none.

    A statistic passes over missing values; so does a lag of a column that is known late.

    Args:
        positive: A binary target and its positive class, which counts as 1 and the other as 0.
    """
    if not history.features:
        return {}
    clock = _Clock(table, history)
    columns = {}
    for name, feature in history.columns.items():
        values = _numbers(table[feature.of], positive, counted=feature.stat == "count")
        with np.errstate(all="ignore"):  # sums of numbers near the largest: what is not finite is missing
            column = clock.made(feature, values, late=feature.of in late)
        columns[name] = np.where(np.isfinite(column), column, np.nan)
    return columns


def _numbers(values: pd.Series, positive: tuple[str, str] | None, *, counted: bool) -> np.ndarray:
    """A column as float64: numbers, a binary target as 0 and 1, anything as 1 where it is only counted."""
    there = values.notna().to_numpy()
    if counted:
        return np.where(there, 1.0, np.nan)
    if positive is not None and values.name == positive[0]:
        return np.where(there, (values == positive[1]).fillna(False).to_numpy(dtype="float64"), np.nan)
    return np.asarray(as_numbers(values).to_numpy(dtype="float64", na_value=np.nan))


class _Clock:
    """Rows by entity, and the moments at which each asks, and from which on each is known, in halves of a microsecond.

    Halves, as what happens at a moment is known only after it, and what is due at a moment is known then.
    All arrays are in order of entity, then event: neighbours in it are neighbours in memory.
    """

    def __init__(self, table: pd.DataFrame, history: HistoryParams) -> None:
        group = _groups(table, history.entity)
        self.order = np.argsort(group, kind="stable")
        self.group = group[self.order]
        self.event = _halves(table["_event"])[self.order]
        self.ahead = _span(history.ahead)
        self.due = np.maximum(_halves(table["_due"])[self.order], self.event + 1)
        self.has_due = table["_due"].notna().to_numpy()[self.order]

    def made(self, feature: PastFeature, values: np.ndarray, *, late: bool) -> np.ndarray:
        """One feature of every row in the table's order, shape (n,)."""
        values = values[self.order]
        known = (self.due if late else self.event + 1) + self.ahead
        counts = self.group >= 0
        if late:
            counts = counts & self.has_due & ~np.isnan(values)
        column = np.full(len(values), np.nan)
        column[self.order] = np.where(self.group >= 0, self._made(feature, values, known, counts), np.nan)
        return column

    def _made(self, feature: PastFeature, values: np.ndarray, known: np.ndarray, counts: np.ndarray) -> np.ndarray:
        if feature.over is not None and feature.stat is not None:
            seen, begin, end = self._between(known, counts & ~np.isnan(values), back=_span(feature.over))
            return STATISTICS[feature.stat](values[seen], begin, end)
        if feature.span_back is not None:
            known = np.maximum(known, self.event + _span(feature.span_back))
        seen, begin, end = self._between(known, counts, back=None)
        if feature.span_back is not None and len(seen):
            # The newest by its event, where labels are due in another order too: a running maximum of places.
            # What an earlier entity leaves in it lies before `begin`.
            seen = np.maximum.accumulate(seen)
        at = end - (feature.lag if isinstance(feature.lag, int) else 1)
        column = np.full(len(values), np.nan)
        column[at >= begin] = values[seen[at[at >= begin]]]
        return column

    def _between(
        self, known: np.ndarray, counts: np.ndarray, *, back: int | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places of rows in the order in which they came to be known, and for each row the range of them that it sees.

        Args:
            known: From when on each row is known.
            counts: Which rows are there to be seen.
            back: What came to be known longer ago is not seen; None: all is.
        """
        rows = np.flatnonzero(counts)
        if not _ascending(self.group[rows], known[rows]):
            rows = rows[np.lexsort((rows, known[rows], self.group[rows]))]
        number, wide = _numbered(known[rows], int(self.group.max(initial=0)) + 1)
        # One number for entity and moment: a search in it is a search within the entity.
        keys = self.group[rows] * wide + number(known[rows])
        base = np.maximum(self.group, 0) * wide

        def place(moment: np.ndarray) -> np.ndarray:
            """How many rows come before what is known after `moment`."""
            return np.asarray(np.searchsorted(keys, base + number(moment), side="right"))

        begin = np.searchsorted(keys, base) if back is None else place(self.event - back)
        return rows, begin, place(self.event)


def _numbered(known: np.ndarray, groups: int) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    """A whole number for any moment, ascending, 0 before the first known one; and how many numbers there are."""
    low, high = (int(known.min()), int(known.max())) if len(known) else (0, 0)
    wide = high - low + 2
    if wide * groups < 2**62:
        return (lambda moment: np.clip(moment, low - 1, high) - (low - 1)), wide
    moments = np.sort(known)  # its place instead: slower, but any span of time times any number of entities fits
    return (lambda moment: np.searchsorted(moments, moment, side="right")), len(moments) + 1


def _ascending(group: np.ndarray, known: np.ndarray) -> bool:
    return bool(np.all((np.diff(group) > 0) | (np.diff(known) >= 0)))


def _groups(table: pd.DataFrame, entity: tuple[str, ...]) -> np.ndarray:
    """A number an entity, from 0; -1 where a row names none."""
    if not entity:
        return np.zeros(len(table), dtype="int64")
    numbers = table.groupby(list(entity), sort=True, dropna=True, observed=True).ngroup()
    return np.asarray(numbers.fillna(-1).to_numpy(dtype="int64"))


def _halves(times: pd.Series) -> np.ndarray:
    """Times as whole halves of a microsecond since 1970; what is missing lies before all others."""
    there = times.notna().to_numpy()
    halves = np.full(len(times), -(2**62), dtype="int64")
    halves[there] = 2 * times[there].dt.as_unit("us").astype("int64").to_numpy()
    return halves


def _span(span: str | None) -> int:
    return 0 if span is None else 2 * round(pd.Timedelta(span) / pd.Timedelta("1us"))
