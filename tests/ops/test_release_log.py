"""The release log in a real store: altered in any column, it names the row."""

import pytest
import sqlalchemy as sa

from retrim.errors import RefusedError
from retrim.ops.release import live
from retrim.ops.release_log import release_log, verify_log
from tests.ops.desk import Desk, make_desk

pytestmark = pytest.mark.slow  # versions are made with the stages


@pytest.fixture
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Three moves: versions 1, 2 and 3 went live on days 10, 11 and 12."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace")
    desk.land(desk.rows(0, 10), 10)
    for day in (10, 11, 12):
        desk.make_version(day)
    return desk


def altered(desk: Desk, statement: str) -> None:
    with desk.house.store.begin() as connection:
        connection.execute(sa.text(statement))


def test_holds_as_it_was_written(desk: Desk) -> None:
    found = verify_log(desk.house, kept=None)

    assert (found.rows, found.seal) == (3, release_log(desk.house)[-1]["seal"])


@pytest.mark.parametrize(
    "change",
    ["version = 3", "previous = NULL", "action = 'rollback'", "reason = 'x'", "at = at || ' '", "sequence = 7"],
)
def test_names_the_row_of_which_a_byte_was_changed(desk: Desk, change: str) -> None:
    altered(desk, f"UPDATE releases SET {change} WHERE sequence = 2")

    with pytest.raises(RefusedError, match="release log of generated was altered: row 2"):
        verify_log(desk.house, kept=None)


def test_names_a_row_that_was_taken_away(desk: Desk) -> None:
    altered(desk, "DELETE FROM releases WHERE sequence = 3")

    with pytest.raises(RefusedError, match="row 3 is gone"):
        verify_log(desk.house, kept=None)


def test_misses_a_seal_that_was_noted_before_the_last_rows_were_taken_away(desk: Desk) -> None:
    noted = verify_log(desk.house, kept=None).seal
    assert noted is not None
    for table in ("releases", "seals"):
        altered(desk, f"DELETE FROM {table} WHERE sequence = 3")

    assert verify_log(desk.house, kept=None).rows == 2
    with pytest.raises(RefusedError, match=f"the seal {noted[:12]} is not in the release log"):
        verify_log(desk.house, kept=noted)


def test_a_store_from_before_the_seals_goes_on_with_them(desk: Desk) -> None:
    altered(desk, "DELETE FROM seals")
    desk.make_version(13)
    found = verify_log(desk.house, kept=None)

    assert (found.rows, found.unsealed) == (4, 3)


def test_the_next_move_after_the_last_row_was_taken_away_says_so(desk: Desk) -> None:
    altered(desk, "DELETE FROM releases WHERE sequence = 3")

    with pytest.raises(RefusedError, match="was altered: row 3 is gone, its seal is there"):
        desk.make_version(13)


def test_a_mover_that_comes_second_adds_neither_row_nor_seal(desk: Desk) -> None:
    row = {
        "model": "generated",
        "version": 1,
        "action": "rollback",
        "actor": "a test",
        "reason": "late",
        "at": "2024-02-01T00:00:00+00:00",
    }
    with pytest.raises(RefusedError, match="went live in the meantime"):
        desk.house.store.add_release(row, expected=2)

    assert verify_log(desk.house, kept=None).rows == 3


@pytest.mark.parametrize(("day", "version"), [(9.9, None), (10.0, 1), (10.5, 1), (11.5, 2), (40.0, 3)])
def test_says_what_was_live_at_a_moment(desk: Desk, day: float, version: int | None) -> None:
    found = live(desk.house, before=desk.day(day + 1 / 86400))

    assert (None if found is None else found.version) == version
