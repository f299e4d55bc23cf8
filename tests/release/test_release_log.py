"""The release log in a real store and a real repository: whatever is done to the store alone is found."""

import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

from retrim.adapters import git
from retrim.adapters.signing import Keys
from retrim.errors import BadInputError, RefusedError
from retrim.lineage.workspace import Workspace, clock
from retrim.release.release import rollback
from retrim.release.versions import find_live_version, keep_copies, live_at, release_log, trusted_live, verify_log
from retrim.retraining.recover import recover
from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.proved import move

pytestmark = pytest.mark.slow  # versions are made with the stages

ALTERED = "release log of generated was altered: "


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Three moves: versions 1, 2 and 3 went live on days 10, 11 and 12."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace")
    desk.land(desk.rows(0, 10), 10)
    for day in (10, 11, 12):
        desk.make_version(day)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "workspace")


def alter(desk: Desk, *statements: str) -> None:
    with desk.workspace.store.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))


def refuse(desk: Desk, what: str) -> None:
    """Holds that whoever verifies the log, or goes on from it, is told so."""
    for use in (lambda: verify_log(desk.workspace, kept=None), lambda: trusted_live(desk.workspace)):
        with pytest.raises(RefusedError, match=ALTERED + what):
            use()


def without_copies(desk: Desk, *numbers: int) -> None:
    for number in numbers:
        git.git(desk.workspace.paths.root, "tag", "-d", f"retrim/generated/log/{number}")


def test_holds_as_it_was_written(desk: Desk) -> None:
    found = verify_log(desk.workspace, kept=None)

    assert (found.rows, found.in_git, found.head) == (3, 3, release_log(desk.workspace)[-1].digest)


@pytest.mark.parametrize(
    "change",
    [
        "version = 3", "previous = NULL", "action = 'rollback'", "actor = 'nobody'", "reason = 'x'", "at = at || ' '",
        "as_of = at || ' '", "sequence = 7", "signature = ''", "signer = ''", "follows = signature",
    ],
)  # fmt: skip
def test_names_the_row_of_which_a_byte_was_changed(desk: Desk, change: str) -> None:
    alter(desk, f"UPDATE releases SET {change} WHERE sequence = 2")

    refuse(desk, "row 2")


def test_a_row_that_was_edited_after_all_signatures_were_taken_away_is_found(desk: Desk) -> None:
    alter(
        desk,
        "UPDATE releases SET signature = '', follows = ''",
        "DELETE FROM release_heads",
        "UPDATE releases SET version = 1 WHERE sequence = 3",
    )

    refuse(desk, "row 1 does not match its signature")


def test_two_rows_that_changed_places_are_found(desk: Desk) -> None:
    alter(
        desk,
        "UPDATE releases SET sequence = 20 WHERE sequence = 2",
        "UPDATE releases SET sequence = 2 WHERE sequence = 3",
        "UPDATE releases SET sequence = 3 WHERE sequence = 20",
    )

    refuse(desk, "row 2 does not match its signature")


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_names_a_row_that_was_taken_away(desk: Desk, gone: int) -> None:
    alter(desk, f"DELETE FROM releases WHERE sequence = {gone}")

    refuse(desk, f"row {gone} is gone")


def test_the_last_row_taken_away_is_found_without_git_too(desk: Desk) -> None:
    alter(desk, "DELETE FROM releases WHERE sequence = 3")
    without_copies(desk, 1, 2, 3)

    refuse(desk, "row 3 is gone")


def test_a_log_of_which_all_was_taken_away_is_found(desk: Desk) -> None:
    alter(desk, "DELETE FROM releases", "DELETE FROM release_heads")

    refuse(desk, "row 1 is gone")


def test_a_head_that_was_taken_away_is_found(desk: Desk) -> None:
    alter(desk, "DELETE FROM release_heads")

    refuse(desk, "its signed head is gone")


def test_a_database_of_before_is_found(desk: Desk) -> None:
    before = desk.workspace.paths.var / "before.db"
    shutil.copyfile(desk.workspace.paths.var / "retrim.db", before)
    rollback(desk.workspace, None, by="ines", reason="complaints", now=desk.day(13))
    shutil.copyfile(before, desk.workspace.paths.var / "retrim.db")

    refuse(desk, "row 4 is gone")


def test_a_log_that_was_signed_anew_with_another_key_is_found(desk: Desk, tmp_path: Path) -> None:
    alter(desk, "DELETE FROM releases", "DELETE FROM release_heads")
    at, stranger = "2024-01-20T00:00:00+00:00", Keys(tmp_path / "stranger")
    for version in (1, 2, 3):
        row = move("generated", version, at=at)
        desk.workspace.store.add_release(row, expected=version - 1 or None, keys=stranger)

    refuse(desk, "row 1 was signed with ed25519:.*, which is not a trusted key here")
    desk.workspace.keys.know(stranger.public)
    refuse(desk, "row 1 differs from the copy that was kept")


