"""The moment a flow run is about: passed in, else when it was scheduled, so that a late start changes no answer."""

from pathlib import Path

import pandas as pd
from prefect.runtime import deployment, flow_run

from retrim.lineage import workspace as workspaces
from retrim.lineage.workspace import Workspace
from retrim.machine import login

SCHEDULE = "schedule"


def moment(now: str | None) -> pd.Timestamp:
    """`now` in UTC, to the second; by default the scheduled start of this flow run."""
    if now is None:
        return pd.Timestamp(flow_run.scheduled_start_time).tz_convert("UTC").floor("s")
    given = pd.Timestamp(now)
    return given.tz_localize("UTC") if given.tzinfo is None else given.tz_convert("UTC")


def actor() -> str:
    """Who has this flow run made: the schedule, or else the person whose command it is."""
    return SCHEDULE if deployment.id is not None else login()


def open_workspace() -> Workspace:
    """The workspace of the working folder, which a deployment sets to its workspace."""
    return workspaces.open_workspace(Path.cwd())
