"""The tables that plug-ins enter by name, and the base of every section of params.yaml, which may name them."""

import inspect
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Annotated, Any, Generic, TypeVar, get_type_hints

import pandas as pd
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    model_serializer,
)
from pydantic.fields import FieldInfo

from retrim.errors import UnknownNameError
from retrim.stats.codec import misfits

T = TypeVar("T")
AROUND = 200
FOLLOWS = object()
"""Marks a field whose value other settings say (`DERIVED` in `settings.py`) and that is none of its own."""
Seed = Annotated[int, Field(ge=0, exclude=True)]
"""A seed of random draws: fixed, because with another one a refused verdict could be drawn again."""
Several = Annotated[int, Field(ge=2)]
"""An argument of a plug-in that counts what there have to be at least two of."""


@dataclass(frozen=True)
class Plugin(Generic[T]):
    """One plug-in and the facts it was registered with."""

    name: str
    value: T
    facts: dict[str, Any]


@dataclass(frozen=True)
class PluginRegistry(Generic[T]):
    """A table of plug-ins of one kind."""

    kind: str  # what an entry is called in errors, such as "drift test"
    _entries: dict[str, Plugin[T]] = field(default_factory=dict)

    def register(self, name: str, **facts: Any) -> Callable[[T], T]:
        """Decorator that enters a plug-in under `name`; a name is taken once."""

        def enter(value: T) -> T:
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = Plugin(name, value, facts)
            return value

        return enter

    def entry(self, name: str) -> Plugin[T]:
        """The entry called `name`.

        Raises:
            UnknownNameError: No such entry; the message lists those there are.
        """
        if name not in self._entries:
            raise UnknownNameError(self.kind, name, self._entries)
        return self._entries[name]

    def __getitem__(self, name: str) -> T:
        return self.entry(name).value

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[Plugin[T]]:
        return iter([self._entries[name] for name in sorted(self._entries)])


def near_keys(known: Sequence[str], wanted: str, *, most: int) -> list[str]:
    """Up to `most` of the known keys: those spelt alike, then the neighbours in order.

    Only `AROUND` neighbours on either side are compared letter by letter: a table may have millions.
    """
    ordered = sorted(set(known))
    position = bisect_left(ordered, wanted)
    neighbours = ordered[max(position - AROUND, 0) : position + AROUND]
    alike = get_close_matches(wanted, neighbours, n=most, cutoff=0.8)
    middle = min(position, AROUND)
    nearest = sorted(range(len(neighbours)), key=lambda at: abs(at - middle + 0.5))
    return list(dict.fromkeys([*alike, *(neighbours[at] for at in nearest)]))[:most]


class SettingsSection(BaseModel):
    """A section of params.yaml. Unknown keys are refused; a field has default, bounds and description.

    A field with `exclude=True` is fixed: no setting, and no part of what a run pins.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


def is_setting(field: FieldInfo) -> bool:
    """Whether params.yaml may state a field.

    It may not where the value is fixed (`exclude=True`: an argument of the code, with the reason as its description),
    or where it follows other settings.
    """
    return not field.exclude and FOLLOWS not in field.metadata


class SettingsForm(SettingsSection):
    """A record that takes one of several forms, each with keys of its own; it is written with the keys it was given."""

    @model_serializer(mode="wrap")
    def _as_given(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in dump(self).items() if name in self.model_fields_set}


def check_span(text: str) -> str:
    """A span such as "14D" or "1h", written as pandas reads it: it has deprecated "d" for "D"."""
    text = re.sub(r"(?<=[\d\s])d(?![a-z])", "D", text)
    try:
        span = pd.Timedelta(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a span of time; write one such as '1h' or '14D'") from error
    if str(span) == "NaT" or (span != pd.Timedelta(0) and re.fullmatch(r"[\s\d+-]+", text)):  # pandas takes 7 as 7 ns
        raise ValueError(f"{text!r} is not a span of time: it has no unit; write one such as '1h' or '14D'")
    if span < pd.Timedelta(0):
        raise ValueError(f"{text!r} is negative; write a span of 0 or more, such as '1h'")
    return text


def span_text(span: pd.Timedelta) -> str:
    """A span as params.yaml writes it, in the largest unit that makes it whole."""
    for unit in ("D", "h", "min", "s", "ms"):
        count, rest = divmod(span, pd.Timedelta(1, unit))
        if count > 0 and not rest:
            return f"{int(count)}{unit}"
    return f"{span / pd.Timedelta('1us'):.0f}us" if span > pd.Timedelta(0) else "0s"


def check_above_zero(text: str) -> str:
    """A span above 0."""
    if pd.Timedelta(text) == pd.Timedelta(0):
        raise ValueError(f"{text!r} is zero; write a span above 0, such as '1D'")
    return text


Span = Annotated[str, AfterValidator(check_span)]
SomeSpan = Annotated[Span, AfterValidator(check_above_zero)]


def explain(error: ValidationError, *, known: Callable[[Sequence[int | str]], Sequence[str]] | None = None) -> str:
    """The faults pydantic found, one after the other: key, what is wrong, value."""
    faults = []
    for fault in misfits(error):
        key, value = fault.place, fault.input
        shown = f" (got {value!r})" if isinstance(value, str | int | float | bool | None) else ""
        text = fault.msg.removeprefix("Value error, ")
        if known is not None and fault.type == "extra_forbidden":
            near = near_keys(known(fault.loc[:-1]), str(fault.loc[-1]), most=1)
            text += f"; did you mean {near[0]}?" if near else ""
        faults.append(f"{key + ': ' if key else ''}{text[0].lower()}{text[1:]}{shown}")
    return "; ".join(faults)


def arguments_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The keyword arguments that a plug-in takes from params.yaml, and their types."""
    hints = get_type_hints(function, include_extras=True)
    parameters = inspect.signature(function).parameters.values()
    return {
        parameter.name: hints[parameter.name] for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
    }


def read_arguments(name: str, kinds: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a plug-in as its types read them.

    Raises:
        ValueError: A value is not of its type, or beyond its bounds.
    """
    arguments = {}
    for argument, kind in kinds.items():
        try:
            adapter = TypeAdapter(kind)
            arguments[argument] = adapter.dump_python(adapter.validate_python(given[argument]), mode="json")
        except ValidationError as error:
            raise ValueError(f"{name}.{argument}: {explain(error)}") from error
    return arguments


@dataclass(frozen=True)
class SettingChoice:
    """A value for params.yaml, and the reason that stands beside it; empty: what stands there is right."""

    value: Any
    why: str
