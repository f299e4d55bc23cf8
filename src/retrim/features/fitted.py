"""Declared steps of `prepare`: held to the table, learned on training rows, applied alike wherever rows come from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, JsonValue, model_serializer, model_validator

from retrim.errors import BadInputError, UnknownNameError
from retrim.features import encoders as _encoders  # noqa: F401  registers its steps
from retrim.features import numbers as _numbers  # noqa: F401  as above
from retrim.features import transformers as _transformers  # noqa: F401  as above
from retrim.features.step import STEPS, Frame, Kind, StepColumn, TrainingRows, held
from retrim.stats.codec import as_numbers, from_record, to_record
from retrim.stats.plugins import SettingsSection
from retrim.table.data import ColumnType, DataParams

OWN = ("step", "columns")


class StepParams(SettingsSection):
    """One step: its name, the columns it works on, and its arguments beside them."""

    step: str = Field(description="name of the step")
    columns: tuple[str, ...] | Literal["all"] = Field(
        description="columns, in order; all: every column that the step accepts"
    )
    arguments: dict[str, JsonValue] = Field(
        description="arguments of the step, written as keys beside step and columns"
    )

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise ValueError("write a step as {step: NAME, columns: [...], ...arguments}")  # noqa: TRY004  pydantic takes this one
        fields = {name: given[name] for name in OWN if name in given}
        return {**fields, "arguments": {name: value for name, value in given.items() if name not in OWN}}

    @model_serializer
    def _spread(self) -> dict[str, JsonValue]:
        columns: JsonValue = self.columns if isinstance(self.columns, str) else [*self.columns]
        return {"step": self.step, "columns": columns, **self.arguments}

    @model_validator(mode="after")
    def _known(self) -> "StepParams":
        try:
            entry = STEPS.entry(self.step)
        except UnknownNameError as wrong:
            raise ValueError(str(wrong)) from wrong
        if not isinstance(self.columns, str):
            twice = sorted({name for name in self.columns if self.columns.count(name) > 1})
            if twice or not self.columns:
                raise ValueError(
                    f"columns: {', '.join(twice)} listed twice; list each column once"
                    if twice
                    else "columns: the list is empty; list at least one column, or write all"
                )
        self.arguments.update(entry.value.read(self.step, self.arguments))
        return self


class PrepareParams(SettingsSection):
    """How features are prepared for a model."""

    steps: tuple[StepParams, ...] = Field(
        default=(), description="preprocessing steps, in order; if empty, the model gets the features unchanged"
    )


def faults_of(prepare: PrepareParams, data: DataParams) -> list[str]:
    """Where the steps do not fit the table, in sentences. Columns that only learning knows are passed over."""
    kinds: dict[str, str | None] = {data.time: "time"}
    kinds |= {name: "number" if kind == "integer" else kind for name, kind in data.features.items()}
    faults = []
    for number, declared in enumerate(prepare.steps):
        step, names = STEPS[declared.step], declared.columns
        if isinstance(names, str):
            names = tuple(name for name, kind in kinds.items() if kind in step.takes)
        for name in names:
            where = f"prepare.steps.{number}: {declared.step}"
            if name not in kinds and not any(name.startswith((f"{column}:", f"{column}=")) for column in kinds):
                can = ", ".join(column for column, kind in kinds.items() if kind in step.takes)
                faults.append(f"{where}: {name!r} is not a column that the step accepts; name one of: {can or 'none'}")
                continue
            kind = kinds.get(name, "made")
            if kind is None:
                faults.append(
                    f"{where}: {name!r} no longer exists after an earlier step; move this step before that one"
                )
            elif kind != "made" and kind not in step.takes:
                faults.append(
                    f"{where}: {name!r} is a {kind} here, but the step accepts {' and '.join(step.takes)}; choose a "
                    "different column"
                )
            elif kind != "made" and step.gives != "same":
                kinds[name] = None if step.gives == "gone" else step.gives
    return faults


def values_of(rows: pd.DataFrame, name: str, kind: ColumnType) -> np.ndarray:
    """A column of a table as a step sees it; what is infinite or beyond `LARGEST` is held there."""
    column = rows[name]
    if kind == "time":
        return np.asarray(pd.to_datetime(column, utc=True).dt.tz_localize(None).to_numpy("datetime64[us]"))
    if kind == "category":
        text = column.astype("str")
        words = text.to_numpy(dtype=object, copy=True)
        words[text.isna().to_numpy()] = None
        return np.asarray(words)
    return held(as_numbers(column).to_numpy(dtype="float64", na_value=np.nan))


class StepRows:
    """Rows, and the columns that steps see."""

    def __init__(self, rows: pd.DataFrame, kinds: Mapping[str, ColumnType]) -> None:
        self.rows = rows
        self.kinds: dict[str, ColumnType] = dict(kinds)
        self.sources = {name: name for name in kinds}
        self.made: Frame = {}
        self.dropped: set[str] = set()

    def __getitem__(self, name: str) -> np.ndarray:
        return self.made[name] if name in self.made else values_of(self.rows, name, self.kinds[name])

    def kind(self, name: str) -> Kind:
        """What a column holds; an integer is a number."""
        kind = self.kinds[name]
        return "number" if kind == "integer" else kind

    def frame(self, names: tuple[str, ...]) -> Frame:
        return {name: self[name] for name in names}

    def put(self, makes: Iterable[StepColumn], drops: tuple[str, ...], values: Frame) -> None:
        """Writes what a step made, and drops what it did away with.

        Raises:
            BadInputError: A column that it adds is there already.
        """
        for column in makes:
            name = column.name
            if name in self.kinds and column.of != name:
                raise BadInputError(
                    f"prepare.steps: a step creates column {name!r}, which already exists; rename the existing "
                    "column, or remove the step"
                )
            self.sources[name] = self.sources[column.of]
            self.kinds[name] = column.kind
            self.made[name] = held(values[name]) if column.kind == "number" else values[name]
        for name in drops:
            self.kinds.pop(name, None)
            self.made.pop(name, None)
            self.dropped.add(name)


@dataclass(frozen=True)
class FittedStep:
    """A step with what it learned."""

    declared: StepParams
    columns: tuple[str, ...]
    state: dict[str, JsonValue] = field(repr=False)
    makes: tuple[StepColumn, ...]
    drops: tuple[str, ...]
    said: dict[str, JsonValue]

    @cached_property
    def learned(self) -> Any:
        """The state as the step's own record."""
        return from_record(STEPS[self.declared.step].learned, self.state)

    def apply(self, sheet: StepRows) -> None:
        """Works on rows that are predicted."""
        sheet.put(self.makes, self.drops, STEPS[self.declared.step].apply(sheet.frame(self.columns), self.learned))

    def train(self, sheet: StepRows, past: TrainingRows) -> None:
        """Works on rows that a model is fitted on."""
        sheet.put(self.makes, self.drops, STEPS[self.declared.step].train(past, self.learned))


