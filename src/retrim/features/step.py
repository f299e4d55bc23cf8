"""What a step of preparation is: it learns a state from training rows, and applies it to rows of any kind.

A column of numbers is float64 with NaN for a missing cell, a column of categories holds text or None, a column of
times is datetime64 in UTC.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from pydantic import JsonValue

from retrim.stats.plugins import PluginRegistry, arguments_of, read_arguments

Kind = Literal["number", "category", "time"]
Frame = dict[str, np.ndarray]
LARGEST = 1e100
"""Numbers beyond it, and infinite ones, are held at it: squares and sums of what steps see stay finite."""
L = TypeVar("L")
Kinds = tuple[Kind, ...]
NUMBERS: Kinds = ("number",)
CATEGORIES: Kinds = ("category",)
ANY: Kinds = ("number", "category")
TIMES: Kinds = ("time",)


@dataclass(frozen=True)
class TrainingRows:
    """Training rows, in total order, as the steps before have made them: columns of a step, and times as datetime64.

    Args:
        target: Of each row: a number, or the code of its class; shape (n,).
        classes: Names of the classes by code; empty for a regression.
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
        of = {name: (self.target == code).astype("float64") for code, name in enumerate(self.classes)}
        return of if len(of) > 2 else {"": of[self.classes[-1]]}


@dataclass(frozen=True)
class StepColumn:
    """A column that a step writes, as a bundle keeps it: what it holds, and the column that it is made of."""

    kind: Kind
    of: str
    name: str


@dataclass(frozen=True)
class StepState(Generic[L]):
    """What a step learned.

    Args:
        state: All that applying takes, as the record that a bundle keeps.
        makes: Columns it writes; one that is there already is replaced in its place.
        said: For a reader; applying does without.
    """

    state: L
    makes: tuple[StepColumn, ...]
    drops: tuple[str, ...] = ()
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Nothing:
    """The state of a step that learns nothing that applying takes."""


class PreprocessingStep(Generic[L]):
    """A step.

    `learn(past, *, ...)` gives the state of training rows, of which there may be none: a dataclass, named as `learned`.
    The arguments of a step of our own are its keywords, typed with their bounds, and none has a default.
    """

    takes: "Kinds"
    gives: "Kind | Literal['same', 'gone']"
    learned: type[L]
    learn: Callable[..., StepState[L]]

    def apply(self, frame: Frame, state: L) -> Frame:
        """The columns it makes of rows; each row by itself."""
        raise NotImplementedError

    def train(self, past: TrainingRows, state: L) -> Frame:
        """The same for rows that a model is fitted on, whose labels the state may have been learned from."""
        return self.apply(past.frame, state)

    def read(self, name: str, given: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """The arguments as their types read them, or a ValueError."""
        taken = arguments_of(self.learn)
        if sorted(taken) != sorted(given):
            listed = ", ".join(sorted(given)) or "none"
            raise ValueError(f"{name} has the arguments: {listed}; set exactly these: {', '.join(taken) or 'none'}")
        return read_arguments(name, taken, given)


STEPS: PluginRegistry[PreprocessingStep[Any]] = PluginRegistry("step")
S = TypeVar("S", bound=PreprocessingStep[Any])


def step(name: str, *, takes: Kinds, gives: Kind | Literal["same", "gone"]) -> Callable[[type[S]], type[S]]:
    """Decorator that enters a step."""

    def enter(kind: type[S]) -> type[S]:
        kind.takes, kind.gives = takes, gives
        STEPS.register(name, takes=takes, gives=gives)(kind())
        return kind

    return enter


def held(values: np.ndarray) -> np.ndarray:
    """Numbers with those beyond `LARGEST` held at it; missing ones stay missing."""
    return np.asarray(np.clip(values, -LARGEST, LARGEST))


def same(past: TrainingRows, kind: Kind) -> tuple[StepColumn, ...]:
    """Each column of the step, replaced by one of `kind`."""
    return tuple(StepColumn(kind, name, name) for name in past.frame)


def known(values: np.ndarray) -> np.ndarray:
    """Which cells are not missing, shape (n,)."""
    if values.dtype == object:
        return np.array([value is not None for value in values], dtype=bool)
    return np.asarray(~np.isnat(values) if values.dtype.kind == "M" else ~np.isnan(values))


def kind_of(values: np.ndarray) -> Kind:
    return "category" if values.dtype == object else "number"


def counts_of(values: np.ndarray) -> dict[str, int]:
    """Rows of each level, the most frequent first, those alike by name."""
    counts = Counter(value for value in values if value is not None)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
