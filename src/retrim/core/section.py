"""The base of every section of params.yaml: frozen, closed, without defaults."""

import re
from typing import Annotated

import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError


class Section(BaseModel):
    """A section of params.yaml. Unknown keys are refused; no field has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


def check_span(text: str) -> str:
    """A span such as "14D" or "1h", written as pandas reads it: it has deprecated "d" for "D"."""
    text = re.sub(r"(?<=[\d\s])d(?![a-z])", "D", text)
    try:
        span = pd.Timedelta(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no span of time; write one such as '1h' or '14D'") from error
    if str(span) == "NaT" or (span != pd.Timedelta(0) and re.fullmatch(r"[\s\d+-]+", text)):  # pandas takes 7 as 7 ns
        raise ValueError(f"{text!r} is no span of time: it has no unit; write one such as '1h' or '14D'")
    if span < pd.Timedelta(0):
        raise ValueError(f"{text!r} is negative; a span is 0 or more")
    return text


def check_above_zero(text: str) -> str:
    """A span above 0."""
    if pd.Timedelta(text) == pd.Timedelta(0):
        raise ValueError(f"{text!r} is no time at all; write a span above 0, such as '1D'")
    return text


Span = Annotated[str, AfterValidator(check_span)]
SomeSpan = Annotated[Span, AfterValidator(check_above_zero)]


def explain(error: ValidationError) -> str:
    """The faults pydantic found, one after the other: key, what is wrong, value."""
    found = []
    for fault in error.errors(include_url=False):
        place = ".".join(str(part) for part in fault["loc"])
        value = fault.get("input")
        shown = f" (got {value!r})" if isinstance(value, str | int | float | bool | None) else ""
        said = fault["msg"].removeprefix("Value error, ")
        found.append(f"{place + ': ' if place else ''}{said[0].lower()}{said[1:]}{shown}")
    return "; ".join(found)
