"""Commands with a live version and nothing new: the tools that such an answer does not need are not even imported."""

import json
import sqlite3

import pytest

from retrim.release.versions import stored_bundle
from tests.builders.imported import ask
from tests.builders.world import World, make_world

pytestmark = pytest.mark.server
TOOLS = {"mlflow", "lightgbm", "prefect", "great_expectations", "sklearn", "scipy", "matplotlib"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    """Version 1 is live; four days of rows came since, were scored and checked."""
    made = make_world(tmp_path_factory.mktemp("quick"), server=server)
    made.land(made.day(25))
    made.retrim("retrain", "--as-of", made.day(25))
    made.land(made.day(29), since=made.day(25))
    made.retrim("predict", "--now", made.day(29))
    made.retrim("check", "--now", made.day(29.5))
    return made


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        ("check --now {day30}", 0, "no row has landed since the check of 2024-01-30 12:00"),
        ("predict --now {day30}", 0, "version 1: 0 predictions written"),
        ("retrain --as-of {day25}", 1, "already exists (promoted)"),
        ("status", 0, "live"),
        ("why", 0, "gain"),
        ("versions", 0, "champion"),
    ],
    ids=["check", "predict", "retrain", "status", "why", "versions"],
)
def test_no_tool_is_imported_to_say_so(world: World, command: str, code: int, says: str) -> None:
    words = command.format(day25=world.day(25), day30=world.day(30)).split()
    ended = ask(world, *words)

    assert (ended.code, says in ended.said) == (code, True), ended.said
    assert TOOLS & ended.modules == set()


def test_what_was_predicted_was_checked_first_all_the_same(world: World) -> None:
    """Found without MLflow, a bundle is held to its recorded hash as ever."""
    file = stored_bundle(world.workspace, 1) / "verdict" / "verdict.json"
    before = file.read_bytes()
    file.write_bytes(before + b" ")
    ended = ask(world, "predict", "--now", world.day(30))
    file.write_bytes(before)

    assert (ended.code, "version 1 was altered" in ended.said) == (1, True), ended.said
    assert "mlflow" not in ended.modules


def test_a_version_that_does_not_say_its_run_is_found_by_mlflow(world: World) -> None:
    with sqlite3.connect(world.root / "var" / "retrim.db") as store:
        (lineage,) = store.execute("select lineage from versions").fetchone()
        without = json.dumps({name: value for name, value in json.loads(lineage).items() if name != "mlflow_run"})
        store.execute("update versions set lineage = ?", (without,))
        store.commit()
        ended = ask(world, "predict", "--now", world.day(30))
        store.execute("update versions set lineage = ?", (lineage,))

    assert (ended.code, "0 predictions written" in ended.said) == (0, True), ended.said
    assert "mlflow" in ended.modules
