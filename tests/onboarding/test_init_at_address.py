"""A table that is set up where the landing zone lies at an address."""

from pathlib import Path

import pytest

from retrim.adapters.landing_zone import Landing
from retrim.errors import RefusedError
from retrim.lineage.landing_address import LandingAddress
from tests.builders.raw_tables import csv, empty_workspace, set_up, table

pytestmark = pytest.mark.slow  # lands by a suite


@pytest.fixture
def where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("RETRIM_LANDING", f"file://{tmp_path / 'there'}")
    return f"file://{tmp_path / 'there'}"


def test_its_history_lies_there_at_once(where: str, tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path / "here")
    set_up(workspace, csv(table(600)))
    other = tmp_path / "other"
    LandingAddress(where, "own", other).catch_up()

    landed = [batch.digest for batch in Landing(workspace.landing).batches()]
    assert landed
    assert [batch.digest for batch in Landing(other).batches()] == landed


@pytest.mark.usefixtures("where")
def test_where_batches_of_that_name_lie_it_is_refused_and_nothing_changes(tmp_path: Path) -> None:
    workspace = empty_workspace(tmp_path / "here")
    set_up(workspace, csv(table(600)))
    before = workspace.params.read_bytes(), Landing(workspace.landing).batches()
    with pytest.raises(RefusedError, match="RETRIM_LANDING"):
        set_up(workspace, csv(table(600)), again=True)

    assert (workspace.params.read_bytes(), Landing(workspace.landing).batches()) == before
