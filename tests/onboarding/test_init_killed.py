"""`retrim init` that was killed while it landed a history: the same command goes on with it."""

from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.landing_zone import Landing
from retrim.errors import RefusedError
from retrim.files import WorkspacePaths
from retrim.onboarding import write as op
from retrim.onboarding.desk import InitRequest
from retrim.onboarding.init import inspect_table, settle_request
from retrim.onboarding.write import WrittenFiles
from tests.builders.raw_tables import csv, table
from tests.builders.world import REPOSITORY

ROWS = 1200
pytestmark = pytest.mark.slow  # lands by a suite


class KilledError(BaseException):
    """As if the process had been killed."""


@pytest.fixture
def workspace(tmp_path: Path) -> WorkspacePaths:
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    return WorkspacePaths(tmp_path)


@pytest.fixture
def killed(workspace: WorkspacePaths, monkeypatch: pytest.MonkeyPatch) -> WorkspacePaths:
    """Two batches have landed."""
    landed, real = [0], op.land_batch

    def land(*given: Any, **named: Any) -> Any:
        if landed[0] == 2:
            raise KilledError
        landed[0] += 1
        return real(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(op, "land_batch", land)
        with pytest.raises(KilledError):
            init(workspace, csv(table(ROWS)), overwrite=True)
    return workspace


def init(workspace: WorkspacePaths, content: bytes, *, overwrite: bool) -> WrittenFiles:
    file = workspace.root / "trips.csv"
    file.write_bytes(content)
    looked = inspect_table(
        workspace, str(file), InitRequest(target="minutes", model="own"), ask=lambda _, proposal, __: proposal
    )
    return settle_request(workspace, looked, reason="", land_history=True, overwrite=overwrite, commit=False)


def test_the_same_command_goes_on_and_then_is_done(killed: WorkspacePaths) -> None:
    before = Landing(killed.landing).batches()
    written = init(killed, csv(table(ROWS)), overwrite=False)
    after = Landing(killed.landing).batches()

    assert (len(before), after[:2]) == (2, before)
    assert [one.outcome for one in written.landed[:3]] == ["already", "already", "landed"]
    assert sum(batch.rows for batch in after) == ROWS
    with pytest.raises(RefusedError, match=rf"^{len(after)} .*--again$"):
        init(killed, csv(table(ROWS)), overwrite=True)


def test_another_table_does_not_go_on_with_it(killed: WorkspacePaths) -> None:
    with pytest.raises(RefusedError, match="retrim new DIR"):
        init(killed, csv(table(ROWS, seed=8)), overwrite=True)
