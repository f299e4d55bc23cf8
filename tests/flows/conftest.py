"""What the tests of flows begin with."""

from pathlib import Path

import pytest

from tests.builders.desk import Desk, make_desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A workspace with a live version of day 10 and rows of two days after it."""
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    desk.land(desk.rows(10, 12), 12)
    return desk
