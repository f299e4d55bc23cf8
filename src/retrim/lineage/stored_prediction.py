"""A stored prediction, as it is shown."""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import BeforeValidator, Field

from retrim.stats.codec import Instant, Unwritten, from_record, written


@dataclass(frozen=True)
class StoredPrediction:
    """A stored prediction.

    Args:
        key: Key of the row.
        event: Event time of the row.
        version: The version that made the prediction.
        at: When the prediction was made.
        value: Predicted number, or probability of the positive class or of `label`.
        label: The most probable of several classes; None for another task.
        lower: Lower end of the 90% prediction interval; None if the version has none.
        upper: Upper end of the 90% prediction interval.
        probabilities: Probability of each of several classes, by name; empty for another task.
        decision: Whether the row was selected; None if the model makes no decisions.
        request: Id of the request that made the prediction.
        token: Name of the token that the request came with; None if it had none.
        batch: The landed batch that the row is in; a `Role` if a request sent the row; None if this is not known.
    """

    key: str
    event: Annotated[Instant, Field(validation_alias="event_time")]
    version: int
    at: Instant
    value: Annotated[
        float,
        Field(validation_alias="prediction"),
        BeforeValidator(lambda value: np.nan if value is None else value),
    ]
    label: Annotated[str | None, Field(validation_alias="class")]
    lower: Unwritten[float | None]
    upper: Unwritten[float | None]
    probabilities: Annotated[dict[str, float], BeforeValidator(lambda pairs: dict(pairs or []))]
    decision: bool | None
    request: Annotated[str | None, Field(validation_alias="request_id")]
    token: str | None
    batch: str | None

    @classmethod
    def of(cls, row: "pd.Series[Any]") -> "StoredPrediction":
        """Of a row of the log with its `version`."""
        return from_record(cls, {str(name): None if _is_missing(value) else value for name, value in row.items()})

    @written
    def interval(self) -> tuple[float, float] | None:
        """90% prediction interval; None if the version has none."""
        return None if self.lower is None or self.upper is None else (self.lower, self.upper)

    def as_value(self) -> float | list[float]:
        """The number, or one a class."""
        return list(self.probabilities.values()) or float(self.value)

    @property
    def in_words(self) -> str:
        """The prediction, with its class, interval or decision where it has one."""
        if self.label is not None:
            return f"{self.label} ({self.value:.1%})"
        if self.interval is not None:
            return f"{self.value:.6g} ({self.interval[0]:.6g} to {self.interval[1]:.6g})"
        selected = "" if self.decision is None else ", selected" if self.decision else ", not selected"
        return f"{self.value:.6g}{selected}"


def _is_missing(value: Any) -> bool:
    return value is None or (not isinstance(value, list | np.ndarray) and bool(pd.isna(value)))
