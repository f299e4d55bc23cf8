"""The DVC remote is away when a run ends: the run waits, nothing has a number, and the next command finishes it."""

from typing import Any

import pytest

from retrim.adapters import dvc, git
from retrim.adapters.dvc_cache import cache_folder, named_in_commit, with_members
from retrim.decision.stored_rows import columns_of
from retrim.release.versions import verify_log
from tests.builders.world import World, make_world

pytestmark = [pytest.mark.e2e, pytest.mark.server]


def numbers(world: World) -> dict[str, Any]:
    """What each of the tools knows of versions."""
    root, model = world.root, world.workspace.model
    tags = git.git(root, "tag", "--list", f"retrim/{model}/v*").split()
    return {
        "store": [row.version for row in world.workspace.store.versions(model)],
        "mlflow": [version.number for version in world.workspace.registry.versions()],
        "tags": [int(tag.rpartition("v")[2]) for tag in tags],
    }


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory, server: str) -> dict[str, Any]:
    """A first run whose remote is away, another command while it still is, and one after it has come back."""
    folder = tmp_path_factory.mktemp("away")
    world, remote = make_world(folder / "world", server=server), folder / "remote"
    remote.mkdir()
    dvc.run_dvc(world.root, "remote", "add", "--local", "-d", "far", str(remote))
    world.land(world.day(25))
    remote.rename(folder / "elsewhere")
    remote.write_text("what is mounted here else is not", encoding="utf-8")
    first = world.ask("retrain", "--as-of", world.day(25), code=1)
    away = {"numbers": numbers(world), "status": world.ask("status"), "screen": world.retrim("status").stdout}
    still = world.ask("check", "--now", world.day(25.5))
    between = {
        "numbers": numbers(world),
        "alerts": [row.kind for row in world.workspace.store.alerts(world.workspace.model)],
    }
    remote.unlink()
    (folder / "elsewhere").rename(remote)
    back = world.ask("check", "--now", world.day(26))
    return {
        "world": world, "remote": remote, "back": back,
        "first": first, "away": away, "still": still, "between": between,
        "runs": [columns_of(row) for row in world.workspace.store.runs(world.workspace.model)],
        "numbers": numbers(world),
    }  # fmt: skip


NOTHING: dict[str, list[int]] = {"store": [], "mlflow": [], "tags": []}


def test_the_run_waits_and_nothing_has_a_number(seen: dict[str, Any]) -> None:
    assert (seen["first"]["state"], seen["first"]["version"]) == ("unpushed", None)
    assert seen["away"]["numbers"] == NOTHING


def test_status_and_an_alert_say_so(seen: dict[str, Any]) -> None:
    assert [run["id"] for run in seen["away"]["status"]["unpushed"]] == [seen["first"]["run"]]
    assert "its files cannot be pushed to the DVC remote" in " ".join(seen["away"]["screen"].split())
    assert seen["between"]["alerts"] == ["remote away"]  # once, however often it was tried


def test_while_the_remote_is_away_nothing_is_doubled(seen: dict[str, Any]) -> None:
    assert seen["still"]["check"]["outcome"] in ("none", "held")
    assert seen["between"]["numbers"] == NOTHING


def test_once_it_is_back_the_next_command_finishes_the_same_run(seen: dict[str, Any]) -> None:
    assert [(run["id"], run["state"], run["version"]) for run in seen["runs"]] == [
        (seen["first"]["run"], "promoted", 1)
    ]


def test_store_mlflow_and_tags_agree_afterwards(seen: dict[str, Any]) -> None:
    assert seen["numbers"] == {"store": [1], "mlflow": [1], "tags": [1]}
    assert verify_log(seen["world"].workspace, kept=None).in_git == 1


def test_the_remote_has_what_the_version_is_made_of(seen: dict[str, Any]) -> None:
    root, tag = seen["world"].root, f"retrim/{seen['world'].workspace.model}/v1"
    pushed = {path.parent.name + path.name for path in (seen["remote"] / "files" / "md5").glob("*/*")}
    needed, lost = with_members(cache_folder(root), named_in_commit(root, tag))

    assert (needed - pushed, lost) == (set(), set())


def test_its_room_is_gone(seen: dict[str, Any]) -> None:
    assert list(seen["world"].workspace.paths.runs.glob("run-*")) == []
