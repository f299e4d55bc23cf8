"""What goes on around a run: its trials shown in MLflow while the search runs, its failure recorded."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

import pandas as pd

from retrim.adapters.store import Row, iso
from retrim.core.tuning import Trial
from retrim.errors import RetrimError
from retrim.ops.alerts import alert
from retrim.ops.house import House
from retrim.ops.progress import TRIAL_LOG
from retrim.ops.recover import mark_stopped

Say = Callable[[str], None]
POLL_SECONDS = 0.5


@contextmanager
def marked(house: House, run: Row, *, now: pd.Timestamp, from_outside: Callable[[Exception], bool]) -> Iterator[None]:
    """Marks the run when what it wraps does not end: failed after an error, crashed when it was stopped from outside.

    A failed run is not tried again by itself, a crashed one is. The error goes on.

    Args:
        house: The house.
        run: The run.
        now: The moment.
        from_outside: Whether an error is none of the run's own: what the flow stands on went away.
    """
    try:
        yield
    except Exception as error:
        if from_outside(error):
            mark_stopped(house, run, why=f"{type(error).__name__}: {error}", now=now)
            _mirror(house, run, "KILLED")
            raise
        detail = {"reason": str(error)}
        house.store.end_run(run.id, state="failed", ended=iso(now), version=None, detail=detail)
        alert(house, "run failed", f"{run.id}: {error}", now=now)
        _mirror(house, run, "FAILED")
        raise
    except BaseException:  # Ctrl-C, a signal to end, a cancelled flow run
        mark_stopped(house, run, why="it was stopped", now=now)
        _mirror(house, run, "KILLED")
        raise


def _mirror(house: House, run: Row, status: Literal["FAILED", "KILLED"]) -> None:
    """Ends the run in MLflow too; that MLflow is not there must not hide the error."""
    with suppress(RetrimError):
        house.registry.end_open(run.id, status)


@contextmanager
def watching_trials(house: House, parent: str, stage: str) -> Iterator[Callable[[Say], Say]]:
    """Logs trials to MLflow as a search tells them. Gives a wrapper for the stage's `say`, which learns the log's name.

    Only `tune` prints the name of a trial log; for the other stages nothing is watched.
    """
    names: list[str] = []
    stopped = threading.Event()

    def wrap(say: Say) -> Say:
        def both(line: str) -> None:
            if found := TRIAL_LOG.search(line):
                names.append(found[1])
            say(line)

        return both

    known: set[int] | None = None

    def publish() -> None:
        nonlocal known
        if names:
            known = house.registry.log_trials(parent, _read(house, names[-1]), known)

    def follow() -> None:
        while not stopped.wait(POLL_SECONDS):
            publish()

    watcher = threading.Thread(target=follow, name=f"watch-{stage}", daemon=True)
    if stage == "tune":
        watcher.start()
    try:
        yield wrap
    finally:
        stopped.set()
        if stage == "tune":
            watcher.join()
            publish()


def _read(house: House, name: str) -> list[Trial]:
    log = house.workspace.trials / name
    if not log.exists():
        return []
    whole = [line for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]
    return [Trial.from_record(json.loads(line)) for line in whole]
