"""`retrain.refit_after: true`: a promoted recipe is fitted once more on all mature rows, as a version of its own."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.builders.world import SHIPPED, World, make_world

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]
FIRST, NEXT = 25, 30


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    made = make_world(tmp_path_factory.mktemp("refit-after"), server=server, changes=SHIPPED)
    made.land(made.day(FIRST))
    return made


@pytest.fixture(scope="module")
def outcome(world: World) -> Any:
    return world.ask("retrain", "--as-of", world.day(FIRST))


def test_both_versions_are_promoted_one_after_the_other(world: World, outcome: Any) -> None:
    moves = [(row.version, row.previous, row.action) for row in world.workspace.store.releases("generated")]

    assert (outcome["version"], outcome["refit"]["version"]) == (1, 2)
    assert moves == [(1, None, "promote"), (2, 1, "promote")]


def test_the_second_has_a_decision_and_a_run_of_its_own(world: World, outcome: Any) -> None:
    (decision,) = world.workspace.store.decisions("generated", source="refit")
    run = world.workspace.store.run(outcome["refit"]["run"])

    assert run is not None
    assert (run.decision, run.mode, run.state) == (decision.id, "final", "promoted")
    assert "version 1 was promoted" in decision.reason


def test_its_verdict_says_that_it_agrees_with_the_judged_one(world: World, outcome: Any) -> None:
    row = world.workspace.store.version("generated", outcome["refit"]["version"])

    assert row is not None
    assert row.verdict["agreement"] == 1
    assert row.verdict["reason"].startswith("fitted on all mature rows; it agrees with version 1, which was judged")


def test_mlflow_and_cards_show_the_judged_figures_of_both_and_what_is_live(world: World, outcome: Any) -> None:
    registry = world.workspace.registry
    judged, refit = (registry.client.get_run(registry.run_of(version)).data.metrics for version in (1, 2))
    cards = [
        Path(registry.client.download_artifacts(registry.run_of(version), "card/model_card.md")).read_bytes()
        for version in (1, 2)
    ]

    assert refit["judged/mae"] == judged["judged/mae"]
    assert refit["train/mae"] < refit["judged/mae"]
    assert [version.tags["verdict"] for version in registry.versions()] == ["promoted", "promoted"]
    assert [b"**status**: live since" in card for card in cards] == [False, True]


def test_it_was_fitted_until_the_newest_mature_row(world: World, outcome: Any) -> None:
    from retrim.release.versions import load_champion

    found = load_champion(world.workspace)

    assert found is not None
    assert found.version == outcome["refit"]["version"]
    assert found.predictor.used_until == pd.Timestamp(world.day(FIRST)) - pd.Timedelta("1h")


def test_it_is_rebuilt_as_every_version(world: World, outcome: Any) -> None:
    assert world.ask("versions", "reproduce", str(outcome["refit"]["version"]))["identical"]


def test_a_check_measures_it_against_the_rows_that_judged_the_other(world: World, outcome: Any) -> None:
    world.land(world.day(NEXT), since=world.day(FIRST))
    world.retrim("check", "--now", world.day(NEXT), code=(0, 1))
    record = world.workspace.store.decisions("generated", source="check")[-1].record

    assert record["champion"] == outcome["refit"]["version"]
    assert record["performance"]["band"] is not None
    assert record["totals"]["retrainings"] == 0
