"""After a kill: ends what was left running, marks the run crashed, clears its run directories, finishes a half-made
move.

Runs that hang: the limits of their stages, and the end of one whose own process does not beat any more.
"""

import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from itertools import chain
from pathlib import Path

import pandas as pd
import psutil

from retrim.adapters import dvc, git
from retrim.adapters.database import iso
from retrim.adapters.dvc_session import end_survivors
from retrim.checking.holds import rolled_back
from retrim.decision.alerts import AlertKind
from retrim.decision.stored_rows import DecisionRow, RunDetail, RunRow
from retrim.lineage.locks import BEAT_SECONDS, clear_lock, holder_of, is_alive, left_behind, silent_for
from retrim.lineage.workspace import PERSON, Workspace, record_alert
from retrim.release.approval import end_waiting
from retrim.release.pause import pause_of
from retrim.release.release import sync_aliases, tell_move_back
from retrim.release.versions import find_live_version
from retrim.retraining.run_directory import UNPUSHED
from retrim.training.mode import StageLimits, limits_of_stage

KILLED = "its process was killed"
RUN_DIRECTORY = re.compile(r"(run-.+)-(\d+)")
ENDS_WITHIN_SECONDS = 10.0


def recover(workspace: Workspace, *, now: pd.Timestamp) -> list[str]:
    """Marks dead runs crashed and clears their run directories; gives the decisions that still wait for their run to be
    finished.

    Those are the crashed ones, and the newest one if it says *retrain* and a kill came before its run.
    """
    for run in workspace.store.runs(workspace.model, state="running"):
        if not is_alive(workspace, run.id):
            workspace.registry.end_open(run.id, "KILLED")
            end_by_fault(workspace, run, why=KILLED, now=now)
    for name in left_behind(workspace, "run-"):
        clear_lock(workspace, name)
    if not workspace.store.runs(workspace.model, state="running"):
        clear_run_directories(workspace)
        git.clear_tag_locks(workspace.paths.root, f"retrim/{workspace.model}")
    if find_live_version(workspace) is not None:
        tell_move_back(workspace)
        sync_aliases(workspace)
    end_waiting(workspace, now=now)
    return _waiting(workspace, now=now)


def stopped_runs(workspace: Workspace) -> list[RunRow]:
    """Runs whose process is gone, marked so or not yet; the next command that runs flows resumes them."""
    dead = [run for run in workspace.store.runs(workspace.model, state="running") if not is_alive(workspace, run.id)]
    return [*workspace.store.runs(workspace.model, state="crashed"), *dead]


def mark_stopped(workspace: Workspace, run: RunRow, *, why: str, now: pd.Timestamp) -> None:
    """Marks a run crashed, which is the state in which it is taken up again."""
    workspace.store.end_run(
        run.id, state="crashed", ended=iso(now), version=None, detail=replace(_detail(workspace, run), why=why)
    )


def end_by_fault(workspace: Workspace, run: RunRow, *, why: str, now: pd.Timestamp) -> bool:
    """Ends a run that a fault of the machine ended, such as a kill or a time-out; gives whether it is taken up again.

    It is, until its last attempt. That ends *failed*, with an alert. A run never ends *refused* by such a fault.
    """
    most = workspace.params.retrain.attempts
    if run.attempt < most:
        mark_stopped(workspace, run, why=why, now=now)
        return True
    reason = (
        f"{why}. This was attempt {run.attempt} of {most}, and the run is not tried again by itself; remove the cause, "
        f"then run `retrim retrain --as-of {run.as_of}`"
    )
    record_alert(
        workspace, AlertKind.RUN_FAILED, f"{run.id}: {reason}", now=now, about=run.id
    )  # first: a run that has ended is not looked at again
    workspace.store.end_run(run.id, state="failed", ended=iso(now), version=None, detail=RunDetail(reason=reason))
    return False


def give_up(workspace: Workspace, decision: str, *, now: pd.Timestamp) -> None:
    """Ends the crashed or unpushed run of a decision for good: a person cancelled it."""
    run = workspace.store.run(f"run-{decision}")
    if run is not None and run.state in ("crashed", UNPUSHED):
        detail = replace(_detail(workspace, run), reason="a person cancelled it in Prefect")
        workspace.store.end_run(run.id, state="failed", ended=iso(now), version=None, detail=detail)


def clear_run_directories(workspace: Workspace) -> None:
    """Removes the run directories of runs that are over, after ending what still works in them.

    The last run directory of a failed run stays, to look at, until the model's next run has ended.
    """
    newest = max(workspace.store.runs(workspace.model), key=lambda run: (run.started, run.as_of), default=None)
    for folder in sorted(workspace.paths.runs.glob("run-*")):
        named = RUN_DIRECTORY.fullmatch(folder.name)
        if named is None or not folder.is_dir():
            continue
        run = workspace.store.run(named[1])
        if run is None or run.model != workspace.model or run.state in ("running", UNPUSHED):
            continue
        if run.state == "failed" and newest is not None and run.id == newest.id and named[2] == str(run.attempt):
            end_survivors(folder)
        else:
            clear_run_directory(workspace, folder)


