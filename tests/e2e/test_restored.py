"""The short drill: a workspace in use is backed up, wiped and restored elsewhere, and is what it was."""

from pathlib import Path

import pytest

from retrim.adapters import git
from tests.builders.restoring import (
    LOST,
    PREDICTED,
    PREDICTIONS,
    Drill,
    inconsistencies,
    lose_and_restore,
    recomputed,
    state_of,
    use,
)
from tests.builders.world import World

pytestmark = [pytest.mark.e2e(minutes=2), pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def drill(two_versions: World, tmp_path_factory: pytest.TempPathFactory) -> Drill:
    """Of a copy of the shared world, which is a restored one itself: that stays as it is."""
    folder = tmp_path_factory.mktemp("drill")
    two_versions.retrim("backup", str(folder / "first"))
    two_versions.retrim("backup", str(folder / "first"), "--restore", str(folder / "used"))
    used = World(folder / "used", two_versions.server, two_versions.table)
    use(used)
    return lose_and_restore(used, str(folder / "backups"), folder / "restored" / "here")


def test_versions_decisions_batches_tags_and_settings_are_those_of_before(drill: Drill) -> None:
    assert state_of(drill.restored) == drill.before


def test_nothing_that_is_named_is_missing(drill: Drill) -> None:
    assert inconsistencies(drill.restored.workspace) == []


def test_the_release_log_verifies(drill: Drill) -> None:
    assert drill.restored.ask("versions", "log", "--verify")["rows"] == len(drill.before["releases"])


def test_a_thousand_predictions_made_again_are_the_stored_ones(drill: Drill) -> None:
    sample = recomputed(drill.restored.workspace)

    assert (sample.rows, sample.differing) == (PREDICTIONS, ())


def test_the_champion_is_rebuilt_byte_for_byte(drill: Drill) -> None:
    live = drill.restored.ask("status")["champion"]["version"]

    assert drill.restored.ask("versions", "reproduce", str(live))["identical"]


def test_the_next_check_runs_once_what_was_lost_has_come_again(drill: Drill) -> None:
    restored = drill.restored
    assert restored.land(restored.day(LOST), since=restored.day(PREDICTED)).outcome == "landed"

    checked = restored.ask("check", "--now", restored.day(LOST), code=(0, 1))

    assert checked["check"]["champion"] == restored.ask("status")["champion"]["version"]


def test_nothing_of_the_wiped_folder_is_named_in_what_was_restored(drill: Drill) -> None:
    old = str(drill.restored.root.parents[1] / "used").encode()
    files = [file for file in (drill.restored.root / "var").rglob("*") if file.is_file()]

    assert not [file for file in files if old in file.read_bytes()]
    assert not (Path(old.decode())).exists()
    assert git.git(drill.restored.root, "fsck", "--connectivity-only") is not None
