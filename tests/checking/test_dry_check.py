"""A check that decides without acting leaves everything as it was, and a real one afterwards decides the same."""

from pathlib import Path
from typing import Any

import pytest

from retrim.checking.check import CheckOutcome, check
from retrim.checking.dry_check import dry_check
from retrim.files import read_folder
from tests.builders.desk import START, Desk, make_desk

pytestmark = pytest.mark.slow  # makes a champion with the stages


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Version 1 of day 10, a check of day 12, and rows that no check has seen."""
    made = make_desk(tmp_path / "workspace", drift={"kind": "shift", "size": 2.0, "since": START}, version_at=10)
    made.pass_days(10, 12)
    made.land(made.rows(12, 14), 14)
    return made


def test_no_file_changes_and_it_finds_the_same_twice(desk: Desk) -> None:
    desk.workspace.store.close()
    before = read_folder(desk.workspace.paths.root)
    first, second = (dry_check(desk.workspace, by="ines", now=desk.day(14)) for _ in range(2))
    after = read_folder(desk.workspace.paths.root)

    assert after.keys() == before.keys()
    assert [name for name, content in after.items() if content != before[name]] == []
    assert decided(first) == decided(second)


def decided(outcome: CheckOutcome) -> dict[str, Any]:
    """The check without the processor time of its probe."""
    return {name: value for name, value in outcome.as_record().items() if name != "probe"}


def test_a_real_check_afterwards_decides_the_same(desk: Desk) -> None:
    dry = dry_check(desk.workspace, by="ines", now=desk.day(14))
    real = check(desk.workspace, by="ines", now=desk.day(14))

    assert real.fresh
    assert decided(dry) == decided(real)


def test_a_check_that_was_made_is_shown_again(desk: Desk) -> None:
    assert not dry_check(desk.workspace, by="ines", now=desk.day(12)).fresh
