"""The section `judge` of params.yaml."""

from collections.abc import Callable

from pydantic import Field, field_validator

from retrim.core.metrics.measuring import named
from retrim.core.metrics.table import Metric, find
from retrim.core.section import Section
from retrim.errors import BadInputError


class JudgeParams(Section):
    """How predictions are measured, everywhere."""

    loss: str = Field(description="per-row loss that tunes, probes and decides, such as mae or pinball@0.9")
    metrics: tuple[str, ...] = Field(description="reported beside it")
    draws: int = Field(ge=1, description="bootstrap draws")
    block_rows: int = Field(ge=1, description="rows of one bootstrap block: about as long as errors stay alike")

    @field_validator("loss")
    @classmethod
    def _has_rows(cls, name: str) -> str:
        return str(_valid(name, lambda metric: metric.rows, "has no per-row form; these have"))

    @field_validator("metrics")
    @classmethod
    def _are_numbers(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_valid(name, lambda metric: metric.scalar, "is not a number; these are") for name in names)


def _valid(name: str, wanted: Callable[[Metric], bool], fault: str) -> str:
    """Checks a name for pydantic, which reports ValueErrors with the key they stand under."""
    try:
        metric = find(name)
    except BadInputError as wrong:
        raise ValueError(str(wrong)) from wrong
    if not wanted(metric):
        raise ValueError(f"metric {name!r} {fault}: {named(wanted)}")
    return name
