"""A killed check: before its decision is kept, before its run begins, inside that. The next one ends what it began."""

import pandas as pd
import pytest

from tests.drills.scene import Scene, all_is_settled, champion_is_whole

ADD_CHECK = "retrim.adapters.store:Store.add_check"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, server: str) -> Scene:
    return Scene(tmp_path_factory.mktemp("drills"), server)


@pytest.mark.drill
@pytest.mark.server
def test_a_check_killed_three_times_is_finished_by_the_fourth(scene: Scene) -> None:
    store, at = scene.world.workspace.store, scene.next_day()
    decision = f"generated-{pd.Timestamp(at):%Y%m%dT%H%M%SZ}"

    scene.kill(f"{ADD_CHECK}:before", "check", "--now", at)
    assert store.decision(decision) is None
    scene.kill(f"{ADD_CHECK}:after", "check", "--now", at)
    kept = store.decision(decision)
    assert kept is not None
    assert kept.outcome == "retrain"
    assert store.run(f"run-{decision}") is None
    scene.kill("retrim.adapters.mlflow_registry:ModelRegistry.publish:after", "check", "--now", at)
    champion_is_whole(scene.world)
    scene.world.retrim("check", "--now", at)
    run = store.run(f"run-{decision}")

    assert run is not None
    assert (run.state, run.attempt) == ("promoted", 2)
    champion_is_whole(scene.world)
    all_is_settled(scene.world)
