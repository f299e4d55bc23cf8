"""A workspace whose code is a wheel: upgraded to other code and to other packages, every version is proved after."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from retrim.adapters import git
from retrim.adapters.migrations.schema import RUNS
from retrim.adapters.wheel import Wheel, named_wheel, pack_wheel, running_wheel
from retrim.lineage.locks import held_locks
from tests.builders.wheels import changed_wheel, install
from tests.builders.world import COMMAND, START, World, describe, lend_environment

pytestmark = [pytest.mark.e2e(minutes=3), pytest.mark.server, pytest.mark.slow]
FIRST, SECOND, THIRD = 25, 35, 45
ALL = ["validate", "features", "tune", "train", "backtest", "compare"]


def python_of(wheel: Wheel, folder: Path) -> Path:
    """The interpreter of an environment with this wheel."""
    folder.mkdir()
    (folder / wheel.name).write_bytes(wheel.content)
    return install(folder / wheel.name, folder / "environment")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("upgrade")


@pytest.fixture(scope="module")
def newer(folder: Path) -> Wheel:
    """Another version, whose code differs."""
    return changed_wheel(folder / "newer", "0.1.1", edits={"src/retrim/files.py": ('"""', '"""Of another version. ')})


@pytest.fixture(scope="module")
def repacked(folder: Path) -> Wheel:
    """The same code as `newer` with another lock."""
    package = folder / "newer" / "src" / "retrim"
    lock = package.parents[1] / "requirements.lock"
    lock.write_text(lock.read_text(encoding="utf-8") + "# another\n", encoding="utf-8")
    return pack_wheel(package)


@pytest.fixture(scope="module")
def first(folder: Path, server: str) -> World:
    """Version 1, by the code of this checkout as it is installed from its wheel."""
    python = python_of(running_wheel(), folder / "first")
    root = folder / "workspace"
    subprocess.run([python, "-c", COMMAND, "new", str(root)], check=True, env=plain())
    describe(root, task="regression")
    git.git(root, "add", "-A")
    git.git(root, *git.IDENTITY, "commit", "-q", "-m", "table")
    world = World(root, server, {"task": "regression", "seed": 7, "kind": "none", "size": 0.0, "since": START}, python)
    lend_environment(world)
    world.land(world.day(FIRST))
    world.retrim("retrain", "--as-of", world.day(FIRST))
    return world


def plain() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.fixture(scope="module")
def unmoved(first: World, newer: Wheel, folder: Path) -> World:
    """The same with rows that came later, run by another retrim."""
    world = replace(first, python=python_of(newer, folder / "second"))
    world.land(world.day(SECOND), since=world.day(FIRST))
    return world


@pytest.fixture(scope="module")
def refusal(unmoved: World) -> str:
    """What a run by another retrim says."""
    return unmoved.retrim("retrain", "--as-of", unmoved.day(SECOND), code=1).stderr


@pytest.fixture(scope="module")
def second(unmoved: World, refusal: str) -> World:
    """Upgraded to other code; version 2."""
    world = unmoved
    done = world.ask("new", "--upgrade", ".")
    assert (done["before"], done["after"], done["champion"], done["as_before"]) == ("0.1.0", "0.1.1", 1, True)
    assert (world.root / done["backup"] / "retrim.db").is_file()
    assert named_wheel((world.root / done["backup"] / "requirements.lock").read_text()) is not None
    assert world.run("git", "status", "--short") == ""
    world.retrim("retrain", "--as-of", world.day(SECOND), code=(0, 1))
    return world


@pytest.fixture(scope="module")
def third(second: World, repacked: Wheel, folder: Path) -> World:
    """Upgraded to another lock; version 3."""
    world = replace(second, python=python_of(repacked, folder / "third"))
    world.ask("new", "--upgrade", ".")
    lend_environment(world)
    world.land(world.day(THIRD), since=world.day(SECOND))
    world.retrim("retrain", "--as-of", world.day(THIRD), code=(0, 1))
    return world


def test_a_run_by_another_retrim_is_refused_until_it_is_upgraded(refusal: str, second: World) -> None:
    assert "retrim new --upgrade ." in refusal
    assert len(second.ask("versions")) == 2


def test_each_version_is_proved_after_both_upgrades(third: World) -> None:
    proofs = [third.ask("versions", "reproduce", number, "--prove") for number in ("1", "2", "3")]

    assert [(each["identical"], each["executed"]) for each in proofs] == [(True, ALL)] * 3


def test_a_second_upgrade_has_nothing_to_do(third: World) -> None:
    commit = git.git(third.root, "rev-parse", "HEAD")
    again = third.ask("new", "--upgrade", ".")

    assert (again["changed"], again["backup"]) == ([], None)
    assert git.git(third.root, "rev-parse", "HEAD") == commit


def test_an_upgrade_that_was_killed_is_finished(third: World) -> None:
    git.git(third.root, "reset", "-q", "--soft", "HEAD~1")
    again = third.ask("new", "--upgrade", ".")

    assert again["changed"] == ["data/code.dvc", "requirements.lock", "dvc.yaml"]
    assert third.run("git", "status", "--short") == ""


def test_it_waits_until_the_schedule_is_stopped(third: World) -> None:
    with held_locks(third.workspace, "schedule"):
        third.retrim("new", "--upgrade", ".", code=1)
    third.retrim("new", "--upgrade", ".")


def test_a_run_that_began_is_finished_first(third: World) -> None:
    workspace = third.workspace
    run = workspace.store.runs(workspace.model)[-1]
    git.git(third.root, "reset", "-q", "--soft", "HEAD~1")
    for state in ("crashed", run.state):
        with workspace.store.begin() as connection:
            connection.execute(sa.update(RUNS).where(RUNS.c.id == run.id).values(state=state))
        done = third.retrim("new", "--upgrade", ".", code=(0, 1))
        assert (done.returncode == 0) == (state != "crashed")

    assert done.returncode == 0
    assert third.run("git", "status", "--short") == ""


def test_an_edit_that_nobody_committed_is_not_lost(first: World, third: World) -> None:
    lock = third.root / "requirements.lock"
    text = lock.read_text()
    lock.write_text(f"{text}# mine\n")
    refused = replace(third, python=first.python).retrim("new", "--upgrade", ".", code=1)
    lock.write_text(text)

    assert "requirements.lock" in refused.stderr


def test_at_a_tag_only_the_code_of_the_version_runs(first: World, third: World, tmp_path: Path) -> None:
    run_directory = tmp_path / "room"
    git.git(third.root, "clone", "-q", "-b", "retrim/generated/v1", str(third.root), str(run_directory))
    cache = str(third.root / ".dvc" / "cache")
    third.run("dvc", "remote", "add", "-q", "--local", "-d", "cache", cache, folder=run_directory)
    third.run("dvc", "pull", "-q", "data/raw.dvc", "data/champion.dvc", "data/previous.dvc", folder=run_directory)
    command = ("dvc", "repro", "--force", "--single-item", "validate")
    third.run(*command, folder=run_directory, code=255)
    first.run(*command, folder=run_directory)


def test_the_environment_of_a_version_has_its_wheel(first: World, third: World) -> None:
    lend_environment(third, lock=git.file_at(third.root, "retrim/generated/v1", "requirements.lock").decode())
    built = third.ask("versions", "reproduce", "1", "--environment")

    assert built["code"] == running_wheel().name
    assert (Path(built["folder"]) / "bin" / "python").exists()


def test_what_nobody_needs_goes_and_the_wheels_of_versions_stay(third: World) -> None:
    third.retrim("versions", "gc")
    commits = [f"retrim/generated/v{number}" for number in (1, 2, 3)]
    third.run("dvc", "fetch", "-q", "--all-commits", "data/code.dvc", code=0)

    assert len({git.file_at(third.root, commit, "data/code.dvc") for commit in commits}) == 3
