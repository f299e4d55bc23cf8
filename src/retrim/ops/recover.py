"""After a kill: ends what was left running, marks the run crashed, clears its rooms, finishes a half-made move."""

import re
from itertools import chain
from pathlib import Path

import pandas as pd

from retrim.adapters import git, pipeline
from retrim.adapters.dvc_session import end_survivors
from retrim.adapters.store import Row, iso
from retrim.ops.alerts import alert
from retrim.ops.approval import end_waiting
from retrim.ops.house import House
from retrim.ops.person import PERSON, REFIT
from retrim.ops.refit_after import refit_waiting
from retrim.ops.release import live, sync_aliases
from retrim.ops.signs import clear, is_alive, left_behind
from retrim.ops.standing import rolled_back
from retrim.ops.unpushed import UNPUSHED

KILLED = "its process was killed"
ROOM = re.compile(r"(run-.+)-(\d+)")


def recover(house: House, *, now: pd.Timestamp) -> list[str]:
    """Marks dead runs crashed and clears their rooms; gives the decisions that still wait for their run to be finished.

    Those are the crashed ones, and the newest one if it says *retrain* and a kill came before
    its run; likewise that to fit the live version's recipe once more. A run that was killed as
    often as `retrain.attempts` says is not tried again: it ends *failed*, with an alert.
    """
    for run in house.store.runs(house.model, state="running"):
        if not is_alive(house, run.id):
            house.registry.end_open(run.id, "KILLED")
            _mark_dead(house, run, now=now)
    for name in left_behind(house, "run-"):
        clear(house, name)
    if not house.store.runs(house.model, state="running"):
        clear_rooms(house)
        git.clear_tag_locks(house.workspace.root, f"retrim/{house.model}")
    if live(house) is not None:
        sync_aliases(house)
    end_waiting(house, now=now)
    return _waiting(house, now=now)


def stopped_runs(house: House) -> list[Row]:
    """Runs whose process is gone, marked so or not yet; the next command that runs flows resumes them."""
    dead = [run for run in house.store.runs(house.model, state="running") if not is_alive(house, run.id)]
    return [*house.store.runs(house.model, state="crashed"), *dead]


def mark_stopped(house: House, run: Row, *, why: str, now: pd.Timestamp) -> None:
    """Marks a run crashed, which is the state in which it is taken up again."""
    house.store.end_run(
        run.id, state="crashed", ended=iso(now), version=None, detail={**_detail(house, run), "why": why}
    )


def give_up(house: House, decision: str, *, now: pd.Timestamp) -> None:
    """Ends the crashed run of a decision for good: a person cancelled it."""
    run = house.store.run(f"run-{decision}")
    if run is not None and run.state == "crashed":
        detail = {**_detail(house, run), "reason": "a person cancelled it in Prefect"}
        house.store.end_run(run.id, state="failed", ended=iso(now), version=None, detail=detail)


def clear_rooms(house: House) -> None:
    """Removes the rooms of runs that are over, after ending what still works in them.

    The last room of a failed run stays, to look at, until the model's next run has ended.
    """
    newest = max(house.store.runs(house.model), key=lambda run: (run.started, run.as_of), default=None)
    for folder in sorted(house.workspace.runs.glob("run-*")):
        named = ROOM.fullmatch(folder.name)
        if named is None or not folder.is_dir():
            continue
        run = house.store.run(named[1])
        if run is None or run.model != house.model or run.state in ("running", UNPUSHED):
            continue
        if run.state == "failed" and newest is not None and run.id == newest.id and named[2] == str(run.attempt):
            end_survivors(folder)
        else:
            clear_room(house, folder)


def clear_room(house: House, folder: Path) -> None:
    """Removes one room, after ending what still works in it."""
    end_survivors(folder)
    pipeline.close_room(house.workspace, folder)


def rooms_of(house: House, run: str) -> list[Path]:
    """The rooms of a run's attempts."""
    found = [(ROOM.fullmatch(folder.name), folder) for folder in sorted(house.workspace.runs.glob(f"{run}-*"))]
    return [folder for named, folder in found if named and named[1] == run and folder.is_dir()]


def _mark_dead(house: House, run: Row, *, now: pd.Timestamp) -> None:
    most = house.params.retrain.attempts
    if run.attempt < most:
        mark_stopped(house, run, why=KILLED, now=now)
        return
    reason = f"{KILLED} {run.attempt} times, retrain.attempts allows {most}: look for what kills it"
    alert(house, "run failed", f"{run.id}: {reason}", now=now)  # first: a run that has ended is not looked at again
    house.store.end_run(run.id, state="failed", ended=iso(now), version=None, detail={"reason": reason})


def _detail(house: House, run: Row) -> dict[str, object]:
    found = house.store.run(run.id)
    return dict(found.detail) if found is not None else {}


def _waiting(house: House, *, now: pd.Timestamp) -> list[str]:
    every = house.store.decisions(house.model)
    by_id, decisions = {row.id: row for row in every}, [row for row in every if row.source != REFIT]
    waiting = []
    stopped = (house.store.runs(house.model, state=state) for state in ("crashed", UNPUSHED))
    for run in chain.from_iterable(stopped):
        if _overtaken(house, by_id[run.decision], decisions):
            reason = "what is live was rolled back to since this was decided, and nothing starts by itself after that"
            alert(house, "run failed", f"{run.id}: {reason}", now=now)
            house.store.end_run(run.id, state="failed", ended=iso(now), version=None, detail={"reason": reason})
        else:
            waiting.append(str(run.decision))
    if decisions and decisions[-1].outcome == "retrain" and house.store.run(f"run-{decisions[-1].id}") is None:
        waiting += [] if _overtaken(house, decisions[-1], decisions) else [str(decisions[-1].id)]
    sequel = refit_waiting(house)
    if sequel is not None and sequel not in waiting:
        waiting.append(sequel)
    return waiting


def _overtaken(house: House, decision: Row, decisions: list[Row]) -> bool:
    """Whether a check decided it before a rollback that nobody has answered since."""
    back = rolled_back(house, decisions, None)
    return back is not None and decision.source != PERSON and pd.Timestamp(decision.as_of) <= back.at
