"""What a workspace keeps is its user's alone, whatever the umask says and whoever made it first."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrim.adapters.landing_zone import Landing
from retrim.lineage.locks import using_cache
from retrim.lineage.workspace import open_workspace
from tests.builders.world import COMMAND, World, make_world


@pytest.fixture(scope="module", autouse=True)
def open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A workspace in which whatever is made is open to all, and so is what was there."""
    world = make_world(tmp_path_factory.mktemp("open"), server="")
    (world.root / "var").mkdir(exist_ok=True)
    (world.root / "var").chmod(0o777)
    return world


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_command_closes_var_its_databases_and_landed_rows(world: World) -> None:
    file = world.root / "rows.csv"
    world.rows(None, world.day(3)).to_csv(file, index=False)
    store = world.root / "var" / "retrim.db"
    store.touch(0o666)
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "ingest", str(file), "--arrived", world.day(3)],
        cwd=world.root,
        env=world.environment,
        umask=0,
        check=True,
        capture_output=True,
    )
    open_workspace(world.root).store.models()
    landed = list((world.root / "var" / "landing").rglob("*.parquet"))

    assert done.returncode == 0
    assert len(landed) == 1
    assert mode(world.root / "var") == 0o700
    assert [oct(mode(path)) for path in (store, *landed)] == ["0o600"] * 2


@pytest.mark.slow
def test_the_mlflow_database_is_closed_and_so_is_one_that_was_open(world: World) -> None:
    database = world.root / "var" / "mlflow.db"
    database.touch(0o666)
    registry = open_workspace(world.root).registry
    registry.aliases()

    assert mode(database) == 0o600


def test_the_copies_of_landed_rows_in_dvcs_cache_are_closed(world: World) -> None:
    cache = world.root / ".dvc" / "cache"
    cache.mkdir(exist_ok=True)
    with using_cache(open_workspace(world.root)):
        pass

    assert mode(cache) == 0o700


def test_rows_that_land_before_anything_else_close_the_folders_above_them(tmp_path: Path) -> None:
    with Landing(tmp_path / "var" / "landing").locked():
        pass

    assert [mode(tmp_path / "var"), mode(tmp_path / "var" / "landing")] == [0o700, 0o700]


def test_the_folder_of_a_database_elsewhere_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(0o755)
    world = make_world(tmp_path / "world", server="")
    monkeypatch.setenv("RETRIM_STORE_URL", f"sqlite:///{shared / 'retrim.db'}")
    open_workspace(world.root).store.models()

    assert (mode(shared), mode(shared / "retrim.db")) == (0o755, 0o600)
