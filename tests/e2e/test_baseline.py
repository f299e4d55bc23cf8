"""`versions rollback --to baseline`: the best constant goes live, and a model comes back through the gate."""

from typing import Any

import numpy as np
import pytest

from retrim.release.versions import load_champion
from tests.builders.world import World, make_world
from tests.e2e.flows_here import make_check, retrain

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]
FIRST, BACK, CHECKED = 25, 30, 35


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    """Version 1 is a model; the baseline took its place on day 30."""
    made = make_world(tmp_path_factory.mktemp("baseline"), server=server)
    made.land(made.day(FIRST))
    retrain(made, FIRST, "the first")
    made.land(made.day(BACK), since=made.day(FIRST))
    return made


@pytest.fixture(scope="module")
def moved(world: World) -> Any:
    return world.ask("versions", "rollback", "--to", "baseline", "--reason", "it is wrong", "--now", world.day(BACK))


@pytest.fixture(scope="module")
def checked(world: World, moved: Any) -> dict[str, Any]:
    world.land(world.day(CHECKED), since=world.day(BACK))
    return make_check(world, CHECKED)


def test_the_baseline_is_a_version_that_predicts_the_best_constant(world: World, moved: Any) -> None:
    champion = load_champion(world.workspace)

    assert champion is not None
    assert (moved["version"], moved["previous"], moved["action"], champion.version) == (2, 1, "rollback", 2)
    assert champion.predictor.recipe.kind == "baseline"
    matrix = np.random.default_rng(1).normal(size=(50, len(champion.predictor.view.columns)))
    assert np.ptp(champion.predictor.model.predict(matrix)) < 1e-3


def test_the_gate_had_refused_it_and_nobody_is_told_so(world: World, moved: Any) -> None:
    row = world.workspace.store.version("generated", 2)

    assert row is not None
    assert (row.made_from.mode, row.judged.promote) == ("baseline", False)
    assert not [alert for alert in world.workspace.store.alerts("generated") if alert.kind == "refused"]


def test_it_is_rebuilt_as_every_version(world: World, moved: Any) -> None:
    assert world.ask("versions", "reproduce", "2")["identical"]


def test_a_check_refits_the_newest_model_beside_it(checked: dict[str, Any]) -> None:
    reading = checked["check"]["probe"]["reading"]

    assert checked["check"]["champion"] == 2
    assert reading["gain"] > 2 * reading["error"] > 0


def test_a_retraining_that_pays_searches_and_brings_a_model_back(world: World, checked: dict[str, Any]) -> None:
    champion, row = load_champion(world.workspace), world.workspace.store.version("generated", 3)

    assert (checked["run"]["state"], checked["run"]["version"]) == ("promoted", 3)
    assert champion is not None
    assert champion.predictor.recipe.kind == "gbm"
    assert row is not None
    assert row.made_from.mode == "search"
