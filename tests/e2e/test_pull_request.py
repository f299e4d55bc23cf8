"""A change of features or settings is held against its base: the last retrainings are made again on both sides.

A clone of the world with two versions, as CI has it: git with its tags, and a DVC remote. No store, no MLflow.
"""

import shutil
import sys
from pathlib import Path

import pytest

from retrim.adapters import git
from retrim.onboarding.ci import lay_ci
from retrim.yaml_files import dump_yaml, read_yaml
from tests.builders.world import World

pytestmark = [pytest.mark.e2e(minutes=1), pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def clone(two_versions: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """The clone, on its branch `bad`, which takes away two columns that say much; `main` has them."""
    root = tmp_path_factory.mktemp("clone") / "workspace"
    two_versions.run("git", "clone", "-q", str(two_versions.root), str(root))
    world = World(root, two_versions.server)
    world.run("dvc", "remote", "add", "-q", "--local", "-d", "store", str(two_versions.root / ".dvc" / "cache"))
    world.run("git", "switch", "-q", "-c", "bad")
    params = read_yaml(root / "params.yaml")
    for name in ("slope", "group"):
        params["data"]["columns"][name]["role"] = "forbidden"
    (root / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    world.run("git", *git.IDENTITY, "commit", "-q", "-a", "-m", "without them")
    return world


def test_a_bad_change_fails(clone: World, tmp_path: Path) -> None:
    clone.run("git", "switch", "-q", "bad")
    review = clone.ask("policy", "backtest", "--base", "main", "--to", str(tmp_path / "comment.md"), code=1)
    assert (review["outcome"], review["passes"], len(review["retrainings"])) == ("worse", False, 2)
    assert review["together"]["gain"]["high"] < 0
    comment = (tmp_path / "comment.md").read_text(encoding="utf-8")
    assert "failed (worse)" in comment
    assert "data.columns.slope.role" in comment


def test_a_good_change_passes(clone: World) -> None:
    clone.run("git", "switch", "-q", "-C", "good", "bad")
    clone.run("git", *git.IDENTITY, "revert", "--no-edit", "HEAD")
    review = clone.ask("policy", "backtest", "--base", "bad", "--last", "1")
    assert (review["outcome"], review["passes"], len(review["retrainings"])) == ("better", True, 1)
    assert review["together"]["gain"]["low"] > 0


def test_a_change_that_no_retraining_reads_replays_nothing(clone: World) -> None:
    clone.run("git", "switch", "-q", "-C", "page", "main")
    (clone.root / "README.md").write_text("another page\n", encoding="utf-8")
    clone.run("git", *git.IDENTITY, "commit", "-q", "-a", "-m", "page")
    review = clone.ask("policy", "backtest", "--base", "main")
    assert (review["outcome"], review["passes"], review["retrainings"]) == ("same", True, [])


def test_the_script_of_ci_checks_settings_and_retrainings_and_writes_the_comment(clone: World) -> None:
    clone.run("git", "switch", "-q", "-C", "ci", "main")
    shutil.rmtree(clone.root / "tests")  # of this repository, which is the workspace here
    shutil.rmtree(clone.root / ".ci")
    lay_ci(clone.root)
    clone.run("git", "add", "-A")
    clone.run("git", *git.IDENTITY, "commit", "-q", "-m", "ci")
    lend_packages(clone)
    printed = clone.run("sh", ".ci/check", "main", environment={"PYTHONPATH": str(clone.root / "src")})
    assert "2 skipped" in printed  # its model is not a custom one
    assert (clone.root / "var" / "comment.md").read_text(encoding="utf-8") in printed
    assert git.git(clone.root, "status", "--porcelain") == ""


def lend_packages(world: World) -> None:
    """Lets the script find its environment built: building one takes minutes."""
    (world.root / ".venv" / "bin").mkdir(parents=True)
    for name in ("python", "retrim"):
        (world.root / ".venv" / "bin" / name).write_text(
            f'#!/bin/sh\nexec {Path(sys.executable).with_name(name)} "$@"\n'
        )
        (world.root / ".venv" / "bin" / name).chmod(0o755)
    shutil.copyfile(world.root / "requirements.lock", world.root / ".venv" / "installed.lock")


def test_a_change_that_cannot_be_trained_fails(clone: World) -> None:
    clone.run("git", "switch", "-q", "-C", "broken", "main")
    params = read_yaml(clone.root / "params.yaml")
    params["split"]["judge_rows"] = 10_000
    (clone.root / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
    clone.run("git", *git.IDENTITY, "commit", "-q", "-a", "-m", "broken")
    review = clone.ask("policy", "backtest", "--base", "main", code=1)
    assert review["outcome"] == "failed"


def test_a_clone_without_its_base_says_what_to_fetch(clone: World) -> None:
    done = clone.retrim("policy", "backtest", "--base", "origin/elsewhere", code=2)
    assert "fetch it" in done.stderr