def learn_steps(
    rows: pd.DataFrame,
    kinds: Mapping[str, ColumnType],
    target: np.ndarray,
    classes: tuple[str, ...],
    declared: Sequence[StepParams],
    *,
    strict: bool,
) -> tuple[tuple[FittedStep, ...], StepRows]:
    """Each step, learned on what those before it made of the training rows, and the rows as a model is fitted on them.

    Raises:
        BadInputError: A column is not there, or a step cannot take it.
    """
    sheet, steps = StepRows(rows, kinds), []
    for number, step in enumerate(declared):
        where = f"prepare.steps.{number}: {step.step}"
        columns = _columns(sheet, step, where, strict=strict)
        past = past_of(sheet, columns, target, classes)
        learned = STEPS[step.step].learn(past, **step.arguments)
        fitted = FittedStep(step, columns, to_record(learned.state), learned.makes, learned.drops, learned.said)
        fitted.train(sheet, past)
        steps.append(fitted)
    if not any(kind != "time" for kind in sheet.kinds.values()):
        raise BadInputError("prepare.steps: the steps leave no feature for a model; drop fewer columns")
    return tuple(steps), sheet


def past_of(sheet: StepRows, columns: tuple[str, ...], target: np.ndarray, classes: tuple[str, ...]) -> TrainingRows:
    """The rows of a sheet as a step learns from them."""
    event, due = (
        sheet.rows[name].dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
        for name in ("_event", "_due")
    )
    return TrainingRows(sheet.frame(columns), target, classes, event, due)


def _columns(sheet: StepRows, declared: StepParams, where: str, *, strict: bool) -> tuple[str, ...]:
    takes = STEPS[declared.step].takes
    if isinstance(declared.columns, str):
        return tuple(name for name in sheet.kinds if sheet.kind(name) in takes)
    there = tuple(name for name in declared.columns if name in sheet.kinds)
    for name in declared.columns:
        if strict and name not in sheet.kinds and name not in sheet.dropped:
            raise BadInputError(
                f"{where}: {name!r} is not a column at this step; name one of: {', '.join(sheet.kinds)}"
            )
    for name in there:
        if sheet.kind(name) not in takes:
            raise BadInputError(
                f"{where}: {name!r} is a {sheet.kind(name)} here, but the step accepts {' and '.join(takes)}; "
                "choose a different column"
            )
    return there
