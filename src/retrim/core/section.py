"""The base of every section of params.yaml: frozen, closed, without defaults."""

from typing import Annotated

import pandas as pd
from pydantic import AfterValidator, BaseModel, ConfigDict


class Section(BaseModel):
    """A section of params.yaml. Unknown keys are refused; no field has a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)


def _is_span(text: str) -> str:
    """Checks a span such as "14d" or "1h"; pandas reads it."""
    try:
        span = pd.Timedelta(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no span of time; write one such as '1h' or '14d'") from error
    if span < pd.Timedelta(0):
        raise ValueError(f"{text!r} is negative; a span is 0 or more")
    return text


Span = Annotated[str, AfterValidator(_is_span)]
