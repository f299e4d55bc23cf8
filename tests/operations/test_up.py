"""`retrim up` for a folder of two workspaces: real servers and worker, every part killed once, and Ctrl-C."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.decision.stored_rows import DecisionRow
from retrim.operations.parts import installation_at
from retrim.operations.supervise import read_states
from retrim.release.versions import load_champion
from tests.builders.world import COMMAND, World, commands_of, lay_world

pytestmark = [pytest.mark.e2e(minutes=3), pytest.mark.server]

NAMES = ("north", "south")
PARTS = ("prefect", "worker", "ui", "serve")
DEADLINE_SECONDS = 240
QUICK = {"RETRIM_PREFECT_URL": "", "RETRIM_MLFLOW_URL": "", "PREFECT_WORKER_QUERY_SECONDS": "1"}
TIMES = {"ingest": "1h", "monitor": "30s", "score": "1h", "maintain": "1h", "prove": None}
PORTS = ("--port", "0", "--serve-port", "0", "--prefect-port", "0")


@dataclass(frozen=True)
class Story:
    """What happened.

    Args:
        shown: The parts as `--show` told them before anything was killed.
        checks: Of each workspace, those that the schedule made.
        pids: Of each part, its process before it was killed and the one that took its place.
        shown_again: The parts as `--show` told them when all were back.
        served: The model that the prediction server answered for.
        second: What a second `retrim up` said.
        by_hand: What `retrim schedule` said in one of the workspaces.
        exit_code: Of the first, after Ctrl-C.
        log: What it printed.
        kept: Its own log.
        left: Processes that were left after it.
        next_run: The next scheduled run as a workspace's own status tells it.
        newcomer: Checks that the schedule made of a workspace that was laid in the folder meanwhile.
        answers: Of a request every 50 ms, from before it was laid until it was checked: status, or what went wrong.
        stayed: Parts whose process was the same before and after.
    """

    shown: dict[str, str]
    checks: dict[str, list[DecisionRow]]
    pids: dict[str, tuple[int | None, int | None]]
    shown_again: dict[str, str]
    served: str
    second: "subprocess.CompletedProcess[str]"
    by_hand: "subprocess.CompletedProcess[str]"
    exit_code: int
    log: str
    kept: str
    left: list[str]
    next_run: Mapping[str, str] | None
    newcomer: list[DecisionRow]
    answers: Counter[str]
    stayed: set[str]


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
    _until(lambda: "worker started" in log.read_text(encoding="utf-8"), process, log)
    installation = installation_at(folder)
    _until(lambda: set(_show(first, folder).values()) == {"runs"} or _is_waiting(first, folder), process, log)
    shown = _show(first, folder)
    second = first.retrim("up", str(folder), *PORTS, code=1, environment=QUICK)
    by_hand = last.retrim("schedule", code=1, environment=QUICK)
    _until(lambda: all(_checks(world) for world in worlds), process, log)
    next_run = last.ask("status", environment=QUICK)["next_run"]
    before = {part: read_states(installation)[part].pid for part in PARTS}
    for pid in before.values():
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    killed = pd.Timestamp.now("UTC")

    def is_back(part: str) -> bool:
        pid = read_states(installation)[part].pid
        return pid is not None and pid != before[part]

    _until(lambda: all(is_back(part) for part in PARTS), process, log)
    after = {part: read_states(installation)[part].pid for part in PARTS}
    _until(lambda: all(pd.Timestamp(_checks(world)[-1].at) > killed for world in worlds), process, log)
    _until(lambda: "is served at" in log.read_text(encoding="utf-8"), process, log)
    shown_again = _show(first, folder)
    served = next(line for line in log.read_text(encoding="utf-8").splitlines() if "is served at" in line)
    pids = {part: read_states(installation)[part].pid for part in PARTS}
    live = next(world for world in worlds if f"version 1 of {world.workspace.model}" in served)
    with asked_again_and_again(installation.ports.serve, live) as answers:
        newcomer = _workspace(folder, "west")
        _until(lambda: bool(_checks(newcomer)), process, log)
    stayed = {part for part in PARTS if read_states(installation)[part].pid == pids[part]}
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
        log=log.read_text(encoding="utf-8"),
        kept=(installation.up / "up.log").read_text(encoding="utf-8"),
        left=_left(folder),
        next_run=next_run,
        newcomer=_checks(newcomer),
        answers=answers,
        stayed=stayed,
    )


@contextmanager
def asked_again_and_again(port: int, world: World) -> Iterator[Counter[str]]:
    """Asks for the prediction of a row every 50 ms until the block ends; counts the answers."""
    over, answers = threading.Event(), Counter[str]()
    champion = load_champion(world.workspace)
    assert champion is not None
    path, body = f"/models/{world.workspace.model}/predict", json.dumps(dict.fromkeys(champion.predictor.view.needs))

    def work() -> None:
        while not over.wait(0.05):
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
                connection.request("POST", path, body, {"content-type": "application/json"})
                answers[str(connection.getresponse().status)] += 1
            except OSError as error:
                answers[type(error).__name__] += 1

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join()


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


def test_a_workspace_that_is_laid_meanwhile_is_served_too(story: Story) -> None:
    assert {row.actor for row in story.newcomer} == {"schedule"}


def test_the_prediction_server_answers_every_request_meanwhile(story: Story) -> None:
    assert story.answers.keys() == {"200"}
    assert story.answers.total() > 100


def test_only_the_worker_and_the_pages_begin_again(story: Story) -> None:
    assert story.stayed == {"prefect", "serve"}


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
