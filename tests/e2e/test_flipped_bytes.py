"""One flipped byte in any stored artefact: whoever would use it refuses, names the place, and says the cure."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from retrim.adapters import dvc
from retrim.adapters.migrations.schema import RELEASES
from retrim.checking.check import check
from retrim.checking.score import score
from retrim.errors import BadInputError, RefusedError
from retrim.files import Paths
from retrim.release.release import rollback
from retrim.release.versions import find_live_version
from retrim.retraining.reproduce import reproduce
from retrim.retraining.run_directory import open_run_directory
from retrim.stages._common import check_pins
from retrim.yaml_files import load_yaml
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    """Version 1 was live, 2 is, so that there is one to go back to."""
    changes = {"gate": {"min_gain": 0.0, "confidence": 0.51}, "retrain": {"mode": "refit"}}
    drift = {"kind": "concept", "size": 3.0, "since": "2024-01-26T00:00:00+00:00"}
    world = make_world(tmp_path_factory.mktemp("flipped"), server=server, drift=drift, changes=changes)
    world.land(world.day(25))
    world.retrim("retrain", "--as-of", world.day(25))
    world.land(world.day(45), since=world.day(25))
    world.retrim("retrain", "--as-of", world.day(45))
    now_live = find_live_version(world.workspace)
    assert now_live is not None
    assert (now_live.version, now_live.previous) == (2, 1)
    return world


@contextmanager
def flipped(path: Path, place: int = 0) -> Iterator[None]:
    """One byte of a file turned, and turned back at the end."""
    whole, mode = path.read_bytes(), path.stat().st_mode
    content = bytearray(whole)
    content[place] ^= 1
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    path.chmod(mode)
    try:
        yield
    finally:
        path.chmod(0o644)
        path.write_bytes(whole)
        path.chmod(mode)


def bundle_file(world: World, version: int) -> Path:
    return min(world.workspace.registry.bundle_folder(version).glob("models/*/model.txt"))


def batch_file(world: World) -> Path:
    return world.workspace.landing.batches()[0].path


def a_run_directory(world: World, day: float) -> Path:
    """A room as a retraining makes it, removed by the next test that makes one."""
    folder = world.workspace.paths.runs / "flipped"
    dvc.close_run_directory(world.workspace.paths, folder)
    made = open_run_directory(world.workspace, "flipped", as_of=pd.Timestamp(world.day(day)), mode="refit", taken=None)
    return made.folder


USES: dict[str, Callable[[World], object]] = {
    "score": lambda world: score(world.workspace, now=pd.Timestamp(world.day(46))),
    "check": lambda world: check(world.workspace, by="a test", now=pd.Timestamp(world.day(46))),
    "retrain": lambda world: a_run_directory(world, 46),
}


@pytest.mark.parametrize("use", USES)
def test_in_the_champions_bundle(world: World, use: str) -> None:
    with (
        flipped(bundle_file(world, 2)),
        pytest.raises(RefusedError, match=r"bundle of version 2 was altered.* `git checkout retrim/generated"),
    ):
        USES[use](world)


def test_in_the_bundle_that_a_rollback_goes_back_to(world: World) -> None:
    with (
        flipped(bundle_file(world, 1)),
        pytest.raises(RefusedError, match=r"version 1 was altered.* `git checkout"),
    ):
        rollback(world.workspace, 1, by="a test", reason="complaints", now=pd.Timestamp(world.day(46)))
    now_live = find_live_version(world.workspace)

    assert now_live is not None
    assert now_live.version == 2


@pytest.mark.parametrize("name", ["model.txt", "view.json", "digests.json"])
def test_in_the_model_that_mlflow_serves(world: World, name: str) -> None:
    artifacts = world.workspace.registry.bundle_folder(2).parent / "model"
    (path,) = artifacts.rglob(name)

    with flipped(path, -3), pytest.raises(Exception, match="was altered"):
        world.workspace.registry.load("champion")
    assert world.workspace.registry.load("champion") is not None


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("place", [0, 200, -9])
def test_in_a_landed_batch(world: World, use: str, place: int) -> None:
    file = batch_file(world)
    with flipped(file, place), pytest.raises((RefusedError, BadInputError), match=file.stem):
        USES[use](world)


@pytest.mark.parametrize("use", USES)
def test_in_the_release_log(world: World, use: str) -> None:
    workspace = world.workspace
    third = sa.update(RELEASES).where(RELEASES.c.sequence == 2)
    with workspace.store.begin() as connection:
        connection.execute(third.values(version=3))
    try:
        with pytest.raises(RefusedError, match="altered: row 2 "):
            USES[use](world)
    finally:
        with workspace.store.begin() as connection:
            connection.execute(third.values(version=2))


@pytest.mark.parametrize("folder", ["champion", "raw"])
def test_in_what_lies_in_a_room(world: World, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run_directory = Paths(a_run_directory(world, 45))
    monkeypatch.setattr("retrim.__file__", str(run_directory.root / "src" / "retrim" / "__init__.py"))
    check_pins(run_directory)
    path = next(each for each in sorted((run_directory.root / "data" / folder).rglob("*")) if each.is_file())

    with flipped(path), pytest.raises(BadInputError, match=rf"data/{folder} .*pinned.*create a new one"):
        check_pins(run_directory)


@pytest.mark.parametrize("what", ["raw", "champion"])
def test_in_what_a_rebuild_takes_from_the_cache(world: World, what: str) -> None:
    note = world.run("git", "show", f"retrim/generated/v2:data/{what}.dvc")
    listing = load_yaml(note)["outs"][0]["md5"]
    cache = world.root / ".dvc" / "cache" / "files" / "md5"
    first = load_yaml((cache / listing[:2] / listing[2:]).read_text())[0]["md5"]

    with flipped(cache / first[:2] / first[2:]):
        found = reproduce(world.workspace, 2, say=lambda line: None)
    assert not found.identical
    assert any(f"data/{what}" in line or first in line for line in found.differences)


def test_nothing_of_this_changed_what_is_live(world: World) -> None:
    now_live = find_live_version(world.workspace)

    assert now_live is not None
    assert now_live.version == 2
    assert score(world.workspace, now=pd.Timestamp(world.day(46))).version == 2
