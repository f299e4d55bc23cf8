"""The feature view: named columns with type and role, and how they become numbers.

It is learned once, on training rows, and stored in the bundle, so that a champion is always scored with its own
preprocessing. The matrix of very many rows is made a piece at a time.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BeforeValidator

from retrim.features.fitted import FittedStep, StepParams, StepRows, learn_steps, past_of
from retrim.features.step import STEPS, counts_of
from retrim.stats.codec import as_numbers, from_record, to_record
from retrim.table.data import ColumnType, DataParams

WHOLE_CELLS = 1 << 26
"""Cells up to which a matrix is made whole: half a gigabyte."""
PIECE_CELLS = 1 << 23
UNSEEN = -1
DIGEST_LENGTH = 32
ONCE = 100_000
"""Keys that are put together before they are hashed."""


@dataclass(frozen=True)
class RowMatrix:
    """Looks like a matrix of float64 that can be read in slices or row by row, and holds one piece of it at most.

    Args:
        rows: What it is of; kept, not copied. `places` says which of them, ascending; None: all.
    """

    rows: pd.DataFrame
    width: int
    make: Callable[[pd.DataFrame], np.ndarray]
    places: np.ndarray | None = None
    _held: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self), self.width

    @property
    def piece(self) -> int:
        """Rows made at once."""
        return max(PIECE_CELLS // max(self.width, 1), 1)

    def __len__(self) -> int:
        return len(self.rows) if self.places is None else len(self.places)

    def at(self, places: np.ndarray) -> "Matrix":
        """The matrix of some of its rows, whole where it is small; no row is copied before it is asked for."""
        rows = places if self.places is None else self.places[places]
        if len(rows) * self.width <= WHOLE_CELLS:
            return self.make(self.rows.iloc[rows])
        return replace(self, places=rows, _held={})

    def __getitem__(self, places: "slice | int | np.ndarray") -> np.ndarray:
        """Rows of the matrix: some, shape (n, width), or one, shape (width,)."""
        if isinstance(places, slice | np.ndarray):
            return self.make(self.rows.iloc[places if self.places is None else self.places[places]])
        number, offset = divmod(int(places), self.piece)
        if number not in self._held:
            self._held.clear()
            self._held[number] = self[number * self.piece : (number + 1) * self.piece]
        row: np.ndarray = self._held[number][offset]
        return row

    def __array__(self, dtype: Any = None, *, copy: bool | None = None) -> np.ndarray:
        """The whole of it, for a model that can take it no other way."""
        return np.asarray(self[:], dtype=dtype)


Matrix = np.ndarray | RowMatrix


def matrix_of(rows: pd.DataFrame, width: int, make: Callable[[pd.DataFrame], np.ndarray]) -> Matrix:
    """The matrix of rows, whole where it is small; the values are the same."""
    return make(rows) if len(rows) * width <= WHOLE_CELLS else RowMatrix(rows, width, make)


@dataclass(frozen=True)
class FeatureColumn:
    """A feature and its type, as a stored view lists them."""

    name: str
    type: ColumnType


def _by_name(listed: Iterable[Mapping[str, Any]]) -> dict[str, ColumnType]:
    columns = (from_record(FeatureColumn, record) for record in listed)
    return {column.name: column.type for column in columns}


@dataclass(frozen=True)
class FeatureView:
    """How rows become a matrix, and targets become numbers.

    A *feature* is a column of the table. The columns of the matrix are the features, where no step prepares them; else
    what the steps make of them.

    Args:
        levels: Known levels of each category column of the matrix; a level's place is its code.
        task: regression, binary or multiclass.
        classes: Classes by code; for a binary task the last is the positive one. Empty for a regression.
        time: The column of the event's time, where a step reads it.
    """

    features: Annotated[dict[str, ColumnType], BeforeValidator(_by_name)]
    levels: dict[str, tuple[str, ...]]
    target: str
    task: str
    classes: tuple[str, ...]
    steps: tuple[FittedStep, ...] = ()
    time: str | None = None

    @classmethod
    def learn(cls, rows: pd.DataFrame, data: DataParams, steps: Sequence[StepParams] = ()) -> "FeatureView":
        """The view of training rows: classes, what the steps learn, and category levels, sorted.

        Raises:
            BadInputError: A step cannot work on its columns.
        """
        classes: tuple[str, ...] = ()
        if data.task == "binary" and data.positive is not None:
            classes = (f"not {data.positive}", data.positive)
        elif data.task == "multiclass":
            classes = _levels(rows[data.target])
        bare = cls(data.features, {}, data.target, data.task, classes, time=time_of(steps, data))
        return bare._learned(rows, steps, strict=True)

    def _learned(self, rows: pd.DataFrame, steps: Sequence[StepParams], *, strict: bool) -> "FeatureView":
        if not steps:
            levels = {name: _levels(rows[name]) for name, kind in self.features.items() if kind == "category"}
            return replace(self, levels=levels)
        fitted, sheet = learn_steps(rows, self.needs, self.actual(rows), self.classes, steps, strict=strict)
        levels = {name: tuple(counts_of(sheet[name])) for name, kind in sheet.kinds.items() if kind == "category"}
        return replace(self, steps=fitted, levels={name: tuple(sorted(known)) for name, known in levels.items()})

    def again(self, rows: pd.DataFrame) -> "FeatureView":
        """The view as it would be, had its steps been learned on these rows alone; itself where there are none.

        Classes stay as they are: an earlier past may lack one.
        """
        return self._learned(rows, [step.declared for step in self.steps], strict=False) if self.steps else self

    @property
    def needs(self) -> dict[str, ColumnType]:
        """Columns that rows must have, and their types: the features, and the event's time where a step reads it."""
        return self.features if self.time is None else {**self.features, self.time: "time"}

    @property
    def columns(self) -> dict[str, ColumnType]:
        """Columns of the matrix and their types, in its order."""
        return {name: kind for name, (kind, _) in self._made().items() if kind != "time"}

    @property
    def sources(self) -> dict[str, str]:
        """Of each column of the matrix, which of `needs` it was made of."""
        return {name: source for name, (kind, source) in self._made().items() if kind != "time"}

    def _made(self) -> dict[str, tuple[ColumnType, str]]:
        columns: dict[str, tuple[ColumnType, str]] = {name: (kind, name) for name, kind in self.needs.items()}
        sources = {name: name for name in columns}
        for step in self.steps:
            for column in step.makes:
                sources[column.name] = sources[column.of]
                columns[column.name] = (column.kind, sources[column.name])
            for name in step.drops:
                columns.pop(name, None)
        return columns

    @property
    def categorical(self) -> list[int]:
        """Places of the category columns in the matrix."""
        return [number for number, name in enumerate(self.columns) if name in self.levels]

    def known_levels(self, feature: str) -> tuple[str, ...] | None:
        """The levels of a category feature that training knew; None of another, or where no step says."""
        for step in self.steps:  # the first that says: later ones may see fewer, as where rare levels became one
            known = step.state.get("levels")
            if isinstance(known, dict) and isinstance(levels := known.get(feature), list | dict):
                return tuple(map(str, levels))
        return self.levels.get(feature)

    def unseen_values(self, rows: pd.DataFrame) -> dict[str, pd.Series]:
        """Of each category feature that has some: the values that training did not know. They count as missing."""
        unseen: dict[str, pd.Series] = {}
        for name, kind in self.features.items():
            known = self.known_levels(name) if kind == "category" and name in rows else None
            if known is not None:
                levels, distinct = set(known), rows[name].dropna().unique()
                unknown = [value for value in distinct if str(value) not in levels]
                unseen |= {name: rows[name][rows[name].isin(unknown)]} if unknown else {}
        return unseen

    def seen(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows with every feature of numbers as numbers: of one that has become text since, what can be read."""
        text = {
            name: as_numbers(rows[name])
            for name, kind in self.features.items()
            if kind in ("number", "integer") and name in rows and not pd.api.types.is_numeric_dtype(rows[name].dtype)
        }
        return rows.assign(**text) if text else rows

    def matrix(self, rows: pd.DataFrame) -> np.ndarray:
        """Rows as float64, shape (n, columns). Missing and unseen levels are NaN."""
        sheet = StepRows(rows, self.needs)
        for step in self.steps:
            step.apply(sheet)
        return self._coded(sheet)

    def digests(self, rows: pd.DataFrame) -> list[str]:
        """A digest of each row as the model sees it: equal where all features are. An unseen level is a missing one."""
        return row_digests(self.matrix(rows))

    def training(self, rows: pd.DataFrame) -> Matrix:
        """The same for rows that a model is fitted on: none is coded by its own label. Very many come in pieces."""
        if not self.steps:
            return matrix_of(rows, len(self.columns), self.matrix)
        sheet, target = StepRows(rows, self.needs), self.actual(rows)
        for step in self.steps:
            step.train(sheet, past_of(sheet, step.columns, target, self.classes))
        return self._coded(sheet)

    def _coded(self, sheet: StepRows) -> np.ndarray:
        columns = []
        for name in self.columns:
            if name in self.levels:
                values = sheet.made.get(name)
                text = sheet.rows[name] if values is None else pd.Series(values, dtype="str")
                codes = _codes(text, self.levels[name])
                columns.append(np.where(codes == UNSEEN, np.nan, codes.astype("float64")))
            elif name in sheet.made:
                columns.append(sheet.made[name])
            else:
                columns.append(as_numbers(sheet.rows[name]).to_numpy(dtype="float64", na_value=np.nan))
        return np.column_stack(columns) if len(sheet.rows) else np.empty((0, len(columns)))

    def by_feature(self, parts: np.ndarray) -> np.ndarray:
        """What belongs to the columns of the matrix, summed over those that one of `needs` was made into: last axis."""
        if not self.steps:
            return parts
        places = {name: column for column, name in enumerate(self.needs)}
        summed = np.zeros((*parts.shape[:-1], len(places)))
        for column, source in enumerate(self.sources.values()):
            summed[..., places[source]] += parts[..., column]
        return summed

    def actual(self, rows: pd.DataFrame) -> np.ndarray:
        """Targets: float64 for a regression, else class codes; `UNSEEN` for a class never trained on."""
        if self.task == "regression":
            return rows[self.target].to_numpy(dtype="float64")
        if self.task == "binary":
            return (rows[self.target] == self.classes[-1]).to_numpy(dtype="int64")
        return _codes(rows[self.target], self.classes)

    def as_record(self) -> dict[str, Any]:
        """JSON types; the codec reads it back. Without steps nothing is said of them."""
        record: dict[str, Any] = {
            "features": [to_record(FeatureColumn(*feature)) for feature in self.features.items()],
            "levels": {name: list(levels) for name, levels in self.levels.items()},
            "target": self.target,
            "task": self.task,
            "classes": list(self.classes),
        }
        if self.steps:
            record["steps"] = [to_record(step) for step in self.steps]
            record["time"] = self.time
            kinds, sources = self.columns, self.sources
            record["columns"] = [{"name": name, "type": kinds[name], "of": sources[name]} for name in kinds]
        return record


def row_digests(matrix: np.ndarray) -> list[str]:
    """A digest of each row of a matrix, shape (n, columns): equal where all values are, with -0 as 0."""
    plain = np.where(np.isnan(matrix), np.nan, matrix) + 0.0  # which makes one NaN of all
    return [sha256(row.tobytes()).hexdigest()[:DIGEST_LENGTH] for row in np.ascontiguousarray(plain, dtype="<f8")]


def time_of(steps: Sequence[StepParams], data: DataParams) -> str | None:
    """The column of the event's time, where one of the steps reads it."""
    return data.time if any("time" in STEPS[step.step].takes for step in steps) else None


def _levels(values: pd.Series) -> tuple[str, ...]:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return tuple(sorted(values.cat.remove_unused_categories().cat.categories.astype("str")))
    return tuple(sorted(values.dropna().astype("str").unique()))


def _codes(values: pd.Series, levels: tuple[str, ...]) -> np.ndarray:
    """The place of each value among the levels; `UNSEEN` for one that is missing or not among them."""
    known = pd.Index(levels, dtype="str")
    if isinstance(values.dtype, pd.CategoricalDtype):  # each category once, not each row
        places = np.append(known.get_indexer(values.cat.categories.astype("str")), UNSEEN)
        return np.asarray(places[values.cat.codes.to_numpy()], dtype="int64")
    return np.asarray(known.get_indexer(pd.Index(values.astype("str"))), dtype="int64")


def order_digest(keys: pd.Series) -> str:
    """SHA-256 of the row keys in their order: another order trains another model where bagging is on."""
    digest = sha256()
    for start in range(0, len(keys), ONCE):
        digest.update("".join(f"{key}\n" for key in keys.iloc[start : start + ONCE]).encode())
    return digest.hexdigest()
