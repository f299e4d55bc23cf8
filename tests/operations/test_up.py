"""`retrim up` for a folder of two workspaces: real servers and worker, every part killed once, and Ctrl-C."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest

from retrim.decision.stored_rows import DecisionRow
from tests.builders.world import COMMAND, World, commands_of, lay_world

pytestmark = [pytest.mark.e2e(minutes=3), pytest.mark.server]

NAMES = ("north", "south")
PARTS = ("prefect", "worker", "ui", "serve")
DEADLINE_SECONDS = 240
QUICK = {"RETRIM_PREFECT_URL": "", "RETRIM_MLFLOW_URL": "", "PREFECT_WORKER_QUERY_SECONDS": "1"}
TIMES = {"ingest": "1h", "check": "30s", "score": "1h", "prove": None}
PORTS = ("--port", "0", "--serve-port", "0", "--prefect-port", "0")


@dataclass(frozen=True)
class Story:
    """What happened.

    `pids` are those of each part before it was killed and after; `second` is another `retrim up`, `by_hand` its
    schedule alone in one of the workspaces, `kept` the worker's log.
    """

    shown: dict[str, str]
    checks: dict[str, list[DecisionRow]]
    pids: dict[str, tuple[int | None, int | None]]
    shown_again: dict[str, str]
    served: str
    second: "subprocess.CompletedProcess[str]"
    by_hand: "subprocess.CompletedProcess[str]"
    exit_code: int
    kept: str
    left: list[str]
    next_run: Mapping[str, str] | None


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("up") / "models"
    folder.mkdir()
    worlds = [_workspace(folder, name) for name in NAMES]
    log = folder / "printed.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "up", str(folder), *PORTS],
            cwd=folder,
            env={**worlds[0].environment, **QUICK},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        return _tell(folder, worlds, process, log)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(90)


def _workspace(folder: Path, name: str) -> World:
    made = folder / f"{name}-made"
    made.mkdir()
    world = lay_world(made / "workspace", changes={"schedule": TIMES, "data": {"model": name}})
    shutil.move(world.root, folder / name)
    made.rmdir()
    moved = replace(world, root=folder / name)
    moved.land(moved.day(25))
    return moved


def _tell(folder: Path, worlds: list[World], process: "subprocess.Popen[bytes]", log: Path) -> Story:
    first, last = worlds
    _until(lambda: "worker started" in _printed(folder, "worker"), process, log)
    _until(lambda: set(_show(first, folder).values()) == {"runs"} or _is_waiting(first, folder), process, log)
    shown = _show(first, folder)
    second = first.retrim("up", str(folder), *PORTS, code=1, environment=QUICK)
    by_hand = last.retrim("up", "--only", "schedule", code=1, environment=QUICK)
    _until(lambda: all(_checks(world) for world in worlds), process, log)
    next_run = last.ask("status", environment=QUICK)["next_run"]
    before = pids_of(process)
    for pid in before.values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    killed = pd.Timestamp.now("UTC")

    _until(lambda: all(pids_of(process)[part] not in (None, before[part]) for part in PARTS), process, log)
    after = pids_of(process)
    _until(lambda: all(pd.Timestamp(_checks(world)[-1].at) > killed for world in worlds), process, log)
    _until(lambda: "is served at" in _printed(folder, "serve"), process, log)
    shown_again = _show(first, folder)
    served = next(line for line in _printed(folder, "serve").splitlines() if "is served at" in line)
    process.send_signal(signal.SIGINT)
    exit_code = process.wait(90)
    return Story(
        shown=shown,
        checks={world.workspace.model: _checks(world) for world in worlds},
        pids={part: (before[part], after[part]) for part in PARTS},
        shown_again=shown_again,
        served=served,
        second=second,
        by_hand=by_hand,
        exit_code=exit_code,
        kept=_printed(folder, "worker"),
        left=_left(folder),
        next_run=next_run,
    )


def pids_of(supervisor: "subprocess.Popen[bytes]") -> dict[str, int | None]:
    """The process of each part, by the command that it begins with or becomes."""
    marks = {
        "prefect": ("--only prefect", "server start"),
        "worker": ("--only worker",),
        "ui": ("--only ui",),
        "serve": ("main() serve",),
    }
    found: dict[str, int | None] = dict.fromkeys(PARTS)
    for child in psutil.Process(supervisor.pid).children():
        with suppress(psutil.Error):
            line = " ".join(child.cmdline())
            found |= {part: child.pid for part in PARTS if any(mark in line for mark in marks[part])}
    return found


def _printed(folder: Path, part: str) -> str:
    """What a part has printed so far."""
    log = folder / "var" / "up" / f"{part}.log"
    return log.read_text(encoding="utf-8") if log.exists() else ""


def _show(world: World, folder: Path) -> dict[str, str]:
    parts: list[dict[str, Any]] = world.ask("up", str(folder), "--show", environment=QUICK)["parts"]
    return {each["name"]: each["state"] for each in parts}


def _is_waiting(world: World, folder: Path) -> bool:
    return {name: state for name, state in _show(world, folder).items() if state != "runs"} == {"serve": "starts"}


def _checks(world: World) -> list[DecisionRow]:
    return world.workspace.store.decisions(world.workspace.model, source="check")


def test_every_part_is_started(story: Story) -> None:
    assert tuple(story.shown) == PARTS
    assert {name: state for name, state in story.shown.items() if state != "runs"}.keys() <= {"serve"}


@pytest.mark.parametrize("name", NAMES)
def test_one_worker_makes_the_checks_of_each_in_its_own_workspace(story: Story, name: str) -> None:
    assert {row.actor for row in story.checks[name]} == {"schedule"}
    assert {row.model for row in story.checks[name]} == {name}


@pytest.mark.parametrize("name", NAMES)
def test_a_check_is_about_its_due_time_although_it_begins_later(story: Story, name: str) -> None:
    starts = [pd.Timestamp(row.as_of).timestamp() % 30 for row in story.checks[name]]

    assert set(starts) == {0.0}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_was_killed_is_started_again(story: Story, part: str) -> None:
    before, after = story.pids[part]

    assert after not in (None, before)
    assert story.shown_again[part] == "runs"


def test_the_prediction_server_answers_once_a_version_is_live(story: Story) -> None:
    assert "version 1 of" in story.served


def test_a_workspace_sees_the_server_of_the_installation(story: Story) -> None:
    assert story.next_run is not None


def test_a_second_one_of_the_same_folder_is_refused(story: Story) -> None:
    assert "already running" in story.second.stderr


def test_a_schedule_beside_it_is_refused(story: Story) -> None:
    assert "in progress" in story.by_hand.stderr


def test_the_log_says_whose_check_it_was(story: Story) -> None:
    for name in NAMES:
        assert f"{name}: checked: " in story.kept


def test_ctrl_c_ends_it_cleanly(story: Story) -> None:
    assert story.exit_code == 0


def test_no_process_is_left(story: Story) -> None:
    assert story.left == []


def _left(folder: Path) -> list[str]:
    deadline = time.monotonic() + 30
    while (left := commands_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.25)
    return left


def _until(claim: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        assert process.poll() is None, log.read_text(encoding="utf-8")[-6000:]
        try:
            if claim():
                return
        except (OSError, json.JSONDecodeError):  # the server is away
            pass
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-6000:]
        time.sleep(0.25)
