"""A run that restores a previous champion is killed: before anything moved, and after the release row."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from retrim.release.versions import find_live_version
from tests.builders.world import START, World, make_world
from tests.drills.scene import Scene, all_is_settled, champion_is_whole

LATER = START + pd.Timedelta(1000, "D")


class Returning(Scene):
    """A world whose concept changed on day 20, so that version 2 was made, and changed back on day 40."""

    def __init__(self, folder: Path, server: str) -> None:
        changed: World = make_world(
            folder,
            server=server,
            drift={"kind": "concept", "size": 4.0, "since": START + pd.Timedelta(20, "D")},
            changes={
                "gain": {"cost": 1e6},  # nothing is trained by itself
                "probation": {"checks": 0},  # or it is a rollback, and not a restore, that brings version 1 back
                "retrain": {"mode": "refit"},
            },
        )
        changed.land(changed.day(20))
        changed.retrim("retrain", "--as-of", changed.day(20))
        changed.land(changed.day(40), since=changed.day(20))
        changed.retrim("retrain", "--as-of", changed.day(40))
        self.world, self.day = replace(changed, table={**changed.table, "since": LATER}), 40

    def next_day(self) -> str:
        """Lands four more days of rows; gives the moment."""
        before, self.day = self.day, self.day + 4
        self.world.land(self.world.day(self.day), since=self.world.day(before))
        return self.world.day(self.day)

    def live(self) -> tuple[int, int]:
        """The version that the store says is live, and the one that the alias points at."""
        now_live = find_live_version(self.world.workspace)
        assert now_live is not None
        return now_live.version, self.world.workspace.registry.aliases()["champion"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, server: str) -> Returning:
    return Returning(tmp_path_factory.mktemp("returning"), server)


@pytest.mark.drill
@pytest.mark.server
def test_a_run_killed_while_it_restores_is_finished_by_the_next_check(scene: Returning) -> None:
    assert scene.live() == (2, 2)
    scene.kill("retrim.release.release:make_live:before", "retrain", "--as-of", scene.next_day())
    champion_is_whole(scene.world)
    assert scene.live() == (2, 2)

    scene.kill("retrim.adapters.store:Store.add_release:after", "check", "--now", scene.next_day())
    champion_is_whole(scene.world)
    assert scene.live() == (1, 2)

    scene.world.retrim("check", "--now", scene.next_day())
    assert scene.live() == (1, 1)
    champion_is_whole(scene.world)
    all_is_settled(scene.world)
