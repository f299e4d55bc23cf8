"""The verdict on a batch that keeps its contract, ok, drifted, suspicious or broken: it is held against windows before.

Windows are stretches of earlier rows as long as the batch, so that each check knows what is usual.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from retrim.batches.columns import category_concern, clock_concern, constant_concern, missing_concern, pair_concerns
from retrim.batches.concern import GRAVER, Concern
from retrim.batches.numbers import NEWEST_FOR_WIDTH, NumericColumn, numeric_concerns
from retrim.batches.whole import cut_concern, resent_concern, twice_concern
from retrim.table.clock_columns import ClockColumn, clock_columns, parts_of
from retrim.table.data import DataParams

VerdictKind = Literal["ok", "drifted", "suspicious", "broken"]
RANK: tuple[VerdictKind, ...] = ("ok", *GRAVER)
LEAST_ROWS = 50  # of a batch whose columns are inspected; in a smaller one, shares are too noisy
LEAST_WINDOWS = 4  # earlier windows of the batch's length; fewer do not show the usual range
MOST_WINDOWS = 60  # of these, the newest: this limits the run time of a verdict


@dataclass(frozen=True)
class History:
    """What came before."""

    rows: pd.DataFrame  # the newest landed rows in order of event time, typed as the batch
    ends: Sequence[pd.Timestamp]  # event time of the newest row of each earlier batch, oldest first
    lags: Sequence[pd.Timedelta]  # from there to the arrival of each
    counts: Sequence[int]  # rows of each
    # of a column that some of these batches landed without: which they are, as `_batch` of the rows
    without: Mapping[str, Collection[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class BatchVerdict:
    """What a batch is, and everything that is not as it was; the gravest first."""

    concerns: tuple[Concern, ...]

    @property
    def kind(self) -> VerdictKind:
        """The gravest of its concerns; ok without any."""
        return max((concern.verdict for concern in self.concerns), key=RANK.index, default="ok")


def look_at(
    batch: pd.DataFrame,
    history: History,
    data: DataParams,
    *,
    arrives: pd.Timestamp,
    skip: Collection[str] = (),
    zone: str = "UTC",
) -> BatchVerdict:
    """Holds a batch against earlier windows as long as it is.

    A change of unit, a swap, a column gone constant, missing or unknown, rows there twice or sent
    before, and a load cut short make a batch broken: nothing that happens in the world does it.
    What could be either is suspicious. What a check says of the batch and would have said of an earlier window
    happens in this table, and counts for one step less. With too few rows, or too short a history, columns say nothing.

    Args:
        batch: Typed rows, shape (n, columns), n at least 1.
        skip: Columns that are not inspected, and names of checks that are left out.
    """
    batch = batch.sort_values(data.time, kind="stable")
    concerns = [cut_concern(batch[data.time], arrives, history.ends, history.lags, history.counts)]
    windows = _windows(history.rows, len(batch))
    if len(batch) >= LEAST_ROWS and len(windows) >= LEAST_WINDOWS:
        names = [name for name in (*data.own_features, data.target) if name not in skip]
        features = [name for name in names if name != data.target]
        clocks = clock_columns(history.rows, features, zone, time=data.time)
        columns = _Columns(data, history.without, clocks, zone)
        concerns += [columns.weighed(concern, windows) for concern in columns.concerns(batch, windows, names)]
        if not data.key:
            concerns.append(twice_concern(batch[list(data.columns)], [rows[list(data.columns)] for rows in windows]))
        # What was sent before cannot be told by columns that were not sent then.
        besides = (data.time, data.due, *data.key, *history.without)
        compared = [name for name in data.columns if name not in besides]
        concerns.append(resent_concern(batch[compared], [rows[compared] for rows in windows]))
    counted = [concern for concern in concerns if concern is not None and concern.check not in skip]
    return BatchVerdict(tuple(sorted(counted, key=lambda concern: (-RANK.index(concern.verdict), concern.column))))


def _windows(rows: pd.DataFrame, length: int) -> list[pd.DataFrame]:
    """The newest whole windows of that many rows, oldest first."""
    count = min(len(rows) // max(length, 1), MOST_WINDOWS)
    start = len(rows) - count * length
    return [rows.iloc[start + number * length : start + (number + 1) * length] for number in range(count)]


@dataclass(frozen=True)
class _Columns:
    """How the columns of a window are held against earlier ones."""

    data: DataParams
    without: Mapping[str, Collection[str]]  # of a column, the batches that landed without it
    clocks: Mapping[str, ClockColumn]  # columns that the event time decides
    zone: str

    def concerns(self, batch: pd.DataFrame, windows: list[pd.DataFrame], names: Sequence[str]) -> list[Concern]:
        """What is the matter with some columns of a window."""
        concerns: list[Concern | None] = []
        numeric: list[NumericColumn] = []
        parts = parts_of(batch[self.data.time], self.zone) if any(name in self.clocks for name in names) else {}
        for name in names:
            without = self.without.get(name, ())
            sent = [rows for rows in windows if not without or not rows["_batch"].isin(without).any()]
            column, before = batch[name], [rows[name] for rows in sent]
            if len(before) < LEAST_WINDOWS:  # it is new: nobody knows how it usually is
                continue
            gravest = missing_concern(name, column, before)
            if name in self.clocks:
                concerns.append(gravest or clock_concern(name, column, parts, self.clocks[name]))
                continue
            gravest = gravest or constant_concern(name, column, before, self._tellers(batch, sent, name))
            if gravest is not None or self.data.columns[name].type == "category":
                concerns.append(gravest or category_concern(name, column, before))
                continue
            present, past = _present(column), [numbers for rows in before if len(numbers := _present(rows))]
            if len(present) and len(past) >= LEAST_WINDOWS:
                numeric.append(NumericColumn(name, present, past))
        paired = [column.name for column in numeric if column.name != self.data.target]
        lately = [_matrix(window, paired) for window in windows[-NEWEST_FOR_WIDTH:]]
        concerns += pair_concerns(_matrix(batch, paired), lately, paired)
        concerns += numeric_concerns(numeric)
        return [concern for concern in concerns if concern is not None]

    def _tellers(
        self, batch: pd.DataFrame, windows: list[pd.DataFrame], name: str
    ) -> Iterator[tuple[pd.Series, pd.Series]]:
        """What may say which value a column has to have: the day of the event time, and the other features."""
        past = pd.concat(windows)
        batch_day, past_day = (rows[self.data.time].dt.tz_convert(self.zone).dt.day_of_year for rows in (batch, past))
        yield batch_day, past_day
        for other in self.data.own_features:
            if other != name and not self.without.get(other):
                yield batch[other], past[other]

    def weighed(self, concern: Concern, windows: list[pd.DataFrame]) -> Concern:
        """A concern, one step less grave where the same check would have said so of an earlier window.

        The check is made again on each window that has enough others before it.
        """
        step = GRAVER.index(concern.verdict)
        names = [name for name in (concern.column, concern.beside) if name]
        for end in range(LEAST_WINDOWS, len(windows) if step else 0):
            for other in self.concerns(windows[end], windows[:end], names):
                alike = (other.column, other.check) == (concern.column, concern.check)
                if alike and GRAVER.index(other.verdict) >= step:
                    text = f"{concern.text} (like the window that ended {windows[end][self.data.time].iloc[-1]:%F})"
                    return replace(concern, verdict=GRAVER[step - 1], text=text)
        return concern


def _matrix(rows: pd.DataFrame, names: list[str]) -> np.ndarray:
    return rows[names].to_numpy(dtype="float64", na_value=np.nan)


def _present(values: pd.Series) -> np.ndarray:
    numbers = values.to_numpy(dtype="float64", na_value=np.nan)
    return np.asarray(numbers[np.isfinite(numbers)])
