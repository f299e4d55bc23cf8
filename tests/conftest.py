"""Fixtures for more than one folder: a small table with a column of every type, and a workspace that describes it."""

import gc
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from retrim.adapters import prefect_server
from retrim.files import WorkspacePaths
from retrim.table.data import DataParams

if TYPE_CHECKING:
    from tests.builders.counter import Counter


# A red test is the fault of the change it is run on, never of luck. `make stateful` draws anew.
hypothesis.settings.register_profile("fixed", derandomize=True, database=None, deadline=None)
hypothesis.settings.register_profile("anew", derandomize=False, deadline=None, print_blob=True)
hypothesis.settings.load_profile("fixed")

pytest.register_assert_rewrite(
    "tests.builders.world", "tests.drills.scene", "tests.e2e.flows_here"
)  # they say what they found

# Imports, thousands of items and syntax trees are no garbage: looking through them took a quarter of the time.
gc.set_threshold(100_000, 50, 100)

MEMORY, ROOM_BYTES = Path("/dev/shm"), 4e9  # noqa: S108  the folder itself is made by pytest, for its user alone


def is_fit(folder: Path) -> bool:
    """Whether tests can work in a folder: they fill a few gigabytes there, and run programs that they write."""
    if not os.access(folder, os.W_OK):
        return False
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize > ROOM_BYTES and not disk.f_flag & os.ST_NOEXEC


if is_fit(MEMORY):  # most of what is stored is flushed to the disk, and a disk takes 100 times as long as memory
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

SHOP: dict[str, Any] = {
    "model": "shop",
    "columns": {
        "at": {"type": "time", "role": "time"},
        "order": {"type": "integer", "role": "forbidden"},
        "weight": {"type": "number", "role": "feature"},
        "items": {"type": "integer", "role": "feature"},
        "country": {"type": "category", "role": "feature"},
        "price": {"type": "number", "role": "target"},
    },
    "key": ["order"],
    "task": "regression",
    "positive": None,
    "labels": "with_rows",
    "label_horizon": "1d",
    "batch_every": "7d",
    "times_ahead": "1h",
    "suite": "expectations/shop.json",
    "rows": {"where": []},
    "history": {"entity": [], "ahead": None, "known_ahead": [], "features": []},
}
SUITE: dict[str, Any] = {
    "name": "shop",
    "expectations": [
        {"type": "expect_column_values_to_not_be_null", "kwargs": {"column": "_key"}},
        {"type": "expect_column_values_to_be_unique", "kwargs": {"column": "_key"}},
        {
            "type": "expect_column_values_to_be_between",
            "kwargs": {"column": "weight", "min_value": 0},
            "meta": {"unit": "kg"},
        },
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "price", "min_value": 0}},
    ],
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs first what takes longest, so that two workers end at the same time."""
    gc.freeze()
    items.sort(key=rank)


def rank(item: pytest.Item) -> tuple[int, bool]:
    """The place of a test among all: those of long files come first, then those that start servers."""
    whole_run = item.get_closest_marker("e2e")
    minutes = 0 if whole_run is None else whole_run.kwargs.get("minutes", 1)
    return -minutes, item.get_closest_marker("server") is None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of one Prefect server for all tests that need it; tests/builders/world.py says how to use it."""
    home = tmp_path_factory.mktemp("prefect")
    with prefect_server.own(home, pages=False) as running, pytest.MonkeyPatch.context() as patch:
        assert running.api.login is not None
        patch.setenv(prefect_server.LOGIN_VARIABLE, running.api.login)
        yield running.api.url


@pytest.fixture
def shop() -> DataParams:
    """Orders of a shop; labels come with the rows."""
    return DataParams.model_validate(SHOP)


@pytest.fixture
def shop_later() -> DataParams:
    """The same where labels come later."""
    return DataParams.model_validate({**SHOP, "labels": "later"})


@pytest.fixture
def shop_keyless() -> DataParams:
    """The same without a key."""
    return DataParams.model_validate({**SHOP, "key": []})


@pytest.fixture
def shop_workspace(tmp_path: Path) -> WorkspacePaths:
    """A workspace whose suite is the shop's."""
    suite = tmp_path / "workspace" / "expectations" / "shop.json"
    suite.parent.mkdir(parents=True)
    suite.write_text(json.dumps(SUITE), encoding="utf-8")
    return WorkspacePaths(tmp_path / "workspace")


@pytest.fixture
def counter(shop_workspace: WorkspacePaths, shop: DataParams, tmp_path: Path) -> "Counter":
    from tests.builders.counter import Counter

    return Counter(shop_workspace, shop, tmp_path / "inbox")


@pytest.fixture
def counter_later(shop_workspace: WorkspacePaths, shop_later: DataParams, tmp_path: Path) -> "Counter":
    from tests.builders.counter import Counter

    return Counter(shop_workspace, shop_later, tmp_path / "inbox")
