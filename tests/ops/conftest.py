"""Fixtures of ingest: a counter where labels come with the rows, and one where they come later."""

from pathlib import Path

import pytest

from retrim.core.table import DataParams
from retrim.paths import Workspace
from tests.ops.counter import Counter


@pytest.fixture
def counter(shop_workspace: Workspace, shop: DataParams, tmp_path: Path) -> Counter:
    return Counter(shop_workspace, shop, tmp_path / "inbox")


@pytest.fixture
def counter_later(shop_workspace: Workspace, shop_later: DataParams, tmp_path: Path) -> Counter:
    return Counter(shop_workspace, shop_later, tmp_path / "inbox")
