"""A table that is set up where the landing zone lies at an address."""

from pathlib import Path

import pytest

from retrim.adapters.landing_zone import Landing
from retrim.errors import RefusedError
from retrim.files import WorkspacePaths
from retrim.lineage.landing_address import LandingAddress
from retrim.onboarding.desk import InitRequest
from retrim.onboarding.init import inspect_table, replaced, settle_request
from tests.builders.raw_tables import csv, table
from tests.builders.world import REPOSITORY

MODEL = "own"
pytestmark = pytest.mark.slow  # lands by a suite


def init(workspace: WorkspacePaths, *, again: bool = False) -> None:
    file = workspace.root / "trips.csv"
    file.write_bytes(csv(table(600)))
    what = replaced(workspace) if again else None
    asked = InitRequest(target="minutes", model=MODEL)
    looked = inspect_table(workspace, str(file), asked, ask=lambda _, proposal, __: proposal)
    settle_request(workspace, looked, reason="", land_history=True, overwrite=True, commit=False, again=what)


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RETRIM_LANDING", f"file://{tmp_path / 'there'}")
    return f"file://{tmp_path / 'there'}"


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspacePaths:
    root = tmp_path / "here"
    root.mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (root / name).write_bytes((REPOSITORY / name).read_bytes())
    return WorkspacePaths(root)


def test_its_history_lies_there_at_once(workspace: WorkspacePaths, where: str, tmp_path: Path) -> None:
    init(workspace)
    other = tmp_path / "other"
    LandingAddress(where, MODEL, other).catch_up()

    landed = [batch.digest for batch in Landing(workspace.landing).batches()]
    assert landed
    assert [batch.digest for batch in Landing(other).batches()] == landed


@pytest.mark.usefixtures("where")
def test_where_batches_of_that_name_lie_it_is_refused_and_nothing_changes(workspace: WorkspacePaths) -> None:
    init(workspace)
    before = workspace.params.read_bytes(), Landing(workspace.landing).batches()
    with pytest.raises(RefusedError, match="RETRIM_LANDING"):
        init(workspace, again=True)

    assert (workspace.params.read_bytes(), Landing(workspace.landing).batches()) == before
