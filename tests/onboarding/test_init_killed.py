"""`retrim init` that was killed while it landed a history: the same command goes on with it."""

from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.landing_zone import Landing
from retrim.errors import RefusedError
from retrim.files import WorkspacePaths
from retrim.onboarding import write as op
from tests.builders.raw_tables import csv, empty_workspace, set_up, table

ROWS = 1200
pytestmark = pytest.mark.slow  # lands by a suite


class KilledError(BaseException):
    """As if the process had been killed."""


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkspacePaths:
    """Two batches have landed."""
    landed, real, workspace = [0], op.land_batch, empty_workspace(tmp_path)

    def land(*given: Any, **named: Any) -> Any:
        if landed[0] == 2:
            raise KilledError
        landed[0] += 1
        return real(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(op, "land_batch", land)
        with pytest.raises(KilledError):
            set_up(workspace, csv(table(ROWS)))
    return workspace


def test_the_same_command_goes_on_and_then_is_done(killed: WorkspacePaths) -> None:
    before = Landing(killed.landing).batches()
    written = set_up(killed, csv(table(ROWS)), overwrite=False)
    after = Landing(killed.landing).batches()

    assert (len(before), after[:2]) == (2, before)
    assert [one.outcome for one in written.landed[:3]] == ["already", "already", "landed"]
    assert sum(batch.rows for batch in after) == ROWS
    with pytest.raises(RefusedError, match=rf"^{len(after)} .*--again$"):
        set_up(killed, csv(table(ROWS)))


def test_another_table_does_not_go_on_with_it(killed: WorkspacePaths) -> None:
    with pytest.raises(RefusedError, match="retrim new DIR"):
        set_up(killed, csv(table(ROWS, seed=8)))
