"""The model of docs/how-to/own-model.md in a real workspace: made, scored, proved, changed, refused elsewhere."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from retrim.errors import RefusedError
from retrim.files import read_folder
from retrim.lineage.own_code import refuse_strange_code
from retrim.release.versions import stored_bundle
from retrim.templates import own_model
from retrim.training.estimators import CODE_FILE
from tests.builders.world import World, lend_environment, make_world

pytestmark = [pytest.mark.e2e, pytest.mark.server, pytest.mark.slow]
FIRST, NEXT = 25, 35
SPACE = {
    "learning_rate": {"low": 0.05, "high": 0.3},
    "max_iter": {"choices": [20, 40]},
    "max_leaf_nodes": {"low": 4, "high": 16},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    changes: dict[str, Any] = {
        "train": {"model": "own:models/my_model.py"},
        "tune": {"space": SPACE, "trials": 2},
        "judge": {"loss": "mae", "metrics": ["mae"]},
    }
    made = make_world(tmp_path_factory.mktemp("own"), server=server, changes=changes)
    (made.root / "models").mkdir()
    shutil.copyfile(own_model.__file__, made.root / "models" / "my_model.py")
    lend_environment(made)
    made.land(made.day(FIRST))
    return made


@pytest.fixture(scope="module")
def first(world: World) -> Any:
    return world.ask("retrain", "--as-of", world.day(FIRST))


def test_it_becomes_version_1(world: World, first: Any) -> None:
    assert (first["state"], first["version"]) == ("promoted", 1)


def test_the_file_and_what_skops_wrote_lie_in_the_bundle(world: World, first: Any) -> None:
    files = read_folder(stored_bundle(world.workspace, 1))
    (code,) = {content for name, content in files.items() if name.endswith(CODE_FILE)}

    assert code == (world.root / "models" / "my_model.py").read_bytes()


def test_it_scores_rows(world: World, first: Any) -> None:
    assert world.ask("predict", "--now", world.day(FIRST))["rows"] > 0


def test_it_is_proved_identical(world: World, first: Any) -> None:
    assert world.ask("versions", "reproduce", "1", "--prove")["identical"]


def test_a_prediction_is_not_taken_apart_and_it_says_why(world: World, first: Any) -> None:
    said = world.retrim("versions", "explain", "10", code=1).stderr

    assert "exact contributions" in said


def test_its_card_is_written(world: World, first: Any) -> None:
    assert "own:models/my\\_model.py@" in world.retrim("versions", "card", "1").stdout


def test_its_code_is_not_run_where_the_workspace_has_another_file(world: World, first: Any) -> None:
    files = read_folder(stored_bundle(world.workspace, 1))
    refuse_strange_code(world.workspace, files)
    changed = {name: content + b"\n# not ours" * name.endswith(CODE_FILE) for name, content in files.items()}

    with pytest.raises(RefusedError, match="contains custom code"):
        refuse_strange_code(world.workspace, changed)


def test_a_changed_file_is_another_kind_and_is_searched_and_judged_against_the_old_code(
    world: World, first: Any
) -> None:
    file = world.root / "models" / "my_model.py"
    file.write_text(file.read_text() + "\n# changed\n")
    world.land(world.day(NEXT), since=world.day(FIRST))
    second = world.ask("retrain", "--as-of", world.day(NEXT), code=(0, 1))
    row = world.workspace.store.version("generated", second["version"])

    assert row is not None
    assert row.lineage["mode"] == "search"
    assert "champion" in row.verdict["losses"]
    assert "refit-all" in row.verdict["losses"]


def test_a_room_refuses_another_file_than_the_pinned(world: World, first: Any) -> None:
    run_directory = Path(world.ask("retrain", "--by-hand", "--as-of", world.day(FIRST))["folder"])
    file = run_directory / "models" / "my_model.py"
    file.write_text(file.read_text() + "\n# by hand\n")
    said = world.run(
        "env", f"PYTHONPATH={run_directory / 'src'}", "python", "-m", "retrim.stages.tune", folder=run_directory, code=2
    )

    assert "models/my_model.py differs from the file pinned in data/pins.json" in said
