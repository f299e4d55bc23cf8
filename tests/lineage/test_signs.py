"""Signs of life: held by one process, seen by all, freed by the system when the process is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from retrim.environment import Env
from retrim.errors import RefusedError
from retrim.files import WorkspacePaths
from retrim.lineage import locks
from retrim.lineage.locks import (
    clear_lock,
    drop_lock,
    held_locks,
    holder_of,
    is_alive,
    left_behind,
    lock_beats,
    take_lock,
    was_taken,
)
from retrim.lineage.workspace import Workspace
from retrim.settings import load_params
from tests.builders.waiting import until

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys
from pathlib import Path
from retrim.lineage.workspace import Workspace
from retrim.lineage.locks import take_lock
from retrim.files import WorkspacePaths
from retrim.environment import Env
from retrim.settings import load_params
workspace = Workspace(WorkspacePaths(Path(sys.argv[1])), load_params(Path(sys.argv[2])), Env())
sign = take_lock(workspace, sys.argv[3])
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(WorkspacePaths(tmp_path), load_params(ROOT / "params.yaml"), Env())


@contextmanager
def holder(workspace: Workspace, name: str) -> "Iterator[subprocess.Popen[str]]":
    """Another process that holds a sign until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(workspace.paths.root), str(ROOT / "params.yaml"), name],
        env={"PYTHONPATH": str(ROOT / "src")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_no_sign_is_alive_where_a_file_lies_in_the_place_of_their_folder(workspace: Workspace) -> None:
    workspace.paths.runs.parent.mkdir(parents=True, exist_ok=True)
    workspace.paths.runs.write_text("", encoding="utf-8")

    assert not is_alive(workspace, "schedule")


def test_a_sign_is_alive_while_it_is_held_and_gone_after(workspace: Workspace) -> None:
    with held_locks(workspace, "run-a"):
        during = is_alive(workspace, "run-a")

    assert during
    assert not is_alive(workspace, "run-a")
    assert not was_taken(workspace, "run-a")


def test_a_sign_is_given_back_after_an_error_too(workspace: Workspace) -> None:
    with pytest.raises(RuntimeError), held_locks(workspace, "run-a"):
        raise RuntimeError

    assert not was_taken(workspace, "run-a")


@pytest.mark.slow
def test_a_sign_that_another_process_holds_is_refused_with_its_number(workspace: Workspace) -> None:
    with holder(workspace, "run-a") as process, pytest.raises(RefusedError, match=f"process {process.pid}"):
        take_lock(workspace, "run-a")


@pytest.mark.slow
def test_a_killed_process_leaves_its_sign_behind_and_another_can_take_it(workspace: Workspace) -> None:
    with holder(workspace, "run-a") as process:
        before = left_behind(workspace, "run-")
        process.send_signal(signal.SIGKILL)
        process.wait()

        assert before == []
        assert left_behind(workspace, "run-") == ["run-a"]
        drop_lock(workspace, "run-a", take_lock(workspace, "run-a"))
        assert left_behind(workspace, "run-") == []


def test_looking_at_a_sign_neither_makes_nor_takes_it(workspace: Workspace) -> None:
    workspace.paths.runs.mkdir(parents=True)
    alive = is_alive(workspace, "run-a")

    assert not alive
    assert not was_taken(workspace, "run-a")


def test_signs_of_others_are_not_among_those_left_behind(workspace: Workspace) -> None:
    for name in ("run-a", "flow-b"):
        take_lock(workspace, name).close()

    assert left_behind(workspace, "flow-") == ["flow-b"]
    clear_lock(workspace, "flow-b")
    assert left_behind(workspace, "flow-") == []


def test_a_sign_that_was_taken_since_it_was_found_left_behind_is_not_removed(workspace: Workspace) -> None:
    take_lock(workspace, "run-a").close()
    (found,) = left_behind(workspace, "run-")
    with held_locks(workspace, "run-a"):
        clear_lock(workspace, found)

        assert is_alive(workspace, "run-a")


def test_a_sign_is_touched_again_after_it_could_not_be_touched_once(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched, touch = list[int](), os.utime

    def fail_once(file: int) -> None:
        touched.append(file)
        if len(touched) == 1:
            raise OSError("stale file handle")
        touch(file)

    monkeypatch.setattr(locks, "BEAT_SECONDS", 0.01)
    monkeypatch.setattr(os, "utime", fail_once)
    with held_locks(workspace, "run-a") as sign, lock_beats(sign):
        until(lambda: len(touched) > 1)


def test_the_holder_of_a_sign_is_known_after_the_clock_was_set(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    with held_locks(workspace, "run-a"):
        later, boot = psutil.Process().create_time() - 60, psutil.boot_time() - 60
        monkeypatch.setattr(psutil.Process, "create_time", lambda _: later)
        monkeypatch.setattr(psutil, "boot_time", lambda: boot)
        assert holder_of(workspace, "run-a") == psutil.Process()
