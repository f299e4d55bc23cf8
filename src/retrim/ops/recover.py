"""After a kill: ends what was left running, marks the run crashed, clears its room, finishes a half-made move."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from retrim.adapters import pipeline
from retrim.adapters.store import Row, iso
from retrim.errors import RefusedError
from retrim.ops.house import House
from retrim.ops.release import live, sync_aliases


@contextmanager
def held(house: House, run: str) -> Iterator[None]:
    """Holds the sign of life of a run: a file lock that the system frees when the process dies, however it dies.

    Raises:
        RefusedError: Another process holds it.
    """
    house.workspace.runs.mkdir(parents=True, exist_ok=True)
    with _sign(house, run).open("w") as sign:
        try:
            fcntl.flock(sign, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(f"{run} is going on in another process; wait for it") from error
        yield
        _sign(house, run).unlink(missing_ok=True)


def is_alive(house: House, run: str) -> bool:
    """Whether a process holds the run's sign of life."""
    if not _sign(house, run).exists():
        return False
    with _sign(house, run).open("w") as sign:
        try:
            fcntl.flock(sign, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def was_held(house: House, run: str) -> bool:
    """Whether a run ever took its sign of life here, and did not end well since."""
    return _sign(house, run).exists()


def recover(house: House, *, now: pd.Timestamp) -> list[Row]:
    """Marks dead runs crashed and clears their rooms; gives the crashed runs, which may be started again."""
    for run in house.store.runs(house.model, state="running"):
        if not is_alive(house, run.id):
            house.store.end_run(run.id, state="crashed", ended=iso(now), version=None, detail={})
            _sign(house, run.id).unlink(missing_ok=True)
    crashed = house.store.runs(house.model, state="crashed")
    for run in crashed:
        clear_rooms(house, run.id)
    if live(house) is not None:
        sync_aliases(house)
    return crashed


def clear_rooms(house: House, run: str) -> None:
    """Removes the rooms of a run, after ending what still works in them."""
    for folder in sorted(house.workspace.runs.glob(f"{run}-*")):
        pipeline.end_survivors(folder)
        pipeline.close_room(house.workspace, folder)


def _sign(house: House, run: str) -> Path:
    return house.workspace.runs / f"{run}.lock"
