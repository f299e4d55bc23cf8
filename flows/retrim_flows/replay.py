"""The time machine: the real flows at the moments of history, in a clone with other settings."""

import pandas as pd
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from retrim.decision.stored_rows import DecisionRow
from retrim.lineage.workspace import Workspace, ask_for_run, report_progress
from retrim.release.approval import approve_all
from retrim.release.versions import find_live_version
from retrim.reports.replay import Replay, lay_batches
from retrim_flows.monitor import monitor
from retrim_flows.retrain import retrain


def replay(asked: Replay) -> None:
    """Lands what landed and checks at the moments at which history did; all of it is in the replay's own store.

    What a person did is not repeated: it answered what history had come to. One exception
    is the first version, without which there would be nothing to check. What waits for an
    approval gets it at once, so that the gate's word counts.
    """
    before = asked.since - pd.Timedelta("1us")
    with temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}):
        for number, row in enumerate(asked.moments):
            at = pd.Timestamp(row.as_of)
            report_progress(f"checks: {at:%Y-%m-%d}", number, len(asked.moments))
            lay_batches(asked.here, asked.there, after=before, until=at)
            before = at
            if row.source == "check":
                monitor(at.isoformat())
            elif row.outcome == "retrain" and find_live_version(asked.there) is None:
                _first(asked.there, at, row)
            approve_all(asked.there, by="retrim policy replay", reason="nobody is asked in a replay", now=at)


def _first(workspace: Workspace, at: pd.Timestamp, asked: DecisionRow) -> None:
    decision = ask_for_run(workspace, as_of=at, by=asked.actor, reason=asked.reason, now=at)
    retrain(decision, at.isoformat())
