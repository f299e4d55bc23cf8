"""`retrain.refit_after: true`: a promoted version has a final fit on all mature rows, which predicts."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.release.versions import load_champion
from tests.builders.world import SHIPPED, World, make_world

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]
FIRST, NEXT = 25, 30


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    made = make_world(tmp_path_factory.mktemp("final-fit"), server=server, changes=SHIPPED)
    made.land(made.day(FIRST))
    return made


@pytest.fixture(scope="module")
def outcome(world: World) -> Any:
    return world.ask("retrain", "--as-of", world.day(FIRST))


def test_a_promotion_is_one_run_one_version_and_one_move(world: World, outcome: Any) -> None:
    store = world.workspace.store

    assert (outcome["state"], outcome["version"]) == ("promoted", 1)
    assert len(store.decisions("generated")) == len(store.runs("generated")) == 1
    assert [(row.version, row.previous, row.action) for row in store.releases("generated")] == [(1, None, "promote")]
    assert [version.number for version in world.workspace.registry.versions()] == [1]


def test_its_final_fit_predicts_until_the_newest_mature_row(world: World, outcome: Any) -> None:
    champion, row = load_champion(world.workspace), world.workspace.store.version("generated", 1)

    assert champion is not None
    assert row is not None
    assert row.judged.final is not None
    assert row.judged.final.used
    assert champion.predictor.used_until == pd.Timestamp(world.day(FIRST)) - pd.Timedelta("1h")


def test_mlflow_and_the_card_tell_the_two_fits_apart(world: World, outcome: Any) -> None:
    registry = world.workspace.registry
    metrics = registry.client.get_run(registry.run_of(1)).data.metrics
    card = Path(registry.client.download_artifacts(registry.run_of(1), "card/model_card.md")).read_text()

    assert metrics["train/mae"] < metrics["judged/mae"]
    assert "the final fit, on all mature rows, agrees with the judged fit" in card


def test_both_fits_are_rebuilt(world: World, outcome: Any) -> None:
    rebuilt = world.ask("versions", "reproduce", "1")

    assert rebuilt["identical"]
    assert len(rebuilt["executed"]) == 6


def test_a_check_measures_it_against_the_rows_that_judged(world: World, outcome: Any) -> None:
    world.land(world.day(NEXT), since=world.day(FIRST))
    world.retrim("check", "--now", world.day(NEXT), code=(0, 1))
    record = world.workspace.store.decisions("generated", source="check")[-1].record

    assert record["champion"] == 1
    assert record["performance"]["band"] is not None
    assert record["totals"]["retrainings"] == 0
