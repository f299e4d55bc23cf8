"""The verdict on a batch that keeps its contract: ok, drifted, broken, or unsure and so a person's to look at."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from retrim.core.batches.columns import category_concern, constant_concern, missing_concern
from retrim.core.batches.concern import Concern
from retrim.core.batches.numeric import LATELY, NumericHistory, history_of, numeric_concerns
from retrim.core.batches.pairs import pair_concerns
from retrim.core.batches.params import BatchParams
from retrim.core.batches.whole import cut_concern, resent_concern, twice_concern
from retrim.core.table import DataParams

Kind = Literal["ok", "drifted", "unsure", "broken"]
RANK: tuple[Kind, ...] = ("ok", "drifted", "unsure", "broken")


@dataclass(frozen=True)
class History:
    """What came before.

    Args:
        rows: The newest landed rows in order of event time, typed as the batch.
        ends: Event time of the newest row of each earlier batch, oldest first.
        lags: From there to the arrival of each.
        counts: Rows of each.
        without: Of a column that some of these batches landed without: which they are, as `_batch` of the rows.
    """

    rows: pd.DataFrame
    ends: Sequence[pd.Timestamp]
    lags: Sequence[pd.Timedelta]
    counts: Sequence[int]
    without: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchVerdict:
    """What a batch is, and everything that is not as it was; the gravest first."""

    concerns: tuple[Concern, ...]

    @property
    def kind(self) -> Kind:
        """The gravest of its concerns; ok without any."""
        return max((concern.verdict for concern in self.concerns), key=RANK.index, default="ok")

    @property
    def holds(self) -> bool:
        """Whether the batch is set aside."""
        return self.kind in ("broken", "unsure")

    def as_record(self) -> dict[str, Any]:
        return {"verdict": self.kind, "concerns": [concern.as_record() for concern in self.concerns]}


def look_at(
    batch: pd.DataFrame,
    history: History,
    data: DataParams,
    params: BatchParams,
    *,
    arrives: pd.Timestamp,
    made: Collection[str] = (),
) -> BatchVerdict:
    """Holds a batch against earlier windows as long as it is.

    A change of unit, a swap, a column gone constant, missing or unknown, rows there twice or sent
    before, and a load cut short make a batch broken: nothing that happens in the world does it.
    What could be either is unsure. With too few rows, or too short a history, columns say nothing.

    Args:
        batch: Typed rows, shape (n, columns), n at least 1.
        history: What came before.
        data: What the table is.
        params: How far off is too far.
        arrives: When the batch does.
        made: Columns that no file has: what the calendar says cannot be broken, and a day has one weekday.
    """
    batch = batch.sort_values(data.time, kind="stable")
    ends, lags, counts = history.ends, history.lags, history.counts
    found = [cut_concern(batch[data.time], arrives, ends, lags, counts, share=params.cut_short)]
    windows = _windows(history.rows, len(batch), params)
    if len(batch) >= params.least_rows and len(windows) >= params.least_windows:
        found += _columns(batch, windows, history.without, data, params, made)
        if not data.key:
            found.append(twice_concern(batch[list(data.columns)], [window[list(data.columns)] for window in windows]))
        # What was sent before cannot be told by columns that were not sent then.
        besides = (data.time, data.due, *data.key, *history.without)
        told = [name for name in data.columns if name not in besides]
        found.append(resent_concern(batch[told], [window[told] for window in windows]))
    concerns = [concern for concern in found if concern is not None]
    return BatchVerdict(tuple(sorted(concerns, key=lambda each: (-RANK.index(each.verdict), each.column))))


def _windows(rows: pd.DataFrame, length: int, params: BatchParams) -> list[pd.DataFrame]:
    """The newest whole windows of so many rows, oldest first."""
    count = min(len(rows) // max(length, 1), params.most_windows)
    start = len(rows) - count * length
    return [rows.iloc[start + number * length : start + (number + 1) * length] for number in range(count)]


def _columns(
    batch: pd.DataFrame,
    windows: list[pd.DataFrame],
    without: Mapping[str, Collection[str]],
    data: DataParams,
    params: BatchParams,
    made: Collection[str],
) -> list[Concern | None]:
    found: list[Concern | None] = []
    values: dict[str, np.ndarray] = {}
    histories: dict[str, NumericHistory] = {}
    for name in [*(each for each in data.own_features if each not in made), data.target]:
        own, before = batch[name], [each[name] for each in windows if _has(each, without.get(name, ()))]
        if len(before) < params.least_windows:  # it is new: nobody knows how it usually is
            continue
        gone = missing_concern(name, own, before) or constant_concern(name, own, before)
        found.append(gone)
        if gone is not None:
            continue
        if data.columns[name].type == "category":
            found.append(category_concern(name, own, before))
            continue
        present, past = _present(own), [_present(each) for each in before]
        known = history_of(past) if len(present) else None
        if known is not None:
            values[name], histories[name] = present, known
    names = [name for name in values if name != data.target]
    lately = [_matrix(window, names) for window in windows[-LATELY:]]
    found += pair_concerns(_matrix(batch, names), lately, names)
    return [*found, *numeric_concerns(values, histories, novelty=params.novelty)]


def _has(window: pd.DataFrame, without: Collection[str]) -> bool:
    """Whether all rows of a window came in batches that had a column."""
    return not without or not window["_batch"].isin(without).any()


def _matrix(rows: pd.DataFrame, names: list[str]) -> np.ndarray:
    return rows[names].to_numpy(dtype="float64", na_value=np.nan)


def _present(values: pd.Series) -> np.ndarray:
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    return np.asarray(numbers[np.isfinite(numbers)])
