"""What a step of preparation is: it learns a state from training rows, and applies it to rows of any kind.

A column of numbers is float64 with NaN for a missing cell, a column of categories holds text or None, a column of
times is datetime64 in UTC. A step sees its own columns and no others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from retrim.core.estimators import estimator_from_record, estimator_to_record
from retrim.core.plugins import Registry

Kind = Literal["number", "category", "time"]
Frame = dict[str, np.ndarray]
LARGEST = 1e100
"""Numbers beyond it, and infinite ones, are held at it: squares and sums of what steps see stay finite."""


@dataclass(frozen=True)
class Past:
    """Training rows, in total order, as the steps before have made them.

    Args:
        frame: The step's columns.
        target: Of each row: a number, or the code of its class; shape (n,).
        classes: Names of the classes by code; empty for a regression.
        event: When each row happened, datetime64.
        due: When its label had to be known, datetime64.
    """

    frame: Frame
    target: np.ndarray
    classes: tuple[str, ...]
    event: np.ndarray
    due: np.ndarray

    @property
    def rows(self) -> int:
        return len(self.target)

    @property
    def outcomes(self) -> dict[str, np.ndarray]:
        """What is to be told, as numbers: the target; whether it is the last of two classes; of more, each by name."""
        if not self.classes:
            return {"": held(self.target.astype("float64"))}
        of = {name: (self.target == place).astype("float64") for place, name in enumerate(self.classes)}
        return of if len(of) > 2 else {"": of[self.classes[-1]]}


@dataclass(frozen=True)
class Made:
    """A column that a step writes: what it holds, and the column that it is made of."""

    kind: Kind
    of: str


@dataclass(frozen=True)
class Learned:
    """What a step learned.

    Args:
        state: All that applying takes, in JSON types.
        makes: Columns it writes; one that is there already is replaced in its place.
        drops: Columns that are there no longer.
        said: What it found, for a reader; applying does without.
    """

    state: dict[str, Any]
    makes: dict[str, Made]
    drops: tuple[str, ...] = ()
    said: dict[str, Any] = field(default_factory=dict)


class Step:
    """A step.

    `learn(past, *, ...)` gives the state of training rows, of which there may be none. The step's arguments are its
    keywords, typed with their bounds, and none has a default.
    """

    learn: Callable[..., Learned]

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        """The columns it makes of rows; each row by itself."""
        raise NotImplementedError

    def train(self, past: Past, state: Mapping[str, Any]) -> Frame:
        """The same for rows that a model is fitted on, whose labels the state may have been learned from."""
        return self.apply(past.frame, state)

    def kept(self, frame: Frame, state: Mapping[str, Any]) -> np.ndarray | None:
        """Which rows a model is fitted on, shape (n,); None: all. No row that is predicted is ever dropped."""
        return None


STEPS: Registry[Step] = Registry("step")
Kinds = tuple[Kind, ...]
NUMBERS: Kinds = ("number",)
CATEGORIES: Kinds = ("category",)
ANY: Kinds = ("number", "category")
TIMES: Kinds = ("time",)
S = TypeVar("S", bound=Step)


def step(name: str, *, takes: Kinds, gives: Kind | Literal["same", "gone"]) -> Callable[[type[S]], type[S]]:
    """Decorator that enters a step.

    Args:
        name: As params.yaml says it.
        takes: Kinds of column that it can work on.
        gives: What such a column is afterwards, if it is known before anything is learned.
    """

    def enter(kind: type[S]) -> type[S]:
        STEPS.register(name, takes=takes, gives=gives)(kind())
        return kind

    return enter


class ColumnStep(Step):
    """A step that fits scikit-learn estimators on each column. A column of which nothing is known stays as it is."""

    def fit_column(self, values: np.ndarray) -> list[Any]:
        """Estimators that transform a column one after the other: fitted, or with all they learned as parameters.

        Args:
            values: Shape (n, 1), one or more of them known.
        """
        raise NotImplementedError

    def learn(self, past: Past) -> Learned:
        fitted = {
            name: [estimator_to_record(each) for each in self.fit_column(values[:, None])]
            if known(values).any()
            else []
            for name, values in past.frame.items()
        }
        return Learned({"fitted": fitted}, {name: Made(kind_of(values), name) for name, values in past.frame.items()})

    def apply(self, frame: Frame, state: Mapping[str, Any]) -> Frame:
        return {name: transform_column(state["fitted"][name], values) for name, values in frame.items()}


def transform_column(records: Sequence[Mapping[str, Any]], values: np.ndarray) -> np.ndarray:
    """What stored estimators make of a column one after the other, shape (n,); of no rows, the column itself."""
    for record in records if len(values) else ():
        with np.errstate(over="ignore"):
            values = estimator_from_record(record).transform(values[:, None])[:, 0]
        values = values if values.dtype == object else held(values)
    return values


def transform_texts(records: Sequence[Mapping[str, Any]], texts: np.ndarray, *, width: int, nested: bool) -> np.ndarray:
    """What stored estimators make of texts, each distinct one once, shape (n, width); NaN of a missing one.

    Args:
        records: Estimators, one after the other. None: 0 of every text.
        texts: Shape (n,).
        width: Columns. Those beyond what the estimators make are 0.
        nested: Whether they take rows of one cell, as encoders do, or texts.
    """
    places, distinct = pd.factorize(texts)  # the place of a missing one is -1: the last
    made = np.zeros((len(distinct) + 1, width))
    if len(distinct) and records:
        values: Any = distinct[:, None] if nested else distinct
        for record in records:
            values = estimator_from_record(record).transform(values)
        made[:-1, : values.shape[1]] = values if isinstance(values, np.ndarray) else values.toarray()
    made[-1] = np.nan
    return np.asarray(made[places])


def held(values: np.ndarray) -> np.ndarray:
    """Numbers with those beyond `LARGEST` held at it; missing ones stay missing."""
    return np.asarray(np.clip(values, -LARGEST, LARGEST))


def same(past: Past, kind: Kind) -> dict[str, Made]:
    """Each column of the step, replaced by one of `kind`."""
    return {name: Made(kind, name) for name in past.frame}


def known(values: np.ndarray) -> np.ndarray:
    """Which cells are not missing, shape (n,)."""
    if values.dtype == object:
        return np.array([value is not None for value in values], dtype=bool)
    return np.asarray(~np.isnat(values) if values.dtype.kind == "M" else ~np.isnan(values))


def kind_of(values: np.ndarray) -> Kind:
    """What a column holds."""
    return "category" if values.dtype == object else "number"


def codes_of(values: np.ndarray, levels: list[str]) -> np.ndarray:
    """The place of each text among the levels, shape (n,); -1 for one that is missing or not among them."""
    places = {level: place for place, level in enumerate(levels)}
    return np.array([places.get(value, -1) for value in values], dtype="int64")


def counts_of(values: np.ndarray) -> dict[str, int]:
    """Rows of each level, the most frequent first, those alike by name."""
    found: dict[str, int] = {}
    for value in values:
        if value is not None:
            found[value] = found.get(value, 0) + 1
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
