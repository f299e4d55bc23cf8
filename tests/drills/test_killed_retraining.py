"""SIGKILL to the process group of a real retraining, anywhere: the champion is whole, the next run finishes it."""

import pytest

from retrim.release.versions import find_live_version
from tests.drills.scene import Scene, all_is_settled, champion_is_whole, survivors, trials_are_those_of_the_bundle

STAGES = ("validate", "features", "tune", "train", "backtest", "compare")
STORE, REGISTRY = "retrim.adapters.store:Store", "retrim.adapters.mlflow_registry:ModelRegistry"
DVC = "retrim.adapters.dvc_session:DvcSession"
IN_TUNE = "retrim.lineage.workspace:report_progress:after:tune: loss \\S+ 4 8"
IN_PUBLISH = f"{REGISTRY}._register:after"
PROMOTION = (f"{STORE}.add_to_envelope:after:release_checks", f"{STORE}.add_release:after")  # a refused one has neither
PLACES = {
    "once claimed": f"{STORE}.claim_run:after",
    "in a half-made room": "retrim.adapters.git:add_worktree:after",
    **{f"before {stage}": f"{DVC}.reproduce:before: {stage} <" for stage in STAGES},
    "after compare": f"{DVC}.reproduce:after: compare <",
    "before MLflow": f"{REGISTRY}.publish:before",
    "before registering": f"{REGISTRY}._register:before",
    "once published": f"{REGISTRY}.publish:after",
    "once challenger": f"{REGISTRY}.set_alias:after:challenger",
    "once tagged": "retrim.adapters.git:tag:after",
    "once recorded": f"{STORE}.add_version:after",
    "once MLflow's run has ended": f"{REGISTRY}.finish:after",
    "before the end": f"{STORE}.end_run:before:promoted|refused",
    "after the end": f"{STORE}.end_run:after:promoted|refused",
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, server: str) -> Scene:
    return Scene(tmp_path_factory.mktemp("drills"), server)


def drill(scene: Scene, *places: str, attempts: int = 2) -> int:
    """Kills a run, looks, asks for the same again, once for each place; looks when it has ended; its version."""
    at = scene.next_day()
    for place in places:
        scene.kill(place, "retrain", "--as-of", at)
        champion_is_whole(scene.world)
    printed = scene.world.retrim("retrain", "--as-of", at, code=(0, 1))
    run = scene.run_of(at)
    assert run is not None
    assert attempts == 1 or f"resumed {run.id}" in printed.stdout
    assert attempts == 1 or f"resuming {run.id}" in printed.stderr
    assert run.state in ("promoted", "refused")
    assert run.attempt == attempts
    assert run.version is not None
    champion_is_whole(scene.world)
    all_is_settled(scene.world)
    trials_are_those_of_the_bundle(scene.world, run.version)
    return int(run.version)


@pytest.mark.drill
@pytest.mark.server
def test_a_promotion_killed_once_checked_and_then_before_its_alias_is_finished_by_the_next(scene: Scene) -> None:
    # It comes first: the table has changed since version 1, and later challengers may be refused.
    version = drill(scene, *PROMOTION, attempts=3)
    now_live = find_live_version(scene.world.workspace)
    assert now_live is not None

    assert now_live.version == version


@pytest.mark.drill
@pytest.mark.server
@pytest.mark.parametrize("place", PLACES)
def test_a_run_killed_anywhere_is_finished_by_the_next(scene: Scene, place: str) -> None:
    drill(scene, PLACES[place], attempts=1 if place == "after the end" else 2)


@pytest.mark.e2e
@pytest.mark.server
@pytest.mark.slow
def test_a_search_killed_between_its_batches_ends_as_if_it_had_not_been(scene: Scene) -> None:
    version = drill(scene, IN_TUNE)

    assert scene.world.ask("versions", "reproduce", str(version))["identical"]


@pytest.mark.e2e
@pytest.mark.server
@pytest.mark.slow
def test_a_run_killed_inside_publish_is_published_once(scene: Scene) -> None:
    drill(scene, IN_PUBLISH)


@pytest.mark.drill
@pytest.mark.server
def test_a_stage_that_outlived_its_run_is_ended(scene: Scene) -> None:
    at = scene.next_day()
    scene.kill(IN_TUNE, "retrain", "--as-of", at)
    outlived = survivors(scene.world)
    scene.world.retrim("retrain", "--as-of", at, code=(0, 1))

    assert outlived
    assert survivors(scene.world) == []
