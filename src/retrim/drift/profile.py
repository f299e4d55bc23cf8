"""The profile: how the reference was distributed, block by block, so that a check needs none of its rows.

The model's predictions as columns: what drift tests look at where labels are still to come. Two windows of a column
side by side, for people: a few bars instead of the many cells that tests look at.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import pandas as pd

from retrim.drift.alarms import Nulls
from retrim.drift.cells import CategoryCells, Cells, Counts, NumericCells, as_floats, shares
from retrim.drift.slices import slice_name
from retrim.errors import BadInputError, EmptyWindowError
from retrim.features.view import FeatureView
from retrim.stats.codec import from_parquet, from_record, to_json, to_parquet, to_record
from retrim.table.data import ColumnType

FILES = ("profile.json", "counts.parquet", "blocks.parquet", "sample.parquet")
NULLS = "nulls.json"  # beside them, where some are kept
LEAST_SPANS = 50  # fewer whole spans say too little of how one differs from the next
SCORE, CONFIDENCE, TARGET, TOGETHER = "predictions", "confidence", "target", "all columns together"
"""What drift tests look at beside the features."""
MOST_BARS = 24
"""Bars of a column, beside those of the ends and of the missing values."""
TAIL = 0.01
"""Share of a window beyond either end of the range that is cut into equal bars."""


@dataclass(frozen=True)
class ProfileParams:
    """What is kept of the rows a model was made from: arguments of the code, and no settings."""

    cells: int = 120  # quantile cells of a numeric column
    levels: int = 100  # categories of a column; one with more is hashed
    buckets: int = 64  # cells of a hashed column
    block: str = "1D"  # length of the spans that form the blocks, if the history holds enough of them
    most_blocks: int = 1000
    block_rows: int = 20  # rows of a block at least, on average
    sample_rows: int = 20000  # rows kept for joint tests, at most
    seed: int = 7  # of the sample


@dataclass(frozen=True)
class ProfiledColumn:
    """What a column is, and what it was counted in, as a file keeps them."""

    kind: Literal["numeric", "categorical"]
    cells: Cells


@dataclass(frozen=True)
class ColumnProfile(ProfiledColumn):
    """How a column was distributed in the reference, block by block."""

    counts: np.ndarray  # rows of each block in each cell, the missing last: int64, shape (blocks, cells.size + 1)

    def window(self) -> Counts:
        """The reference as one window."""
        return Counts(self.cells, self.counts.sum(axis=0))

    def of(self, values: pd.Series) -> Counts:
        """Another window of the same column, counted in the same cells."""
        return Counts(self.cells, self.cells.count(values))


@dataclass(frozen=True)
class ProfileRecord:
    """The columns of a profile, and their order."""

    columns: dict[str, ProfiledColumn]
    order: tuple[str, ...]


@dataclass(frozen=True)
class Profile:
    """The reference in short."""

    columns: dict[str, ColumnProfile]
    blocks: pd.DataFrame  # a row a block, in time order: `first` and `last` event time, `rows`
    sample: pd.DataFrame  # rows drawn from it, in time order: its columns and `_event`
    # how far windows without drift stray, as far as that was worked out when the profile was made
    nulls: Nulls = field(default_factory=Nulls)

    @property
    def rows(self) -> int:
        """Rows of the reference."""
        return int(self.blocks["rows"].sum())

    def without(self, names: Collection[str]) -> "Profile":
        """The profile without some columns, and without nulls."""
        columns = {name: column for name, column in self.columns.items() if name not in names}
        return Profile(columns, self.blocks, self.sample.drop(columns=list(names), errors="ignore"))

    def as_files(self) -> dict[str, bytes]:
        """Names and bytes of the files that hold it; same profile, same bytes."""
        counts = pd.DataFrame(
            {
                "column": pd.Series(list(self.columns), dtype="str"),
                "counts": pd.Series([column.counts.ravel() for column in self.columns.values()], dtype="object"),
            }
        )
        frames = (counts, self.blocks, self.sample)
        written = {name: to_parquet(frame) for name, frame in zip(FILES[1:], frames, strict=True)}
        if self.nulls != Nulls():
            written[NULLS] = to_json(to_record(self.nulls))
        columns = {name: ProfiledColumn(column.kind, column.cells) for name, column in self.columns.items()}
        return {FILES[0]: to_json(to_record(ProfileRecord(columns, tuple(columns)))), **written}

    @classmethod
    def from_files(cls, files: Mapping[str, bytes]) -> "Profile":
        """The profile that `as_files` wrote.

        Raises:
            KeyError: A file is missing.
        """
        record = from_record(ProfileRecord, json.loads(files[FILES[0]]))
        counts, blocks, sample = (from_parquet(files[name]) for name in FILES[1:])
        flat = dict(zip(counts["column"], counts["counts"], strict=True))
        columns = {
            name: ColumnProfile(column.kind, column.cells, np.asarray(flat[name]).reshape(len(blocks), -1))
            for name, column in ((name, record.columns[name]) for name in record.order)
        }
        nulls = from_record(Nulls, json.loads(files[NULLS])) if NULLS in files else Nulls()
        return cls(columns, blocks, sample, nulls)


def make_profile(rows: pd.DataFrame, columns: Mapping[str, ColumnType], params: ProfileParams, *, time: str) -> Profile:
    """The profile of a reference, whose rows are in order of time.

    Raises:
        EmptyWindowError: No rows.
        BadInputError: A column is not there.
    """
    if len(rows) == 0:
        raise EmptyWindowError("reference")
    lacking = [name for name in (time, *columns) if name not in rows.columns]
    if lacking:
        raise BadInputError(f"the reference lacks the columns {', '.join(lacking)}; add these columns")
    kinds = {name: kind for name, kind in columns.items() if kind != "time"}
    starts = block_starts(rows[time], params)
    sizes = np.diff(np.append(starts, len(rows)))
    first, last = (rows[time].iloc[places].array for places in (starts, starts + sizes - 1))
    blocks = pd.DataFrame({"first": first, "last": last, "rows": sizes.astype("int64")})
    block = np.repeat(np.arange(len(starts)), sizes)
    drawn = np.random.default_rng(params.seed).permutation(len(rows))[: params.sample_rows]
    sample = rows.iloc[np.sort(drawn)][list(kinds)].assign(_event=rows[time].iloc[np.sort(drawn)])
    coded = [name for name in sample if isinstance(sample[name].dtype, pd.CategoricalDtype)]
    sample = sample.astype(dict.fromkeys(coded, "str"))
    profiles = {name: _column(rows[name], kind, block, len(starts), params) for name, kind in kinds.items()}
    return Profile(profiles, blocks, sample.reset_index(drop=True))


def block_starts(event: pd.Series, params: ProfileParams) -> np.ndarray:
    """Row numbers at which the blocks of a reference begin, the first of them 0.

    A block is 1, 2, 4, ... spans `params.block`, counted from 1970, when that gives at least 50 blocks
    within the bounds of `params`; else blocks have about equal rows.
    """
    n = len(event)
    most = max(min(params.most_blocks, n // params.block_rows), 1)
    span = pd.Timedelta(params.block)
    if span > pd.Timedelta(0):
        unit = ((event - pd.Timestamp(0, tz=event.dt.tz)) // span).to_numpy()
        starts = np.arange(n)
        width = 1
        while len(starts) >= LEAST_SPANS:
            starts = np.flatnonzero(np.append(True, np.diff(unit // width) > 0))
            if LEAST_SPANS <= len(starts) <= most:
                return starts
            width *= 2
    return np.array([part[0] for part in np.array_split(np.arange(n), most)])


def _column(
    values: pd.Series, kind: ColumnType, block: np.ndarray, blocks: int, params: ProfileParams
) -> ColumnProfile:
    cells: Cells
    if kind == "category":
        cells = CategoryCells.cut(values, levels=params.levels, buckets=params.buckets)
    else:
        cells = NumericCells.cut(values, cells=params.cells)
    wide = cells.size + 1
    counts = np.bincount(block * wide + cells.place(values), minlength=blocks * wide).reshape(blocks, wide)
    return ColumnProfile("categorical" if kind == "category" else "numeric", cells, counts.astype("int64"))


def drift_name(feature: str) -> str:
    """The name of a feature in drift findings: in quotes if something else that is tested has that name."""
    return f'"{feature}"' if feature in (SCORE, CONFIDENCE, TARGET, TOGETHER) else feature


def score_types(task: str) -> dict[str, ColumnType]:
    """Names and types of the columns that `score_columns` gives for a model of a task."""
    if task == "regression":
        return {SCORE: "number"}
    return {SCORE: "category" if task == "multiclass" else "number", CONFIDENCE: "number"}


def score_columns(predicted: np.ndarray, view: FeatureView) -> pd.DataFrame:
    """What a model said of each row, from predictions of shape (n,), or (n, classes) for a multiclass task.

    `predictions`: the prediction of a regression, the probability of the positive class, or the most probable class.
    `confidence`, for a task of classes: the probability of the most probable one.
    """
    if view.task == "regression":
        return pd.DataFrame({SCORE: predicted.astype("float64")})
    if view.task == "binary":
        return pd.DataFrame({SCORE: predicted, CONFIDENCE: np.maximum(predicted, 1 - predicted)})
    best = predicted.argmax(axis=1) if len(predicted) else np.empty(0, dtype="int64")
    named = pd.Series([view.classes[code] for code in best], dtype="str")
    return pd.DataFrame({SCORE: named, CONFIDENCE: predicted.max(axis=1, initial=0.0)})


@dataclass(frozen=True)
class WindowBar:
    """A range of values or a category, and the share of each window in it, 0 to 1."""

    label: str
    reference: float
    current: float


def compare_windows(reference: ColumnProfile, values: pd.Series) -> tuple[WindowBar, ...]:
    """Bars of a column in the reference and in another window.

    A numeric column with few cells has a bar for each; else bars are equally wide between the outer hundredths of both
    windows. Of categories the most frequent have a bar, the others share one.
    """
    cells = reference.cells
    windows = reference.window(), reference.of(values)
    rows = np.stack([shares(window.rows.astype("float64")) for window in windows])
    if isinstance(cells, CategoryCells):
        labels, groups = _of_categories(cells, rows)
    elif cells.size <= MOST_BARS:
        labels, groups = [slice_name(cells, cell) for cell in range(cells.size)], np.arange(cells.size)
    else:
        return _of_numbers(cells, rows, as_floats(values))
    placed = np.append(groups, len(labels))
    of_reference, of_current = (np.bincount(placed, weights=window, minlength=len(labels) + 1) for window in rows)
    return _bars(labels, of_reference, of_current)


def _of_numbers(cells: NumericCells, rows: np.ndarray, values: np.ndarray) -> tuple[WindowBar, ...]:
    """Equally wide bars, from shares of shape (2, cells + 1); rows of the reference lie at the mean of their cell."""
    middles, present = cells.mean + cells.sd * cells.places, values[np.isfinite(values)]
    within = np.cumsum(rows[0, :-1]) / max(rows[0, :-1].sum(), TAIL)
    ends = [middles[min(int(np.searchsorted(within, at)), cells.size - 1)] for at in (TAIL, 1 - TAIL)]
    if len(present):
        ends += list(np.quantile(present, [TAIL, 1 - TAIL]))
    edges = np.linspace(min(ends), max(ends), MOST_BARS + 1)
    labels = [f"{start:.4g} to {end:.4g}" for start, end in pairwise(edges)]
    labels = [f"below {edges[0]:.4g}", *labels, f"{edges[-1]:.4g} and above"]

    def placed(numbers: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.bincount(np.searchsorted(edges, numbers, side="right"), weights=weights, minlength=len(labels))

    known = ~np.isnan(values)
    current = placed(values[known], np.full(int(known.sum()), 1 / max(len(values), 1)))
    return _bars(labels, np.append(placed(middles, rows[0, :-1]), rows[0, -1]), np.append(current, rows[1, -1]))


def _bars(labels: list[str], reference: np.ndarray, current: np.ndarray) -> tuple[WindowBar, ...]:
    """A bar a label, and one of the missing values where there are any."""
    named = zip([*labels, "missing"], reference, current, strict=True)
    bars = tuple(WindowBar(label, float(before), float(now)) for label, before, now in named)
    return bars if bars[-1].reference or bars[-1].current else bars[:-1]


def _of_categories(cells: CategoryCells, rows: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The same of categories, the most frequent in either window first."""
    names = [f"hashed {bucket}" for bucket in range(cells.buckets)] or [*cells.levels, "not in the reference"]
    heaviest = rows[:, : cells.size].max(axis=0)
    order = np.argsort(-heaviest, kind="stable")
    frequent = [int(cell) for cell in order[:MOST_BARS] if heaviest[cell] > 0]
    groups = np.full(cells.size, len(frequent))
    groups[frequent] = np.arange(len(frequent))
    rest = [f"{cells.size - len(frequent)} others"] if cells.size > len(frequent) else []
    return [names[cell] for cell in frequent] + rest, groups
