"""`retrim new` lays a workspace that stands alone, or says what it lacks."""

import shutil
from pathlib import Path

import pytest

from retrim.adapters import git
from retrim.errors import BadInputError, RefusedError
from retrim.onboarding.new import NEEDED, lay_workspace
from retrim.paths import WorkspacePaths
from retrim.settings import load_params
from tests.builders.world import REPOSITORY


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return lay_workspace(tmp_path_factory.mktemp("new") / "mine", source=REPOSITORY).root


def test_it_has_all_that_a_run_needs(laid: Path) -> None:
    assert [name for name in NEEDED if not (laid / name).exists()] == []


def test_it_is_a_workspace_with_settings_that_hold(laid: Path) -> None:
    assert (
        load_params(WorkspacePaths.find(laid).params).data.model == load_params(REPOSITORY / "params.yaml").data.model
    )


def test_it_is_committed_whole(laid: Path) -> None:
    git.require_repository(laid)

    assert git.git(laid, "status", "--porcelain") == ""


def test_what_is_written_by_init_is_committed_and_nothing_else(laid: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(laid, mine, symlinks=True)
    (mine / "mine.txt").write_text("mine")
    git.git(mine, "add", "mine.txt")
    (mine / "params.yaml").write_text((mine / "params.yaml").read_text() + "# edited\n")
    (mine / "expectations" / "mine.json").write_text("{}")
    commit = git.commit(mine, ["params.yaml", "expectations/mine.json"], "init: settings")

    assert commit == git.git(mine, "rev-parse", "HEAD")
    assert git.git(mine, "status", "--porcelain") == "A  mine.txt"
    assert git.commit(mine, ["params.yaml"], "again") == commit


def test_tests_and_benchmarks_stay_behind(laid: Path) -> None:
    assert not (laid / "tests").exists()
    assert not (laid / "bench").exists()


def test_a_folder_with_something_in_it_is_left_alone(laid: Path) -> None:
    with pytest.raises(BadInputError, match="not empty"):
        lay_workspace(laid, source=REPOSITORY)


def test_a_folder_inside_a_repository_is_refused(laid: Path) -> None:
    with pytest.raises(RefusedError, match="inside the repository"):
        lay_workspace(laid / "inner", source=REPOSITORY)


def test_a_secret_beside_the_code_is_not_committed_into_it(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in NEEDED:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    git.git(source, "init", "-q")
    git.git(source, "add", "-A")
    (source / ".env").write_text("PASSWORD=1\n")

    with pytest.raises(RefusedError, match=r"\.env .*looks like a secret"):
        lay_workspace(tmp_path / "mine", source=source)
    assert not (tmp_path / "mine").exists()


def test_without_a_checkout_it_says_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"is no checkout of retrim .*--source CHECKOUT"):
        lay_workspace(tmp_path / "new", source=tmp_path)
