"""When things run and how: the sections that flows, rooms and the demo read."""

from typing import Literal

from pydantic import Field

from retrim.core.section import Section, Span

Mode = Literal["search", "warm", "refit"]


class RetrainParams(Section):
    """How a version is made."""

    first_mode: Mode = Field(description="mode of version 1")
    mode: Mode = Field(description="mode of every later version")
    attempts: int = Field(ge=1, description="times a run is started, the first and those after a kill")


class RoomParams(Section):
    """What a run room takes from the workspace."""

    max_file_mb: float = Field(gt=0, description="an untracked file above this, in MB, is refused")


class ScheduleParams(Section):
    """Cron expressions in UTC, one a deployment."""

    ingest: str
    monitor: str
    score: str
    maintain: str


class DemoParams(Section):
    """The replay that the demo runs."""

    dataset: str = Field(description="a shipped dataset")
    start: int = Field(ge=1, description="months of history that version 1 is trained on")
    check_every: Span = Field(description="span between checks")
