"""What a step of preparation is: it learns a state from training rows, and applies it to rows of any kind.

A column of numbers is float64 with NaN for a missing cell, a column of categories holds text or None, a column of
times is datetime64 in UTC. A step sees its own columns and no others.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np

from retrim.core.plugins import Registry

Kind = Literal["number", "category", "time"]
Frame = dict[str, np.ndarray]
LARGEST = float(np.finfo("float64").max)


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
            return {"": self.target.astype("float64")}
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
