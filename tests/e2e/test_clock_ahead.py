"""A version that was made while the clock ran ahead rebuilds byte for byte after the dates were repaired."""

import pandas as pd
import pytest

from retrim.checking.check import check
from retrim.landing.clock_repair import repair
from retrim.retraining.reproduce import reproduce
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    """Version 1 was made as of day 25, and by day 24 it was seen that the clock was ahead."""
    world = make_world(tmp_path_factory.mktemp("ahead"), server=server)
    world.land(world.day(25))
    world.retrim("retrain", "--as-of", world.day(25))
    done = repair(world.workspace, by="anna", reason="the clock was a day ahead", now=pd.Timestamp(world.day(24)))
    assert [move.kind for move in done.moves] == ["batch", "person", "run"]
    assert [line.split()[:2] for line in done.stays] == [["version", "1"], ["version", "1"]]
    return world


def test_it_rebuilds_from_raw_data_of_its_own(world: World) -> None:
    found = reproduce(world.workspace, 1, say=lambda line: None)

    assert (found.identical, found.differences) == (True, ())


def test_rows_land_and_a_check_looks(world: World) -> None:
    world.land(world.day(26), since=world.day(25))

    assert check(world.workspace, by="anna", now=pd.Timestamp(world.day(26))).record.champion == 1
