"""Prepared features in a workspace: a real run trains on them, scores, explains, and is proved identical."""

import json

import pytest

from tests.builders.world import World, lend_environment, make_world

pytestmark = [pytest.mark.server, pytest.mark.slow]
STEPS = [
    {"step": "calendar", "columns": ["at"], "parts": ["hour"], "circle": True, "zone": "UTC"},
    {"step": "SimpleImputer", "columns": ["noise"], "add_indicator": True},
    {"step": "clip", "columns": ["level"], "by": "zscore", "reach": 2.5, "at_most": 0.05},
    {"step": "QuantileTransformer", "columns": ["slope"]},
    {"step": "target_code", "columns": ["group"], "smoothing": 5.0},
    {"step": "select_uncorrelated", "columns": "all", "at_most": 0.95},
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    made = make_world(tmp_path_factory.mktemp("prepared"), server=server, changes={"prepare": {"steps": STEPS}})
    made.land(made.day(25))
    made.retrim("retrain", "--as-of", made.day(25))
    made.land(made.day(29), since=made.day(25))
    lend_environment(made)
    return made


def test_a_version_on_prepared_features_scores_explains_checks_and_is_rebuilt(world: World) -> None:
    row = {"at": "2024-02-01T06:00", "level": 0.5, "slope": 1, "noise": None, "group": "b"}
    world.retrim("predict")
    said = world.ask("versions", "explain", json.dumps(row))
    world.retrim("check", "--now", world.day(29), code=(0, 1))
    proof = world.ask("versions", "reproduce", "1", "--prove")
    key = world.workspace.predictions.all_keys(1)[-1]

    names = {each["feature"] for each in said["contributions"]}
    assert names == {"at", "level", "slope", "noise", "group"}
    assert world.ask("versions", "explain", f"{key}@1")["agrees"] is True
    assert (proof["identical"], proof["proved"]) == (True, True)
