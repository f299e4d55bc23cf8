"""`retrim new` lays a small workspace, whole or not at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from retrim.adapters import git
from retrim.adapters.dvc import run_dvc
from retrim.adapters.wheel import running_wheel
from retrim.errors import BadInputError, RefusedError
from retrim.files import WorkspacePaths
from retrim.lineage.workspace import clone, open_workspace
from retrim.onboarding.new import lay_workspace
from retrim.settings import load_params
from tests.builders.world import COMMAND, REPOSITORY, describe

pytestmark = pytest.mark.slow
MOST_FILES = 12


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_workspace(tmp_path_factory.mktemp("new") / "mine").root


def new(folder: Path, *, path: str | None = None) -> "subprocess.Popen[str]":
    environment = {**os.environ} if path is None else {**os.environ, "PATH": path}
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "new", str(folder)], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_it_lays_few_files_no_code_and_is_committed_whole(laid: Path) -> None:
    names = git.git(laid, "ls-files").splitlines()
    git.require_repository(laid)

    assert len(names) <= MOST_FILES
    assert [name for name in names if name.endswith(".py")] == []
    assert (laid / "dvc.yaml").read_bytes() == (REPOSITORY / "dvc.yaml").read_bytes()
    assert git.git(laid, "status", "--porcelain") == ""
    with pytest.raises(BadInputError, match="`retrim init"):
        load_params(WorkspacePaths.find(laid).params)


def test_dvc_keeps_the_wheel_that_the_lock_names(laid: Path, tmp_path: Path) -> None:
    wheel, clone = running_wheel(), tmp_path / "clone"
    git.git(tmp_path, "clone", "-q", str(laid), str(clone))
    run_dvc(clone, "remote", "add", "-q", "--local", "-d", "cache", str(laid / ".dvc" / "cache"))
    run_dvc(clone, "pull", "-q", "data/code.dvc")

    assert (clone / "data" / "code" / wheel.name).read_bytes() == wheel.content
    assert (clone / "requirements.lock").read_text() == wheel.workspace_lock


def test_a_clone_for_the_demo_has_the_wheel_too(laid: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(laid, mine, symlinks=True)
    describe(mine, task="regression")
    clone(open_workspace(mine), mine / "var" / "demo")
    run_dvc(mine / "var" / "demo", "checkout", "-q", "data/code.dvc")

    assert (mine / "var" / "demo" / "data" / "code" / running_wheel().name).read_bytes() == running_wheel().content


def test_what_is_written_by_init_is_committed_and_nothing_else(laid: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(laid, mine, symlinks=True)
    (mine / "mine.txt").write_text("mine")
    git.git(mine, "add", "mine.txt")
    (mine / "params.yaml").write_text((mine / "params.yaml").read_text() + "# edited\n")
    (mine / "expectations").mkdir()
    (mine / "expectations" / "mine.json").write_text("{}")
    commit = git.commit(mine, ["params.yaml", "expectations/mine.json"], "init: settings")

    assert commit == git.git(mine, "rev-parse", "HEAD")
    assert git.git(mine, "status", "--porcelain") == "A  mine.txt"
    assert git.commit(mine, ["params.yaml"], "again") == commit


def test_an_empty_folder_that_is_there_is_used(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    before = (tmp_path / "mine").stat().st_ino
    lay_workspace(tmp_path / "mine")

    assert (tmp_path / "mine").stat().st_ino == before  # somebody may stand in it
    assert git.git(tmp_path / "mine", "status", "--porcelain") == ""
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_with_something_in_it_or_inside_a_repository_is_refused(laid: Path) -> None:
    with pytest.raises(BadInputError, match="not empty"):
        lay_workspace(laid)
    with pytest.raises(RefusedError, match=f"{laid / 'inner'} .*repository {laid}"):
        lay_workspace(laid / "inner")


def test_what_a_killed_one_left_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".mine.new" / "data").mkdir(parents=True)
    (tmp_path / ".mine.new" / "half").touch()
    lay_workspace(tmp_path / "mine")

    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert not (tmp_path / "mine" / "half").exists()


def test_of_two_at_once_one_lays_it_and_the_other_is_refused(tmp_path: Path) -> None:
    both = [new(tmp_path / "mine") for _ in range(2)]
    said = [process.communicate()[1] for process in both]

    assert sorted(process.returncode for process in both) == [0, 2], said
    assert any("not empty" in each for each in said)
    assert git.git(tmp_path / "mine", "status", "--porcelain") == ""


def test_a_killed_one_leaves_no_workspace(tmp_path: Path) -> None:
    process = new(tmp_path / "mine")
    while process.poll() is None and not (tmp_path / ".mine.new").exists():
        pass
    process.kill()
    process.communicate()

    assert not (tmp_path / "mine").exists()
    lay_workspace(tmp_path / "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_without_git_it_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    process = new(tmp_path / "mine", path=str(tmp_path))
    _, said = process.communicate()

    assert process.returncode == 3
    assert "install git" in said
    assert list(tmp_path.iterdir()) == []
