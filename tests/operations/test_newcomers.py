"""Which workspaces of a folder are new to an installation that runs, and what is noted of them."""

from configparser import RawConfigParser
from pathlib import Path

import pytest

from retrim.adapters.prefect_server import LOGIN_FILE, NOTE
from retrim.files import WorkspacePaths, write_private
from retrim.lineage.locks import held_locks
from retrim.lineage.workspace import Workspace, open_workspace
from retrim.operations.newcomers import Newcomers, new_roots, take_in
from retrim.operations.parts import Installation, Ports, installation_at, plan_installation, write_installation
from retrim.operations.supervise import CONFIG
from tests.builders.world import describe


def lay(folder: Path, name: str, *, model: str | None = None) -> str:
    root = folder / name
    root.mkdir()
    describe(root, task="regression", changes={"data": {"model": model or name}})
    (root / "dvc.yaml").touch()
    return str(root)


def plan(folder: Path, *names: str) -> Installation:
    roots = [WorkspacePaths(folder / name) for name in names]
    return plan_installation(roots, folder, ports=Ports(0, 0, 0), prefect_url=None)


def served(installation: Installation, *, without: str = "") -> list[Workspace]:
    return [open_workspace(Path(root)) for root in installation.roots if Path(root).name != without]


@pytest.fixture
def running(tmp_path: Path) -> Installation:
    """An installation of two workspaces."""
    for name in ("a", "b"):
        lay(tmp_path, name)
    return plan(tmp_path, "a", "b")


def test_what_is_served_is_not_new(running: Installation) -> None:
    assert new_roots(running, served(running)) == []


def test_a_workspace_that_was_laid_meanwhile_is_new(running: Installation) -> None:
    new = lay(Path(running.folder), "c")

    assert new_roots(running, served(running)) == [new]


def test_one_that_cannot_be_opened_is_left_alone(running: Installation) -> None:
    root = Path(lay(Path(running.folder), "c"))
    (root / "params.yaml").write_text("data: 1")

    assert new_roots(running, served(running)) == []


def test_one_that_was_left_out_is_new_once_it_can_be_opened(running: Installation) -> None:
    var = Path(running.roots[0]) / "var"
    var.touch()
    others = served(running, without="a")
    assert new_roots(running, others) == []
    var.unlink()

    assert new_roots(running, others) == [running.roots[0]]


def test_one_that_was_left_out_is_not_noted_twice(running: Installation) -> None:
    write_installation(running)
    for name in (LOGIN_FILE, NOTE):
        write_private(WorkspacePaths(Path(running.roots[1])).prefect / name, name.encode())

    assert take_in(running, [running.roots[0]]) == running
    for name in (LOGIN_FILE, NOTE):
        assert (WorkspacePaths(Path(running.roots[0])).prefect / name).read_text(encoding="utf-8") == name


def test_one_that_cannot_be_written_keeps_no_other_from_being_noted(running: Installation) -> None:
    (Path(running.roots[0]) / "var").touch()
    new = lay(Path(running.folder), "c")
    take_in(running, [new])

    assert installation_at(Path(running.folder)).roots == (*running.roots, new)


def test_one_whose_schedule_another_process_holds_is_left_alone(running: Installation) -> None:
    left_out = open_workspace(Path(running.roots[0]))
    with held_locks(left_out, "schedule"):
        assert new_roots(running, served(running, without="a")) == []


def test_one_whose_schedule_cannot_be_held_is_left_alone(running: Installation) -> None:
    open_workspace(Path(running.roots[0])).paths.runs.touch()

    assert new_roots(running, served(running, without="a")) == []


def test_one_with_a_name_that_is_served_is_left_alone(running: Installation) -> None:
    lay(Path(running.folder), "c", model="a")

    assert new_roots(running, served(running)) == []


def test_of_one_workspace_alone_none_is_new(tmp_path: Path) -> None:
    root = Path(lay(tmp_path, "a"))
    lay(root, "b")

    assert new_roots(Installation(str(root), (str(root),), Ports(1, 2, 3), None), []) == []


def test_it_counts_once_it_was_seen_twice(running: Installation) -> None:
    looking = Newcomers(Path(running.folder), [], print)

    assert [looking.settled(found) for found in (["c"], ["c", "d"], ["d"])] == [[], ["c"], ["d"]]


def test_one_whose_name_cannot_be_held_is_told_once_and_stops_no_other(running: Installation) -> None:
    write_installation(running)
    strange, new = (lay(Path(running.folder), name, model=name[0]) for name in ("c #1", "d"))
    said: list[str] = []
    looking = Newcomers(Path(running.folder), served(running), said.append)

    assert [looking.look() for _ in range(2)] == [False, True]
    assert installation_at(Path(running.folder)).roots == (*running.roots, new)
    assert sum(strange in text and "rename" in text for text in said) == 1


def test_one_that_could_not_be_taken_in_whole_is_taken_in_later(
    running: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_installation(running)
    new = lay(Path(running.folder), "c")
    looking = Newcomers(Path(running.folder), served(running), print)

    def full(planned: Installation) -> Path:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("retrim.operations.newcomers.write_config", full)
        looking.look()
        with pytest.raises(OSError, match="No space"):
            looking.look()
    assert looking.look()
    assert installation_at(Path(running.folder)).roots == (*running.roots, new)


def test_the_next_parts_serve_it_at_the_same_ports(running: Installation) -> None:
    new = lay(Path(running.folder), "c")
    take_in(running, [new])
    noted, config = installation_at(Path(running.folder)), RawConfigParser()
    config.read(running.up / CONFIG)

    assert noted.roots == (*running.roots, new)
    assert (noted.ports.ui, noted.ports.serve, noted.ports.prefect) == (
        running.ports.ui, running.ports.serve, running.ports.prefect,
    )  # fmt: skip
    assert new in config["program:serve"]["command"]


def test_its_commands_find_the_prefect_server_that_runs(running: Installation) -> None:
    for name in (LOGIN_FILE, NOTE):
        write_private(WorkspacePaths(Path(running.roots[0])).prefect / name, name.encode())
    new = lay(Path(running.folder), "c")
    take_in(running, [new])

    for name in (LOGIN_FILE, NOTE):
        assert (WorkspacePaths(Path(new)).prefect / name).read_text(encoding="utf-8") == name
