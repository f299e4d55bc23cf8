"""Runs that hang: the limits of their stages, and the end of one whose own process does not beat any more."""

import time
from collections.abc import Sequence
from contextlib import suppress
from functools import reduce

import pandas as pd
import psutil

from retrim.adapters.dvc_session import end_survivors
from retrim.adapters.store import Row, iso
from retrim.core.limits import StageLimits, limits_of_stage
from retrim.ops.alerts import alert
from retrim.ops.house import House
from retrim.ops.recover import rooms_of
from retrim.ops.signs import BEAT_SECONDS, holder_of, is_alive, silent_for

ENDS_WITHIN_SECONDS = 10.0


def limits_of(house: House, stage: str, *, mode: str) -> StageLimits:
    """The limits of a stage in a run of that mode, by the settings and by what it took before."""
    params = house.params.retrain
    earlier = house.store.stage_times(house.model, mode=mode, stage=stage)
    return limits_of_stage(params.stage_limit, params.stage_heartbeat, earlier=earlier)


def limits_of_rebuild(house: House, stages: Sequence[str], *, mode: str) -> StageLimits:
    """The limits of all stages of a version together."""
    return reduce(StageLimits.together, [limits_of(house, stage, mode=mode) for stage in stages])


def end_hung_runs(house: House, *, now: pd.Timestamp) -> list[str]:
    """Ends runs whose process lives and yet does nothing, as one that was stopped; gives their names.

    The process that drives a run touches its sign every few seconds. Where it has not for `retrain.stage_heartbeat`
    it is killed with all that works for it, and the run ends *failed*, with an alert: it is not tried again.
    """
    allowed = pd.Timedelta(house.params.retrain.stage_heartbeat).total_seconds()
    return [
        str(run.id)
        for run in house.store.runs(house.model, state="running")
        if is_alive(house, run.id)
        and silent_for(house, run.id) > allowed
        and _is_still_silent(house, run.id)
        and _end(house, run, now=now)
    ]


def _is_still_silent(house: House, name: str) -> bool:
    """Whether a sign is not touched now either: after a machine has slept, all signs are old for a moment."""
    before = silent_for(house, name)
    time.sleep(3 * BEAT_SECONDS)
    return is_alive(house, name) and silent_for(house, name) > before


def _end(house: House, run: Row, *, now: pd.Timestamp) -> bool:
    silent = pd.Timedelta(round(silent_for(house, run.id)), "s")
    process = holder_of(house, run.id)
    if process is None:
        where = "its process shows no sign of life; end it on the machine where it runs"
        alert(house, "run hangs", f"{run.id}: {where}", now=now)
        return False
    reason = (
        f"its process {process.pid} ({process.status()}) showed no sign of life for {silent}, retrain.stage_heartbeat "
        f"allows {house.params.retrain.stage_heartbeat}; it was ended and the run is not tried again; find out what "
        "stopped it, then ask for the run again with `retrim retrain`"
    )
    with suppress(psutil.Error):
        process.kill()
        process.wait(ENDS_WITHIN_SECONDS)
    for room in rooms_of(house, run.id):
        end_survivors(room)
    alert(house, "run failed", f"{run.id}: {reason}", now=now)  # first: a run that has ended is not looked at again
    house.store.end_run(run.id, state="failed", ended=iso(now), version=None, detail={"reason": reason})
    house.registry.end_open(run.id, "FAILED")
    return True
