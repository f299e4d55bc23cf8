"""Two models share a store, an MLflow and a Prefect server: each finds its own there, and leaves the other's alone."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.builders.world import World, make_world

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]
FIRST, NEXT = 25, 31
NAMES = ("north", "south")


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("stores")
    return {
        "RETRIM_STORE_URL": f"sqlite:///{folder / 'retrim.db'}",
        "RETRIM_MLFLOW_URL": f"sqlite:///{folder / 'mlflow.db'}",
        "RETRIM_MLFLOW_ARTIFACTS": str(folder / "mlflow"),
    }


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory, server: str, addresses: Mapping[str, str]) -> dict[str, World]:
    """Version 1 of each model, made of other rows, and rows that came since."""
    made = {}
    for seed, name in enumerate(NAMES):
        folder = tmp_path_factory.mktemp(name) / name
        folder.mkdir()
        world = make_world(folder, server=server, seed=seed, changes={"data": {"model": name}})
        world.land(world.day(FIRST))
        world.retrim("retrain", "--as-of", world.day(FIRST), environment=addresses)
        world.land(world.day(NEXT), since=world.day(FIRST))
        made[name] = world
    return made


def ask(world: World, addresses: Mapping[str, str], *arguments: str, code: Any = 0) -> Any:
    return world.ask(*arguments, code=code, environment=addresses)


def test_each_has_a_version_of_its_own(worlds: dict[str, World], addresses: dict[str, str]) -> None:
    found = {name: ask(world, addresses, "versions") for name, world in worlds.items()}

    assert [each["version"] for rows in found.values() for each in rows] == [1, 1]
    assert found["north"][0]["model_sha256"] != found["south"][0]["model_sha256"]


def test_both_are_listed_from_either(worlds: dict[str, World], addresses: dict[str, str]) -> None:
    paths = [str(world.root) for world in worlds.values()]
    listed = ask(worlds["north"], addresses, "status", "--all", *paths, code=(0, 1))["models"]
    alone = ask(worlds["south"], addresses, "status", "--all", code=(0, 1))["models"]

    assert sorted((each["model"], each["live"]) for each in listed) == [("north", 1), ("south", 1)]
    assert sorted(each["model"] for each in alone) == ["north", "south"]
    assert [each["workspace"] for each in alone].count(None) == 1


def test_a_check_of_one_says_nothing_of_the_other(worlds: dict[str, World], addresses: dict[str, str]) -> None:
    checked = ask(worlds["north"], addresses, "check", "--now", worlds["north"].day(NEXT), code=(0, 1))

    assert checked["check"]["champion"] == 1
    assert ask(worlds["south"], addresses, "status", code=(0, 1))["last_check"] is None


def test_what_one_prunes_the_other_does_not_miss(worlds: dict[str, World], addresses: dict[str, str]) -> None:
    pruned = ask(worlds["north"], addresses, "versions", "gc")
    rebuilt = ask(worlds["south"], addresses, "versions", "reproduce", "1")

    assert "removed" in pruned
    assert rebuilt["identical"]
    assert Path(addresses["RETRIM_MLFLOW_ARTIFACTS"]).is_dir()
