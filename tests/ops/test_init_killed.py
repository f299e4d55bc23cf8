"""`retrim init` that was killed while it landed a history: the same command goes on with it."""

from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.landing import Landing
from retrim.errors import RefusedError
from retrim.ops.init import write as op
from retrim.ops.init.desk import Wishes
from retrim.ops.init.use import look, settle
from retrim.ops.init.write import Written
from retrim.paths import Workspace
from tests.ops.raw_tables import csv, table
from tests.world import REPOSITORY

ROWS = 1200
pytestmark = pytest.mark.slow  # lands by a suite


class KilledError(BaseException):
    """As if the process had been killed."""


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    return Workspace(tmp_path)


@pytest.fixture
def killed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Two batches have landed."""
    landed, real = [0], op.land

    def land(*given: Any, **named: Any) -> Any:
        if landed[0] == 2:
            raise KilledError
        landed[0] += 1
        return real(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(op, "land", land)
        with pytest.raises(KilledError):
            init(workspace, csv(table(ROWS)), overwrite=True)
    return workspace


def init(workspace: Workspace, content: bytes, *, overwrite: bool) -> Written:
    file = workspace.root / "trips.csv"
    file.write_bytes(content)
    looked = look(workspace, str(file), Wishes(target="minutes", model="own"), ask=lambda _, proposal, __: proposal)
    return settle(workspace, looked, reason="", land_history=True, overwrite=overwrite, commit=False)


def test_the_same_command_goes_on_and_then_is_done(killed: Workspace) -> None:
    before = Landing(killed.landing).batches()
    written = init(killed, csv(table(ROWS)), overwrite=False)
    after = Landing(killed.landing).batches()

    assert (len(before), after[:2]) == (2, before)
    assert [one.outcome for one in written.landed[:3]] == ["already", "already", "landed"]
    assert sum(batch.rows for batch in after) == ROWS
    with pytest.raises(RefusedError, match="one model a workspace"):
        init(killed, csv(table(ROWS)), overwrite=True)


def test_another_table_does_not_go_on_with_it(killed: Workspace) -> None:
    with pytest.raises(RefusedError, match="one model a workspace"):
        init(killed, csv(table(ROWS, seed=8)), overwrite=True)
