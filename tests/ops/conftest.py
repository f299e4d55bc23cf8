"""Fixtures of ingest: a counter where labels come with the rows, and one where they come later."""

from pathlib import Path

import pytest

from retrim.paths import WorkspacePaths
from retrim.table.data import DataParams
from tests.ops.counter import Counter


@pytest.fixture
def counter(shop_workspace: WorkspacePaths, shop: DataParams, tmp_path: Path) -> Counter:
    return Counter(shop_workspace, shop, tmp_path / "inbox")


@pytest.fixture
def counter_later(shop_workspace: WorkspacePaths, shop_later: DataParams, tmp_path: Path) -> Counter:
    return Counter(shop_workspace, shop_later, tmp_path / "inbox")
