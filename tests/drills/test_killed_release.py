"""SIGKILL at a hundred random instants between publish and alias move: the champion is whole, each move is one row."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.adapters.dvc import stages
from retrim.retraining.run_directory import open_run_directory, stages_of
from retrim.training.mode import StageLimits
from tests.builders.world import World, make_world
from tests.drills.instants import RUN_DIRECTORY

SCRIPT = Path(__file__).with_name("instants.py")
KILLS, SEED = 100, 20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A room in which every stage has run; no Prefect: what is killed is what it would call."""
    world = make_world(tmp_path_factory.mktemp("instants"), server="http://127.0.0.1:9/api")
    world.land(world.day(25))
    as_of = pd.Timestamp(world.day(25))
    run_directory = open_run_directory(world.workspace, RUN_DIRECTORY, as_of=as_of, mode="search", taken=None)
    with stages_of(world.workspace, run_directory) as session:
        for stage in stages(run_directory.folder):
            session.reproduce(stage, lambda line: None, StageLimits(longest=3600, silent=3600))
    return world


def kill_at_instants(world: World, kills: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(world.root), str(kills), str(SEED)],
        env=world.environment | {"PYTHONPATH": f"{world.root / 'src'}:{world.root}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.drill
def test_a_release_killed_at_any_instant_is_whole_and_finished_by_the_next(world: World) -> None:
    found = kill_at_instants(world, KILLS)

    assert [kill for kill in found["kills"] if kill["wrong"]] == []
    assert len(found["kills"]) == KILLS
    assert sum(not kill["ended"] for kill in found["kills"]) >= KILLS / 2  # it was under way when it was killed
