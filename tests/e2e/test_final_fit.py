"""A version with a final fit on all mature rows, that a person has to approve: it waits, is approved, and predicts."""

import getpass
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
    changes = {"release": {"approval": {"moves": ["first", "promote"]}}, **SHIPPED}
    made = make_world(tmp_path_factory.mktemp("final-fit"), server=server, changes=changes)
    made.land(made.day(FIRST))
    return made


@pytest.fixture(scope="module")
def outcome(world: World) -> dict[str, Any]:
    """What the commands printed, one after the other."""
    words = ("1", "--reason", "looked at it", "--now", world.day(FIRST + 1))
    return {
        "made": world.ask("retrain", "--as-of", world.day(FIRST), code=1),
        "status": world.ask("status"),
        "screen": world.retrim("status").stdout,
        "early": world.retrim("versions", "approve", "1", "--reason", "", code=2).stderr,
        "said": world.ask("versions", "approve", *words),
        "again": world.retrim("versions", "reject", *words, code=1).stderr,
        "live": world.ask("status")["champion"],
    }


def test_the_run_ends_waiting_and_the_status_says_what_to_type(outcome: dict[str, Any]) -> None:
    assert (outcome["made"]["state"], outcome["made"]["version"]) == ("waiting", 1)
    assert (outcome["status"]["champion"], len(outcome["status"]["waiting"])) == (None, 1)
    assert "retrim versions approve 1 --reason" in " ".join(outcome["screen"].split())


def test_the_login_answers_with_a_reason_and_once(world: World, outcome: dict[str, Any]) -> None:
    assert "--reason" in outcome["early"]
    assert world.ask("versions")[0]["approval"] == {"version": 1, **outcome["said"]}
    assert outcome["said"]["by"] == getpass.getuser()
    assert f"approved by {getpass.getuser()}: looked at it" in outcome["live"]["reason"]
    assert "cannot be changed" in " ".join(outcome["again"].lower().split())


def test_approved_it_is_live_by_one_run_one_version_and_one_move(world: World, outcome: dict[str, Any]) -> None:
    store = world.workspace.store

    assert (outcome["live"]["version"], world.workspace.registry.aliases()) == (1, {"champion": 1})
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
