"""A run that a previous champion wins: it goes live again, and the run's own version can still be rebuilt.

One world: version 1, then another concept and version 2, then the first concept again and a run that a person asks for.
"""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from retrim.adapters import git
from retrim.decision.stored_rows import VersionRow
from retrim.files import folder_digest
from tests.builders.world import START, World, make_world

pytestmark = [pytest.mark.e2e(minutes=2), pytest.mark.server, pytest.mark.slow]
AWAY, BACK, NOW = 20, 40, 44
PULL = ("dvc", "pull", "-q", "data/raw.dvc", "data/champion.dvc", "data/previous.dvc")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, server: str) -> World:
    folder = tmp_path_factory.mktemp("returning")
    made = make_world(
        folder,
        server=server,
        drift={"kind": "concept", "size": 4.0, "since": START + pd.Timedelta(AWAY, "D")},
        changes={"retrain": {"mode": "refit"}},
    )
    made.run("dvc", "remote", "add", "-q", "-d", "store", str(folder / "remote"))
    made.run("git", *git.IDENTITY, "commit", "-q", "-a", "-m", "a remote")
    made.land(made.day(AWAY))
    made.retrim("retrain", "--as-of", made.day(AWAY))
    made.land(made.day(BACK), since=made.day(AWAY))
    made.retrim("retrain", "--as-of", made.day(BACK))
    returned = replace(made, table={**made.table, "since": START + pd.Timedelta(1000, "D")})
    returned.land(returned.day(NOW), since=returned.day(BACK))
    returned.retrim("retrain", "--as-of", returned.day(NOW), code=1)
    return returned


@pytest.fixture(scope="module")
def third(world: World) -> VersionRow:
    """The version that the run made."""
    row = world.workspace.store.version("generated", 3)
    assert row is not None
    return row


def test_the_former_champion_is_live_by_one_more_release(world: World) -> None:
    moves = [(row.version, row.action) for row in world.workspace.store.releases("generated")]

    assert moves == [(1, "promote"), (2, "promote"), (1, "restore")]
    assert world.workspace.registry.aliases()["champion"] == 1


def test_the_new_version_keeps_its_number_and_is_refused_for_it(world: World, third: VersionRow) -> None:
    (run,) = [run for run in world.workspace.store.runs("generated") if run.version == 3]

    assert (run.state, run.detail.restored) == ("refused", 1)
    assert "version 1, " in third.verdict["reason"]


def test_it_is_no_refusal_that_counts_against_the_rules(world: World) -> None:
    world.land(world.day(NOW + 2), since=world.day(NOW))
    world.retrim("check", "--now", world.day(NOW + 2), code=(0, 1))
    record = world.workspace.store.decisions("generated", source="check")[-1].record

    assert (record["champion"], record["gain"]["debited"]) == (1, [])


def test_the_version_is_rebuilt_with_the_former_champion_in_its_room(world: World) -> None:
    assert world.ask("versions", "reproduce", "3")["identical"]


def test_a_fresh_clone_rebuilds_it_with_plain_tools(world: World, third: VersionRow, tmp_path: Path) -> None:
    folder = tmp_path / "clone"
    world.run("git", "clone", "-q", str(world.root), str(folder))
    world.run("git", "-c", "advice.detachedHead=false", "checkout", "-q", third.tag, folder=folder)
    world.run(*PULL, folder=folder)
    world.run("dvc", "repro", "-q", folder=folder)

    assert folder_digest(folder / "data" / "candidate") == third.bundle
    assert (folder / "data" / "previous" / "v1").is_dir()
