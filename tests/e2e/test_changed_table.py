"""A table that changes between two real retrainings, and a batch that is withdrawn: both versions rebuild."""

from typing import Any

import pandas as pd
import pytest

from retrim.landing.ingest import Landed, land_batch
from retrim.yaml_files import dump_yaml, load_yaml
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]


def edit(world: World) -> World:
    """Takes `noise` out, renames `level`, and adds `fresh`; the world as a command sees it after that."""
    path = world.root / "params.yaml"
    document = load_yaml(path.read_text(encoding="utf-8"))
    columns = document["data"]["columns"]
    columns.pop("noise")
    columns["height"] = columns.pop("level") | {"was": "level"}
    columns["fresh"] = {"type": "number", "role": "feature"}
    path.write_text(dump_yaml(document), encoding="utf-8")
    return World(world.root, world.server, world.table)


def hand_in(world: World, since: float, until: float) -> Landed:
    """Lands rows as they are after the edit."""
    rows = world.rows(world.day(since), world.day(until)).drop(columns="noise").rename(columns={"level": "height"})
    file = world.root / "var" / f"{until}.csv"
    rows.assign(fresh=rows["height"] * 2).to_csv(file, index=False)
    workspace = world.workspace
    how: dict[str, Any] = {"workspace": workspace.paths, "data": workspace.params.data, "correction": False}
    return land_batch(file, now=pd.Timestamp(world.day(until)), **how)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    """Version 1, a changed table, version 2, and the first batch after the change withdrawn."""
    world = make_world(tmp_path_factory.mktemp("changed"), server=server)
    world.land(world.day(25))
    world.retrim("retrain", "--as-of", world.day(25), "--reason", "first")
    world = edit(world)
    for until in (28, 31):
        assert hand_in(world, until - 3, until).outcome == "landed"
    world.retrim("retrain", "--as-of", world.day(31), "--reason", "the table changed", code=(0, 1))
    batch = world.ask("batch", "show")[1]["batch"]
    world.retrim("batch", "withdraw", batch, "--reason", "of another place", "--now", world.day(32))
    return world


def test_both_versions_rebuild(world: World) -> None:
    for version in ("1", "2"):
        assert world.ask("versions", "reproduce", version)["identical"] is True


def test_versions_say_which_was_made_with_the_withdrawn_batch(world: World) -> None:
    batch = world.ask("batch", "show")[1]

    assert batch["withdrawn"]["reason"] == "of another place"
    assert [each["withdrawn"] for each in world.ask("versions")] == [[], [batch["batch"]]]


def test_the_second_version_does_without_the_column_that_is_gone(world: World) -> None:
    first, second = (row.lineage["needs"] for row in world.workspace.store.versions(world.workspace.model))

    assert {"noise", "level"} <= set(first)
    assert set(second) == {"height", "slope", "group", "fresh", "outcome"}
