"""The verdict on a batch that keeps its contract: ok, drifted, suspicious, or broken."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from retrim.core.batches.clock import ClockColumn, clock_column, clock_concern, parts_of
from retrim.core.batches.columns import category_concern, constant_concern, missing_concern
from retrim.core.batches.concern import GRAVER, Concern
from retrim.core.batches.numeric import LATELY, NumericHistory, history_of, numeric_concerns
from retrim.core.batches.pairs import pair_concerns
from retrim.core.batches.params import BatchParams
from retrim.core.batches.whole import cut_concern, resent_concern, twice_concern
from retrim.core.table import DataParams

Kind = Literal["ok", "drifted", "suspicious", "broken"]
RANK: tuple[Kind, ...] = ("ok", "drifted", "suspicious", "broken")


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
        """Whether the batch is quarantined."""
        return self.kind == "broken"

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
    zone: str = "UTC",
) -> BatchVerdict:
    """Holds a batch against earlier windows as long as it is.

    A change of unit, a swap, a column gone constant, missing or unknown, rows there twice or sent
    before, and a load cut short make a batch broken: nothing that happens in the world does it.
    What could be either is suspicious. What a check says of the batch and would have said of an earlier window
    happens in this table, and counts for one step less. With too few rows, or too short a history, columns say nothing.

    Args:
        batch: Typed rows, shape (n, columns), n at least 1.
        history: What came before.
        data: What the table is.
        params: How far off is too far.
        arrives: When the batch does.
        made: Columns that no file has: what the calendar says cannot be broken, and a day has one weekday.
        zone: Whose clocks columns of the calendar show.
    """
    batch = batch.sort_values(data.time, kind="stable")
    ends, lags, counts = history.ends, history.lags, history.counts
    found = [cut_concern(batch[data.time], arrives, ends, lags, counts, share=params.cut_short)]
    windows = _windows(history.rows, len(batch), params)
    if len(batch) >= params.least_rows and len(windows) >= params.least_windows:
        names = [name for name in (*data.own_features, data.target) if name not in (*made, *params.skip)]
        columns = _Columns(data, params, history.without, _clocks(history.rows, names, data, zone), zone)
        found += [columns.weighed(each, windows) for each in columns.concerns(batch, windows, names)]
        if not data.key:
            found.append(twice_concern(batch[list(data.columns)], [window[list(data.columns)] for window in windows]))
        # What was sent before cannot be told by columns that were not sent then.
        besides = (data.time, data.due, *data.key, *history.without)
        told = [name for name in data.columns if name not in besides]
        found.append(resent_concern(batch[told], [window[told] for window in windows]))
    concerns = [concern for concern in found if concern is not None and concern.check not in params.skip]
    return BatchVerdict(tuple(sorted(concerns, key=lambda each: (-RANK.index(each.verdict), each.column))))


def _clocks(rows: pd.DataFrame, names: list[str], data: DataParams, zone: str) -> dict[str, ClockColumn]:
    """The columns that the event time decides."""
    parts = parts_of(rows[data.time], zone)
    found = {name: clock_column(rows[name], parts) for name in names if name != data.target}
    return {name: column for name, column in found.items() if column is not None}


def _windows(rows: pd.DataFrame, length: int, params: BatchParams) -> list[pd.DataFrame]:
    """The newest whole windows of so many rows, oldest first."""
    count = min(len(rows) // max(length, 1), params.most_windows)
    start = len(rows) - count * length
    return [rows.iloc[start + number * length : start + (number + 1) * length] for number in range(count)]


@dataclass(frozen=True)
class _Columns:
    """How the columns of a window are held against earlier ones.

    Args:
        data: What the table is.
        params: How far off is too far.
        without: Of a column, the batches that landed without it.
        clocks: Columns that the event time decides.
        zone: Whose clocks they show.
    """

    data: DataParams
    params: BatchParams
    without: Mapping[str, Collection[str]]
    clocks: Mapping[str, ClockColumn]
    zone: str

    def concerns(self, batch: pd.DataFrame, windows: list[pd.DataFrame], names: Sequence[str]) -> list[Concern]:
        """What is the matter with some columns of a window."""
        found: list[Concern | None] = []
        values: dict[str, np.ndarray] = {}
        histories: dict[str, NumericHistory] = {}
        parts = parts_of(batch[self.data.time], self.zone) if any(name in self.clocks for name in names) else {}
        for name in names:
            own = batch[name]
            before = [each[name] for each in windows if _has(each, self.without.get(name, ()))]
            if len(before) < self.params.least_windows:  # it is new: nobody knows how it usually is
                continue
            gone = missing_concern(name, own, before)
            if name in self.clocks:
                found.append(gone or clock_concern(name, own, parts, self.clocks[name]))
                continue
            gone = gone or constant_concern(name, own, before)
            if gone is not None:
                found.append(gone)
                continue
            if self.data.columns[name].type == "category":
                found.append(category_concern(name, own, before))
                continue
            present, past = _present(own), [numbers for each in before if len(numbers := _present(each))]
            known = history_of(past) if len(present) and len(past) >= self.params.least_windows else None
            if known is not None:
                values[name], histories[name] = present, known
        paired = [name for name in values if name != self.data.target]
        lately = [_matrix(window, paired) for window in windows[-LATELY:]]
        found += pair_concerns(_matrix(batch, paired), lately, paired)
        found += numeric_concerns(values, histories, novelty=self.params.novelty)
        return [concern for concern in found if concern is not None]

    def weighed(self, concern: Concern, windows: list[pd.DataFrame]) -> Concern:
        """A concern, one step less grave where the same check would have said so of an earlier window.

        The check is made again on each window that has enough others before it.
        """
        step = GRAVER.index(concern.verdict)
        asked = [name for name in (concern.column, concern.beside) if name]
        for place in range(self.params.least_windows, len(windows) if step else 0):
            for other in self.concerns(windows[place], windows[:place], asked):
                like = (other.column, other.check) == (concern.column, concern.check)
                if like and GRAVER.index(other.verdict) >= step:
                    text = f"{concern.text} (as a window was that ended {windows[place][self.data.time].iloc[-1]:%F})"
                    return replace(concern, verdict=GRAVER[step - 1], text=text)
        return concern


def _has(window: pd.DataFrame, without: Collection[str]) -> bool:
    """Whether all rows of a window came in batches that had a column."""
    return not without or not window["_batch"].isin(without).any()


def _matrix(rows: pd.DataFrame, names: list[str]) -> np.ndarray:
    return rows[names].to_numpy(dtype="float64", na_value=np.nan)


def _present(values: pd.Series) -> np.ndarray:
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    return np.asarray(numbers[np.isfinite(numbers)])
