"""Features from the past and filtered rows in real runs: trained on, checked, scored, explained; and changed later."""

import json
from typing import Any

import pytest

from retrim.yaml_files import dump_yaml, load_yaml
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]
FIRST, NEXT, LAST = 25, 32, 33
PAST: dict[str, Any] = {
    "entity": ["group"],
    "ahead": None,
    "known_ahead": [],
    "features": [{"of": "outcome", "lag": 1}, {"of": "level", "over": "2D", "stat": "mean"}],
}
KEPT: dict[str, Any] = {"where": [{"column": "level", "at_least": -1.0}]}
NAMES = ["outcome lag 1 by group", "level mean 2D by group"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    made = make_world(
        tmp_path_factory.mktemp("history"), server=server, changes={"data": {"history": PAST, "rows": KEPT}}
    )
    made.land(made.day(FIRST))
    made.retrim("retrain", "--as-of", made.day(FIRST))
    made.land(made.day(NEXT), since=made.day(FIRST))
    return made


@pytest.fixture(scope="module")
def checked(world: World) -> Any:
    return world.ask("check", "--now", world.day(NEXT), code=(0, 1))


def declare(world: World, features: list[dict[str, Any]]) -> None:
    file = world.root / "params.yaml"
    params = load_yaml(file.read_text(encoding="utf-8"))
    params["data"]["history"]["features"] = features
    file.write_text(dump_yaml(params), encoding="utf-8")


def test_the_bundle_holds_their_definition(world: World) -> None:
    bundle = world.workspace.registry.bundle_folder(1)
    view = json.loads((bundle / "features" / "view.json").read_bytes())

    assert [each["name"] for each in view["features"]][-2:] == NAMES
    assert json.loads((bundle / "features" / "history.json").read_bytes())["entity"] == ["group"]


def test_the_bundle_says_how_many_rows_were_left_out(world: World) -> None:
    report = json.loads((world.workspace.registry.bundle_folder(1) / "validation" / "report.json").read_bytes())

    assert report["rows"] + report["left_out"]["level is at least -1"] == FIRST * 24


def test_a_check_measures_the_champion_and_looks_for_drift_in_them(world: World, checked: Any) -> None:
    assert checked["check"]["performance"]["measured"]["loss"] is not None
    assert set(NAMES) <= {finding["column"] for finding in checked["check"]["drift"]["findings"]}


def test_a_landed_row_is_explained_as_it_was_scored(world: World, checked: Any) -> None:
    key = world.workspace.predictions.all_keys(1)[-1]
    explained = world.ask("versions", "explain", f"{key}@1")

    assert explained["agrees"]
    assert set(NAMES) <= {each["feature"] for each in explained["contributions"]}


def test_what_is_live_predicts_on_when_others_are_declared(world: World, checked: Any) -> None:
    declare(world, [{"of": "slope", "lag": 2}])
    world.land(world.day(LAST), since=world.day(NEXT))
    scored = world.ask("predict", "--now", world.day(LAST))
    made = world.ask("retrain", "--as-of", world.day(LAST), "--reason", "another past", code=(0, 1))

    assert scored["version"] == 1
    assert 0 < 24 - scored["written"] <= scored["left_out"]  # those that are left out are counted since it was made
    assert made["state"] in ("promoted", "refused")