def clear_run_directory(workspace: Workspace, folder: Path) -> None:
    """Removes one run directory, after ending what still works in it."""
    end_survivors(folder)
    dvc.close_run_directory(workspace.paths, folder)


def run_directories_of(workspace: Workspace, run: str) -> list[Path]:
    """The run directories of a run's attempts."""
    found = [(RUN_DIRECTORY.fullmatch(folder.name), folder) for folder in sorted(workspace.paths.runs.glob(f"{run}-*"))]
    return [folder for named, folder in found if named and named[1] == run and folder.is_dir()]


def _detail(workspace: Workspace, run: RunRow) -> RunDetail:
    return (workspace.store.run(run.id) or run).detail


def _waiting(workspace: Workspace, *, now: pd.Timestamp) -> list[str]:
    decisions = workspace.store.decisions(workspace.model)
    by_id = {row.id: row for row in decisions}
    waiting = []
    stopped = (workspace.store.runs(workspace.model, state=state) for state in ("crashed", UNPUSHED))
    for run in chain.from_iterable(stopped):
        if _overtaken(workspace, by_id[run.decision], decisions):
            reason = "a rollback followed the decision to run, and no run starts automatically after a rollback"
            record_alert(workspace, AlertKind.RUN_FAILED, f"{run.id}: {reason}", now=now, about=run.id)
            workspace.store.end_run(
                run.id, state="failed", ended=iso(now), version=None, detail=RunDetail(reason=reason)
            )
        else:
            waiting.append(str(run.decision))
    if decisions and decisions[-1].outcome == "retrain" and workspace.store.run(f"run-{decisions[-1].id}") is None:
        waiting += [] if _overtaken(workspace, decisions[-1], decisions) else [str(decisions[-1].id)]
    return [decision for decision in waiting if pause_of(workspace, decision) is None]


def _overtaken(workspace: Workspace, decision: DecisionRow, decisions: list[DecisionRow]) -> bool:
    """Whether a check decided it before a rollback that nobody has answered since."""
    back = rolled_back(workspace, decisions, None)
    return back is not None and decision.source != PERSON and pd.Timestamp(decision.as_of) <= back.at


def limits_of(workspace: Workspace, stage: str, *, mode: str) -> StageLimits:
    """The limits of a stage in a run of that mode, by the settings and by what it took before."""
    earlier = workspace.store.stage_times(workspace.model, mode=mode, stage=stage)
    return limits_of_stage(workspace.params.retrain.stage_heartbeat, earlier=earlier)


def limits_of_rebuild(workspace: Workspace, stages: Sequence[str], *, mode: str) -> StageLimits:
    """The limits of all stages of a version together."""
    return reduce(StageLimits.together, [limits_of(workspace, stage, mode=mode) for stage in stages])


def end_hung_runs(workspace: Workspace, *, now: pd.Timestamp) -> list[str]:
    """Ends runs whose process lives and yet does nothing, as one that was stopped; gives their names.

    The process that drives a run touches its sign every few seconds. Where it has not for `retrain.stage_heartbeat`
    it is killed with all that works for it, and `recover` has the run tried again.
    """
    allowed = pd.Timedelta(workspace.params.retrain.stage_heartbeat).total_seconds()
    return [
        str(run.id)
        for run in workspace.store.runs(workspace.model, state="running")
        if is_alive(workspace, run.id)
        and silent_for(workspace, run.id) > allowed
        and _is_still_silent(workspace, run.id)
        and _end(workspace, run, now=now)
    ]


def _is_still_silent(workspace: Workspace, name: str) -> bool:
    """Whether a sign is not touched now either: after a machine has slept, all signs are old for a moment."""
    before = silent_for(workspace, name)
    time.sleep(3 * BEAT_SECONDS)
    return is_alive(workspace, name) and silent_for(workspace, name) > before


def _end(workspace: Workspace, run: RunRow, *, now: pd.Timestamp) -> bool:
    silent = pd.Timedelta(round(silent_for(workspace, run.id)), "s")
    process = holder_of(workspace, run.id)
    if process is None:
        where = "its process shows no sign of life; end it on the machine where it runs"
        record_alert(workspace, AlertKind.RUN_HANGS, f"{run.id}: {where}", now=now, about=run.id)
        return False
    why = (
        f"its process {process.pid} ({process.status()}) showed no sign of life for {silent}, more than "
        f"{workspace.params.retrain.stage_heartbeat}, and was ended"
    )
    with suppress(psutil.Error):
        process.kill()
        process.wait(ENDS_WITHIN_SECONDS)
    for run_directory in run_directories_of(workspace, run.id):
        end_survivors(run_directory)
    again = end_by_fault(workspace, run, why=why, now=now)
    workspace.registry.end_open(run.id, "KILLED" if again else "FAILED")
    return True
