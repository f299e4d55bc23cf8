"""What several files about the server begin with."""

from pathlib import Path

import pytest

from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.typed import Sit, sit_at_desk


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Two versions, the second live."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "workspace")
    for since, until in ((0, 10), (10, 14)):
        desk.land(desk.rows(since, until), until)
        desk.make_version(until)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    """A copy of it, to change."""
    return copy_of(made, tmp_path / "workspace")


@pytest.fixture
def sit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sit:
    return lambda desk: sit_at_desk(desk, monkeypatch, capsys)
