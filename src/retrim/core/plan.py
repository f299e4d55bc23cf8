"""When things run and how: the sections that flows, rooms and the demo read."""

import re
from typing import Annotated, Literal

import pandas as pd
from pydantic import AfterValidator, Field

from retrim.core.agreement import AgreementParams
from retrim.core.limits import AUTO
from retrim.core.modes import Mode
from retrim.core.section import Section, SomeSpan, Span, check_above_zero, check_span

CRON = re.compile(r"\S+( \S+){4}")


def _is_stage_limit(text: str) -> str:
    """A span above 0, or "auto"."""
    return text if text == AUTO else check_above_zero(check_span(text))


StageLimit = Annotated[str, AfterValidator(_is_stage_limit)]


class RetrainParams(Section):
    """How a version is made."""

    first_mode: Mode = Field(description="mode of version 1")
    mode: Mode | Literal["auto"] = Field(description="mode of every later version; auto: as its runs say it pays")
    refit_after: bool = Field(description="whether a promoted recipe is fitted once more, on the rows that judged too")
    agreement: AgreementParams = Field(description="how far that model may be from the one that was judged")
    attempts: int = Field(ge=1, description="times a run is started, the first and those after a kill")
    stage_limit: StageLimit = Field(
        description="time that a stage may take; auto: ten times its longest earlier run in the same mode, 6h or more"
    )
    stage_heartbeat: SomeSpan = Field(
        description="time for which a stage may neither print nor use the processor, and a run's process be silent"
    )


class RoomParams(Section):
    """What a run room takes from the workspace."""

    max_file_mb: float = Field(gt=0, description="an untracked file above this, in MB, is refused")
    gc_grace: Span = Field(description="what came into the DVC cache this recently is not pruned")


def _is_timetable(text: str) -> str:
    """A cron expression, or a span: "15 0 * * *" or "6h"."""
    if CRON.fullmatch(text):
        return text
    try:
        every = pd.Timedelta(check_span(text))
    except ValueError as error:
        raise ValueError(
            f"{text!r} is neither a cron expression of five fields such as '15 0 * * *' nor a span such as '6h'"
        ) from error
    if every < pd.Timedelta("1s"):
        raise ValueError(f"{text!r} is shorter than a second")
    return text


Timetable = Annotated[str, AfterValidator(_is_timetable)]


class ScheduleParams(Section):
    """When each deployment runs: a cron expression in UTC, or a span counted from 1970."""

    ingest: Timetable
    monitor: Timetable
    score: Timetable
    maintain: Timetable
    prove: Timetable


class DemoParams(Section):
    """The replay that the demo runs."""

    dataset: str = Field(description="a shipped dataset")
    start: int = Field(ge=1, description="months of history that version 1 is trained on")
    check_every: SomeSpan = Field(description="span between checks")
