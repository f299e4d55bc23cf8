"""What the tests of flows begin with."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.builders.desk import Desk, make_desk
from tests.builders.world import prefect_settings

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient


@pytest.fixture
def client(server: str) -> Iterator["SyncPrefectClient"]:
    from prefect.client.orchestration import get_client
    from prefect.settings import temporary_settings

    with temporary_settings(prefect_settings(server)), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A workspace with a live version of day 10 and rows of two days after it."""
    desk = make_desk(tmp_path / "workspace", version_at=10)
    desk.land(desk.rows(10, 12), 12)
    return desk
