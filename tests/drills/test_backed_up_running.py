"""Backups made while rows land and a retraining runs: each is restored whole, and recovery ends the run."""

import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from retrim.environment import Env
from retrim.operations.backup import make_backup
from retrim.operations.backup_store import BackupStore
from retrim.operations.restore import restore_backup
from tests.builders.restoring import inconsistencies
from tests.builders.world import World, make_world

FIRST, SECOND = 25, 35
MOST = 12
"""Backups that are restored, from the first to the last."""
pytestmark = pytest.mark.drill


@pytest.fixture(scope="module")
def backed_up(tmp_path_factory: pytest.TempPathFactory, server: str) -> tuple[World, str]:
    """A world, and the place of the backups that were made of it, one after another, while its version 2 was made."""
    world = make_world(
        tmp_path_factory.mktemp("running"),
        server=server,
        drift={"kind": "concept", "size": 3.0, "since": "2024-01-26T00:00:00+00:00"},
        changes={"triggers": {"rules": ["manual"]}},
    )
    place = str(tmp_path_factory.mktemp("backups"))
    world.land(world.day(FIRST))
    world.retrim("retrain", "--as-of", world.day(FIRST))
    world.land(world.day(SECOND), since=world.day(FIRST))
    day = back_up_during(world, place, "retrain", "--as-of", world.day(SECOND), since=SECOND)
    back_up_during(world, place, "check", "--now", world.day(day), since=day)
    return world, place


def back_up_during(world: World, place: str, *command: str, since: int) -> int:
    """Backs up, and lands a day of rows, again and again until a command has ended; gives the last day."""
    running, day = world.start(*command), since
    while running.poll() is None:
        now = pd.Timestamp.now("UTC").floor("s")
        make_backup(world.workspace, place, now=now)
        world.land(world.day(day + 1), since=world.day(day))
        day += 1
        while pd.Timestamp.now("UTC").floor("s") == now:  # a backup has its second
            time.sleep(0.05)
    out, err = running.communicate()
    assert running.returncode in (0, 1), f"{out}\n{err}"
    return day


def state(world: World) -> tuple[int, str]:
    """How many versions there are, and how far the second run is."""
    store, model = world.workspace.store, world.workspace.model
    return len(store.versions(model)), "; ".join(run.state for run in store.runs(model))


def test_every_backup_is_whole_and_its_run_is_finished_by_recovery(
    backed_up: tuple[World, str], tmp_path: Path
) -> None:
    world, place = backed_up
    expected = [(row.version, row.bundle) for row in world.workspace.store.versions("generated")]
    seen: dict[tuple[int, str, int], int] = {}
    names = BackupStore(place).names()
    for name in names[:: max(len(names) // MOST, 1)]:
        folder = tmp_path / name
        restore_backup(place, folder, until=pd.Timestamp(name.partition("-")[0]), env=Env())
        back = replace(world, root=folder)
        assert inconsistencies(back.workspace) == [], name
        found = (*state(back), len(list((folder / ".git" / "refs" / "tags" / "retrim" / "generated").iterdir())))
        seen[found] = seen.get(found, 0) + 1
        if seen[found] > 1:  # what is alike is recovered once
            continue
        last = max(file.arrived for file in back.workspace.landing.batches())
        back.retrim("check", "--now", max(last, pd.Timestamp(world.day(SECOND + 1))).isoformat(), code=(0, 1))
        assert inconsistencies(back.workspace) == [], name
        versions = [(row.version, row.bundle) for row in back.workspace.store.versions("generated")]
        assert versions == (expected if "running" in found[1] or found[0] > 1 else expected[:1]), (name, found)
    print(seen)  # noqa: T201  the drill says at which states it looked
    assert any("running" in states for _, states, _ in seen)
