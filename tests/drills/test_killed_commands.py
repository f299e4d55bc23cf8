"""Twenty kills of `retrim retrain` and of the schedule, with a server of their own: nothing is left running."""

import subprocess
import sys
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import pandas as pd
import pytest

from retrim.adapters.prefect_server import NOTE
from retrim.landing.inbox import take_from_inbox
from tests.builders.world import COMMAND, World, commands_of, make_world

pytestmark = [pytest.mark.drill, pytest.mark.server]

KILLS = 20
LEFT_SECONDS, REACHED_SECONDS = 60, 180
OWN = {"RETRIM_PREFECT_URL": "", "PREFECT_WORKER_QUERY_SECONDS": "1"}
IN_RETRAIN = ("started", "server", "dvc_worker.py", "validate", "features", "tune", "backtest", "compare")
IN_LOG = {"deployed": "worker started"} | {stage: f"{stage} (" for stage in IN_RETRAIN[3:]}
IN_SCHEDULE = ("started", "server", "deployed", "prefect.engine", "busy")
BUSY_SECONDS = 15.0


def reached(world: World, log: Path, moment: str) -> bool:
    """Whether a command that writes to `log` has come to a moment: a file that it makes or a process that it starts."""
    var = world.root / "var"
    files = {"started": var / "prefect" / "starting.lock", "server": var / "prefect" / NOTE}
    if moment in files:
        return files[moment].exists()
    if moment == "busy":  # a retraining is under way, if a check decided on one
        stages = any("retrim.stages" in command for command in commands_of(world.root))
        return stages or (log.stat().st_size > 0 and time.time() - log.stat().st_mtime > BUSY_SECONDS)
    if moment in IN_LOG:
        return IN_LOG[moment] in log.read_text(encoding="utf-8")
    return any(moment in command for command in commands_of(world.root))


def wait(claim: Callable[[], bool], seconds: float) -> bool:
    """Whether a claim holds before a deadline."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if claim():
            return True
        time.sleep(0.05)
    return claim()


def kill_at(world: World, moment: str, *arguments: str) -> list[str]:
    """Starts a command and kills it alone, with -9, at a moment; gives what is left of it after a minute."""
    log = world.root / "killed.log"
    for name in ("starting.lock", NOTE):  # of the one before
        (world.root / "var" / "prefect" / name).unlink(missing_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=world.root,
            env={**world.environment, **OWN},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    came = wait(lambda: reached(world, log, moment) or process.poll() is not None, REACHED_SECONDS)
    ended = process.poll()
    process.kill()
    process.wait()
    assert came, f"{moment} was not reached: {log.read_text(encoding='utf-8')[-3000:]}"
    assert ended is None, f"it ended by itself before {moment}: {log.read_text(encoding='utf-8')[-3000:]}"
    wait(lambda: not commands_of(world.root), LEFT_SECONDS)
    return [f"{moment}: {command}" for command in commands_of(world.root)]


def test_twenty_killed_retrainings_leave_no_process_and_the_next_one_ends(tmp_path: Path) -> None:
    world = make_world(tmp_path, server="")
    world.land(world.day(25))
    at = world.day(25)
    left: list[str] = []
    for _, moment in zip(range(KILLS), cycle(IN_RETRAIN), strict=False):
        left += kill_at(world, moment, "retrain", "--as-of", at)
    world.retrim("retrain", "--as-of", at, code=(0, 1), environment=OWN)
    workspace = world.workspace
    runs = workspace.store.runs(workspace.model)

    assert left == []
    assert [run.state in ("promoted", "refused") for run in runs] == [True]
    assert len(workspace.store.versions(workspace.model)) == 1
    assert commands_of(world.root) == []


def test_twenty_killed_schedules_leave_no_process_no_lost_and_no_double_row(tmp_path: Path) -> None:
    times = {"ingest": "10s", "check": "20s", "score": "1h"}
    world = make_world(tmp_path, server="", changes={"schedule": {**times, "prove": None}})
    world.land(world.day(25))
    inbox = world.root / "var" / "inbox"
    inbox.mkdir()
    left: list[str] = []
    for number, moment in zip(range(KILLS), cycle(IN_SCHEDULE), strict=False):
        fresh = world.rows(world.day(25 + number), world.day(26 + number))
        fresh.to_csv(world.root / "fresh.csv", index=False)
        (world.root / "fresh.csv").rename(inbox / f"day-{number:02d}.csv")
        left += kill_at(world, moment, "up", "--only", "schedule")
    taken = [landed.outcome for landed in take_from_inbox(world.workspace, now=pd.Timestamp.now("UTC").floor("s"))]
    batches = world.workspace.landing.batches()
    runs = world.workspace.store.runs(world.workspace.model)

    assert left == []
    assert "quarantined" not in taken
    assert sum(batch.rows for batch in batches) == len(world.rows(None, world.day(25 + KILLS)))
    assert len({batch.digest for batch in batches}) == len(batches) == 1 + KILLS
    assert len({run.decision for run in runs}) == len(runs)
    assert commands_of(world.root) == []
