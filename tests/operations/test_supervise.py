"""One `retrim up` at a time, which a look at it does not keep from beginning, and what it leaves out."""

import fcntl
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from retrim.errors import BadInputError, BusyError, RefusedError
from retrim.lineage.locks import held_locks, is_alive
from retrim.lineage.workspace import Workspace, open_workspace
from retrim.operations.parts import Installation, Ports
from retrim.operations.supervise import LOCK, hold_schedules, open_each, take_installation
from tests.builders.world import describe


def test_a_look_at_an_installation_does_not_keep_it_from_beginning_and_another_does(tmp_path: Path) -> None:
    root = str(tmp_path)
    installation = Installation(root, (root,), Ports(1, 2, 3), None)
    installation.up.mkdir(parents=True)
    looking = (installation.up / LOCK).open("a+")
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.1, looking.close).start()
    with take_installation(installation), pytest.raises(RefusedError, match="already running"):
        take_installation(installation)
    take_installation(installation).close()


def lay(folder: Path, *names: str) -> Installation:
    for name in names:
        (folder / name).mkdir()
        describe(folder / name, task="regression", changes={"data": {"model": name}})
        (folder / name / "dvc.yaml").touch()
    roots = tuple(str(folder / name) for name in names)
    return Installation(str(folder), roots, Ports(1, 2, 3), None)


def test_a_workspace_whose_var_is_a_file_is_left_out(tmp_path: Path) -> None:
    installation, said = lay(tmp_path, "a", "b"), list[str]()
    (tmp_path / "a" / "var").touch()

    assert [each.model for each in open_each(installation, say=said.append)] == ["b"]
    assert [str(tmp_path / "a") in text for text in said] == [True]


def test_without_a_workspace_that_opens_nothing_is_begun(tmp_path: Path) -> None:
    installation = lay(tmp_path, "a")
    (tmp_path / "a" / "var").touch()

    with pytest.raises(BadInputError, match="no workspace"):
        open_each(installation, say=print)


@pytest.fixture
def pair(tmp_path: Path) -> list[Workspace]:
    lay(tmp_path, "a", "b")
    return [open_workspace(tmp_path / name) for name in ("a", "b")]


def test_a_schedule_that_another_process_holds_leaves_out_its_workspace_alone(pair: list[Workspace]) -> None:
    said: list[str] = []
    with held_locks(pair[0], "schedule"), ExitStack() as stack:
        assert hold_schedules(pair, stack, say=said.append) == [pair[1]]
        assert is_alive(pair[1], "schedule")
    assert not is_alive(pair[1], "schedule")
    assert [str(pair[0].paths.root) in text for text in said] == [True]


def test_a_schedule_whose_lock_cannot_be_written_leaves_out_its_workspace_alone(pair: list[Workspace]) -> None:
    pair[0].paths.runs.touch()
    with ExitStack() as stack:
        assert hold_schedules(pair, stack, say=print) == [pair[1]]


def test_if_other_processes_hold_every_schedule_it_is_refused(pair: list[Workspace]) -> None:
    with held_locks(pair[0], "schedule"), ExitStack() as stack, pytest.raises(BusyError):
        hold_schedules(pair[:1], stack, say=print)
