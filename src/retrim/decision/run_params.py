"""Settings of how a version is made, what a run directory takes, and when things run."""

from typing import Annotated, Literal

import pandas as pd
from pydantic import AfterValidator, Field

from retrim.stats.plugins import SettingsSection, SomeSpan, Span, check_span
from retrim.stats.timetable import CRON, next_due


class RetrainParams(SettingsSection):
    """How a version is made."""

    mode: Literal["refit", "search"] = Field(default="refit", description="mode of every version after the first")
    refit_after: bool = Field(
        default=True,
        description="whether the winner of a promotion is fitted again on all mature rows, including the holdout "
        "rows; this final fit makes the predictions if it agrees with the judged one",
    )
    attempts: int = Field(
        exclude=True,
        default=3,
        ge=1,
        description="maximum number of times that a run is started, including restarts; after three failed "
        "starts, a fourth would most likely fail too",
    )
    stage_heartbeat: SomeSpan = Field(
        exclude=True,
        default="30min",
        description=(
            "maximum time for which a stage may neither print nor use the processor, and for which the process of "
            "a run may be silent; a working stage does at least one of the two"
        ),
    )


class RunDirectoryParams(SettingsSection):
    """What a run directory takes from the workspace."""

    max_file_mb: float = Field(
        exclude=True,
        default=5.0,
        gt=0,
        description=(
            "maximum size of an untracked file, in megabytes; larger files are refused, because git is "
            "meant for code and a pushed tag would publish the files"
        ),
    )
    gc_grace: Span = Field(
        exclude=True,
        default="1h",
        description="files that were added to the DVC cache within this span are not removed, because they may "
        "be in use",
    )


def _is_timetable(text: str) -> str:
    """A cron expression, or a span: "15 0 * * *" or "6h"."""
    if CRON.fullmatch(text):
        next_due(text, pd.Timestamp("2000-01-01", tz="UTC"))
        return text
    try:
        span = check_span(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is neither a cron expression of five fields nor a span; write, for example, '15 0 * * *' or '6h'"
        ) from error
    if pd.Timedelta(span) < pd.Timedelta("1s"):
        raise ValueError(f"{text!r} is shorter than a second; write a longer span, such as '1h'")
    return text


Timetable = Annotated[str, AfterValidator(_is_timetable)]


class ScheduleParams(SettingsSection):
    """When each deployment runs: a cron expression in UTC, or a span counted from 1970."""

    ingest: Timetable = Field(default="0 * * * *", description="when files in the inbox are ingested")
    check: Timetable = Field(default="15 0 * * *", description="when the champion is checked")
    score: Timetable = Field(default="30 * * * *", description="when rows without a prediction are predicted")
    maintain: Timetable = Field(
        exclude=True,
        default="45 0 * * *",
        description="when files that nothing refers to are removed; fixed, because nothing depends on the hour",
    )
    prove: Timetable | None = Field(
        default="0 3 * * 0",
        description="when a random version is rebuilt and proved; null: never; default: Sundays at 03:00 UTC",
    )
    backup: Timetable | None = Field(
        default=None, description="when a backup is written to the model's folder in RETRIM_BACKUP; null: never"
    )
    keep_predictions: SomeSpan | None = Field(
        default="1100D",
        description=(
            "age above which stored predictions are deleted, in whole months of event time; null: never; the "
            "default keeps three years, because an audit may cover that long"
        ),
    )

    @classmethod
    def flows(cls) -> tuple[str, ...]:
        """Names of the flows that have a timetable."""
        return tuple(name for name in cls.model_fields if not name.startswith("keep_"))
