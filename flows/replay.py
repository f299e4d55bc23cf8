"""The time machine: the real flows at the moments of history, in a clone with other settings."""

import pandas as pd
from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings

from flows.monitor import monitor
from flows.retrain import retrain
from retrim.adapters.store import Row
from retrim.ops.approval import approve_all
from retrim.ops.house import House
from retrim.ops.person import ask_for_run
from retrim.ops.progress import tell
from retrim.ops.release import live
from retrim.ops.replay import Replay, lay_batches


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
            tell(f"checks: {at:%Y-%m-%d}", number, len(asked.moments))
            lay_batches(asked.here, asked.there, after=before, until=at)
            before = at
            if row.source == "check":
                monitor(at.isoformat())
            elif row.outcome == "retrain" and live(asked.there) is None:
                _first(asked.there, at, row)
            approve_all(asked.there, by="retrim replay", reason="nobody is asked in a replay", now=at)


def _first(house: House, at: pd.Timestamp, asked: Row) -> None:
    decision = ask_for_run(house, as_of=at, by=asked.actor, reason=asked.reason, now=at)
    retrain(decision, at.isoformat())
