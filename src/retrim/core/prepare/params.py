"""The section `prepare` of params.yaml: declared steps, checked against the table before anything is done."""

import inspect
from collections.abc import Mapping
from typing import Any, Literal, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError, model_serializer, model_validator

from retrim.core.plugins import Entry
from retrim.core.prepare.step import STEPS, Step
from retrim.core.section import Section, explain
from retrim.core.table import DataParams
from retrim.errors import UnknownNameError

OWN = ("step", "columns")


class StepParams(Section):
    """One step: its name, the columns it works on, and its arguments beside them."""

    step: str = Field(description="name of the step")
    columns: tuple[str, ...] | Literal["all"] = Field(description="columns in order; all: every one that it can take")
    arguments: dict[str, Any] = Field(description="arguments of the step, written beside the two others")

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            raise ValueError("a step is written {step: NAME, columns: [...], ...arguments}")  # noqa: TRY004  pydantic takes this one
        own = {name: given[name] for name in OWN if name in given}
        return {**own, "arguments": {name: value for name, value in given.items() if name not in OWN}}

    @model_serializer
    def _spread(self) -> dict[str, Any]:
        columns = self.columns if isinstance(self.columns, str) else list(self.columns)
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
                raise ValueError(f"columns: {', '.join(twice)} twice" if twice else "columns: none; name one, or all")
        taken = arguments_of(entry)
        if sorted(taken) != sorted(self.arguments):
            given = ", ".join(sorted(self.arguments)) or "none"
            raise ValueError(f"{self.step} has the arguments: {given}; it takes: {', '.join(taken) or 'none'}")
        for name, kind in taken.items():
            try:
                self.arguments[name] = TypeAdapter(kind).dump_python(
                    TypeAdapter(kind).validate_python(self.arguments[name]), mode="json"
                )
            except ValidationError as error:
                raise ValueError(f"{self.step}.{name}: {explain(error)}") from error
        return self


class PrepareParams(Section):
    """How features are prepared for a model."""

    steps: tuple[StepParams, ...] = Field(description="steps in order; none: features go to the model as they are")


def arguments_of(entry: Entry[Step]) -> dict[str, Any]:
    """The arguments that a step takes, and their types."""
    hints = get_type_hints(entry.value.learn, include_extras=True)
    parameters = inspect.signature(entry.value.learn).parameters.values()
    return {each.name: hints[each.name] for each in parameters if each.kind is each.KEYWORD_ONLY}


def faults_of(prepare: PrepareParams, data: DataParams) -> list[str]:
    """Where the steps do not fit the table, in sentences. Columns that only learning knows are passed over."""
    kinds: dict[str, str | None] = {data.time: "time"}
    kinds |= {name: "number" if kind == "integer" else kind for name, kind in data.features.items()}
    found = []
    for place, declared in enumerate(prepare.steps):
        facts, names = STEPS.entry(declared.step).facts, declared.columns
        if isinstance(names, str):
            names = tuple(name for name, kind in kinds.items() if kind in facts["takes"])
        for name in names:
            where = f"prepare.steps.{place}: {declared.step}"
            if name not in kinds and not any(name.startswith((f"{each}:", f"{each}=")) for each in kinds):
                can = ", ".join(each for each, kind in kinds.items() if kind in facts["takes"])
                found.append(f"{where}: {name!r} is no column that it can take; those are: {can or 'none'}")
                continue
            kind = kinds.get(name, "made")
            if kind is None:
                found.append(f"{where}: {name!r} is there no longer after an earlier step; move this one before it")
            elif kind != "made" and kind not in facts["takes"]:
                found.append(f"{where}: {name!r} is a {kind} here; it takes {' and '.join(facts['takes'])}")
            elif kind != "made" and facts["gives"] != "same":
                kinds[name] = None if facts["gives"] == "gone" else facts["gives"]
    return found
