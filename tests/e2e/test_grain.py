"""Rows put together into coarser ones in real runs: trained on, checked, scored, explained, rebuilt; no other grain."""

from typing import Any

import pytest

from retrim.files import dump_yaml, load_yaml
from tests.builders.synthetic import FEATURES
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.server, pytest.mark.slow]
FIRST, NEXT, LAST = 30, 40, 41
GRAIN: dict[str, Any] = {
    "every": "2h",
    "by": ["group"],
    "how": {**dict.fromkeys(FEATURES, "mean"), "outcome": "sum"},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    data = {"key": ["at", "group"], "rows": {"where": [], "resample": GRAIN}}
    made = make_world(tmp_path_factory.mktemp("grain"), server=server, changes={"data": data})
    made.land(made.day(FIRST))
    made.retrim("retrain", "--as-of", made.day(FIRST))
    made.land(made.day(NEXT), since=made.day(FIRST))
    return made


@pytest.fixture(scope="module")
def checked(world: World) -> Any:
    return world.ask("check", "--now", world.day(NEXT), code=(0, 1))


def test_a_check_measures_the_champion_on_rows_that_were_put_together(world: World, checked: Any) -> None:
    keys = world.workspace.predictions.all_keys(1)

    assert checked["check"]["performance"]["measured"]["loss"] is not None
    assert len(keys) > 100
    assert all(int(key.partition("T")[2][:2]) % 2 == 0 for key in keys)


def test_one_of_them_is_explained_as_it_was_scored(world: World, checked: Any) -> None:
    key = world.workspace.predictions.all_keys(1)[-1]

    assert world.ask("versions", "explain", f"{key}@1")["agrees"]


def test_the_version_is_rebuilt(world: World, checked: Any) -> None:
    assert world.ask("versions", "reproduce", "1")["identical"]


def test_another_grain_is_refused_and_the_same_goes_on(world: World, checked: Any) -> None:
    file = world.root / "params.yaml"
    kept = file.read_text(encoding="utf-8")
    params = load_yaml(kept)
    params["data"]["rows"]["resample"]["every"] = "4h"
    file.write_text(dump_yaml(params), encoding="utf-8")
    world.land(world.day(LAST), since=world.day(NEXT))
    done = world.retrim("predict", "--now", world.day(LAST), code=1)

    assert "a different granularity" in done.stderr

    file.write_text(kept, encoding="utf-8")
    assert world.ask("predict", "--now", world.day(LAST))["written"] > 0
    made = world.ask("retrain", "--as-of", world.day(LAST), "--reason", "more rows", code=(0, 1))
    assert made["version"] == 2