def test_a_row_in_the_name_of_another_key_is_found(desk: Desk, tmp_path: Path) -> None:
    row = move("generated", 1, at="2024-01-20T00:00:00+00:00", action="rollback")
    desk.workspace.store.add_release(row, expected=3, keys=Keys(tmp_path / "stranger"))

    refuse(desk, "row 4 was signed with ed25519:")


def test_what_an_earlier_key_of_the_workspace_signed_still_counts(desk: Desk) -> None:
    desk.workspace.keys.file.unlink()
    rollback(desk.workspace, None, by="ines", reason="complaints", now=desk.day(13))

    assert verify_log(desk.workspace, kept=None).rows == 4
    assert len({move.signer for move in release_log(desk.workspace)}) == 2


def test_a_digest_that_was_noted_before_must_still_be_there(desk: Desk) -> None:
    noted = verify_log(desk.workspace, kept=None).head
    assert noted is not None

    assert verify_log(desk.workspace, kept=noted).rows == 3
    with pytest.raises(RefusedError, match="digest 000000000000"):
        verify_log(desk.workspace, kept="0" * 64)


def test_a_part_of_a_digest_is_no_sign_of_rows_that_were_removed(desk: Desk) -> None:
    whole = release_log(desk.workspace)[-1].digest

    with pytest.raises(BadInputError):
        verify_log(desk.workspace, kept=whole[:12])  # as `retrim versions log` shows it
    verify_log(desk.workspace, kept=whole)


def test_the_next_move_after_the_last_row_was_taken_away_says_so(desk: Desk) -> None:
    alter(desk, "DELETE FROM releases WHERE sequence = 3")

    with pytest.raises(RefusedError, match=ALTERED):
        desk.make_version(13)


def test_a_mover_that_comes_second_adds_nothing(desk: Desk) -> None:
    row = move("generated", 1, at="2024-02-01T00:00:00+00:00", action="rollback")
    with pytest.raises(RefusedError, match="a different version"):
        desk.workspace.store.add_release(row, expected=2, keys=desk.workspace.keys)

    assert verify_log(desk.workspace, kept=None).rows == 3


def test_a_move_that_was_killed_before_its_copy_holds_and_recovery_writes_it(desk: Desk) -> None:
    without_copies(desk, 3)
    before = verify_log(desk.workspace, kept=None)
    recover(desk.workspace, now=desk.day(13))

    assert (before.rows, before.in_git) == (3, 2)
    assert verify_log(desk.workspace, kept=None).in_git == 3


def test_an_altered_row_gets_no_copy(desk: Desk) -> None:
    without_copies(desk, 3)
    alter(desk, "UPDATE releases SET reason = 'x' WHERE sequence = 3")

    with pytest.raises(RefusedError, match=ALTERED + "row 3"):
        keep_copies(desk.workspace)


def test_the_copy_stands_beside_the_version_that_went_live(desk: Desk) -> None:
    root = desk.workspace.paths.root
    git.tag(root, "retrim/generated/v2", git.commit_files(root, [], "made", date="2024-01-11T00:00:00Z"), same=[])
    rollback(desk.workspace, 2, by="ines", reason="complaints", now=desk.day(13))

    assert git.find_tag(root, "retrim/generated/log/4") == git.find_tag(root, "retrim/generated/v2")
    assert '"actor": "ines"' in git.read_all(root, "retrim/generated/log")["retrim/generated/log/4"]


def test_at_is_when_the_champion_moved_and_as_of_stands_beside_it(desk: Desk) -> None:
    before = clock()
    rollback(desk.workspace, None, by="ines", reason="complaints", now=desk.day(13))
    last = release_log(desk.workspace)[-1]

    assert last.as_of == desk.day(13).isoformat()
    assert before.isoformat() <= last.at <= clock().isoformat()


@pytest.mark.parametrize(("day", "version"), [(9.9, None), (10.0, 1), (10.5, 1), (11.5, 2), (40.0, 3)])
def test_says_what_was_live_at_a_moment(desk: Desk, day: float, version: int | None) -> None:
    for found in (
        live_at(desk.workspace, desk.day(day)),
        find_live_version(desk.workspace, before=desk.day(day + 1 / 86400)),
    ):
        assert (None if found is None else found.version) == version


def test_of_two_models_in_one_store_each_has_its_own_log(desk: Desk, tmp_path: Path) -> None:
    other = make_desk(tmp_path / "other", data={"model": "other"})
    workspace = Workspace(other.workspace.paths, other.workspace.params, desk.workspace.env)
    workspace.__dict__["store"] = desk.workspace.store
    assert verify_log(workspace, kept=None).rows == 0
    alter(desk, "UPDATE releases SET model = 'other' WHERE sequence = 1")

    refuse(desk, "row 1 is gone")
    with pytest.raises(RefusedError, match=r"\bother .*: row 1"):
        verify_log(workspace, kept=None)
