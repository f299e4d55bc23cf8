"""`retrim init` on a file too large to be looked at whole: its last rows say what is drafted, and all of it lands."""

from pathlib import Path
from typing import Any

import pytest

from retrim.adapters.landing_zone import Landing
from retrim.errors import BadInputError
from retrim.files import WorkspacePaths
from retrim.onboarding import write as op
from retrim.onboarding.init import InspectedTable, settle_request
from retrim.settings import load_params
from tests.builders.raw_tables import csv, empty_workspace, inspected, table

ROWS = 2400
pytestmark = pytest.mark.slow  # lands by a suite


class KilledError(BaseException):
    """As if the process had been killed."""


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WorkspacePaths:
    """One whose pieces hold 256 rows of the table below, or a few more."""
    for module in ("landing.take_in", "onboarding.write"):
        monkeypatch.setattr(f"retrim.{module}.PIECE_MB", 0.015)
    return empty_workspace(tmp_path)


def settled(workspace: WorkspacePaths, looked: InspectedTable, *, overwrite: bool = True) -> Any:
    return settle_request(workspace, looked, reason="", land_history=True, overwrite=overwrite, commit=False)


def test_its_last_rows_are_looked_at_and_all_of_them_land(workspace: WorkspacePaths) -> None:
    looked = inspected(workspace, csv(table(ROWS)))
    written = settled(workspace, looked)
    batches = Landing(workspace.landing).batches()

    assert looked.large is not None
    assert len(looked.large.counts) > op.LOOKED
    assert looked.raw.rows == sum(looked.large.counts[-op.LOOKED :])
    seen = f"the file has {ROWS} rows, of which the last {looked.raw.rows} were inspected"
    assert looked.drafted.notes[0].seen == seen
    assert sum(batch.rows for batch in batches) == ROWS
    assert len({batch.arrived for batch in batches}) == 1
    assert written.rows == ROWS
    assert looked.drafted.choices[("split", "sliding_rows")].why == f"a quarter of {ROWS}"
    assert load_params(workspace.params).split.sliding_rows >= ROWS // 4


def test_a_file_of_few_pieces_is_looked_at_whole(workspace: WorkspacePaths) -> None:
    looked = inspected(workspace, csv(table(600)))

    assert (looked.large, looked.raw.rows) == (None, 600)


def test_semicolons_and_line_ends_in_cells_are_no_matter(workspace: WorkspacePaths) -> None:
    frame = table(ROWS).assign(note='a;"b"\nc')
    content = frame.to_csv(index=False, sep=";").encode()
    looked = inspected(workspace, content)

    assert looked.large is not None
    assert (looked.raw.separator, sum(looked.large.counts)) == (";", ROWS)
    assert settled(workspace, looked).rows == ROWS


def test_a_kill_between_two_pieces_is_gone_on_from(workspace: WorkspacePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    content, real, landed = csv(table(ROWS)), op.land_batch, [0]

    def land(*given: Any, **named: Any) -> Any:
        if landed[0] == 3:
            raise KilledError
        landed[0] += 1
        return real(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(op, "land_batch", land)
        with pytest.raises(KilledError):
            settled(workspace, inspected(workspace, content))
    written = settled(workspace, inspected(workspace, content), overwrite=False)

    assert [one.outcome for one in written.landed[:4]] == ["already", "already", "already", "landed"]
    assert sum(batch.rows for batch in Landing(workspace.landing).batches()) == ROWS


def test_pieces_that_are_set_aside_are_told(workspace: WorkspacePaths) -> None:
    frame = table(ROWS).astype({"km": "str"})
    frame.loc[5, "km"] = "far"  # no row that was looked at has a word there
    written = settled(workspace, inspected(workspace, csv(frame)))

    assert written.set_aside == 1
    assert written.batches == len(Landing(workspace.landing).batches())


def test_without_an_event_time_its_pieces_arrive_one_after_another(workspace: WorkspacePaths) -> None:
    looked = inspected(workspace, csv(table(ROWS, at=None)))
    settled(workspace, looked)
    arrived = [batch.arrived for batch in Landing(workspace.landing).batches()]

    assert looked.drafted.reading.arrival is not None
    assert len(set(arrived)) == len(arrived) > op.LOOKED


def test_label_times_are_refused_as_rows_land_with_their_labels(workspace: WorkspacePaths) -> None:
    frame = table(ROWS).assign(known="2024-05-01T12:00:00")
    with pytest.raises(BadInputError, match=r"--label-time .*--horizon"):
        inspected(workspace, csv(frame), label_time="known")
