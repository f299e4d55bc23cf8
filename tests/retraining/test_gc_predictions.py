"""Parts of predictions that were stopped go once nobody goes on with them, copies of dead commands too; others stay."""

import os
from pathlib import Path

import pandas as pd
import pytest

from retrim.lineage.locks import held_locks
from retrim.retraining.gc import copies, stopped_predictions
from tests.builders.desk import Desk, make_desk

NOW = pd.Timestamp("2026-01-10", tz="UTC")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make_desk(tmp_path / "workspace")


def begun(desk: Desk, name: str, *, days_ago: float) -> Path:
    folder = desk.workspace.paths.var / "predict" / name
    folder.mkdir(parents=True)
    (folder / "part-0000.parquet").write_bytes(b"x" * 10)
    moment = (NOW - pd.Timedelta(days_ago, "D")).timestamp()
    os.utime(folder, (moment, moment))
    return folder


@pytest.mark.parametrize("name", ["0a1b", "spool-0a1b", ".gone-0a1b"])
def test_what_nobody_went_on_with_goes(desk: Desk, name: str) -> None:
    folder = begun(desk, name, days_ago=30)
    (piece,) = stopped_predictions(desk.workspace, now=NOW)

    assert (piece.what, piece.name, piece.frees) == ("prediction", name, 10)
    assert piece.remove is not None
    piece.remove()
    assert not folder.exists()


def test_what_was_stopped_lately_stays(desk: Desk) -> None:
    begun(desk, "0a1b", days_ago=6)
    (piece,) = stopped_predictions(desk.workspace, now=NOW)

    assert piece.remove is None


def test_what_is_under_way_stays_however_old_it_is(desk: Desk) -> None:
    begun(desk, "0a1b", days_ago=30)
    with held_locks(desk.workspace, "predict-0a1b"):
        (piece,) = stopped_predictions(desk.workspace, now=NOW)

    assert (piece.why, piece.remove) == ("it is in progress", None)


def test_a_copy_goes_whose_command_was_killed_long_ago(desk: Desk) -> None:
    for name, days_ago in (("import-a", 8), ("fetched-b", 6)):
        folder = desk.workspace.paths.tmp / name
        folder.mkdir(parents=True)
        moment = (NOW - pd.Timedelta(days_ago, "D")).timestamp()
        os.utime(folder, (moment, moment))
    for piece in copies(desk.workspace, now=NOW):
        assert piece.remove is not None
        piece.remove()

    assert [path.name for path in desk.workspace.paths.tmp.iterdir()] == ["fetched-b"]


def test_what_is_no_folder_among_copies_stops_nothing(desk: Desk) -> None:
    desk.workspace.paths.tmp.mkdir(parents=True)
    (desk.workspace.paths.tmp / "gone").symlink_to("nowhere")

    assert list(copies(desk.workspace, now=NOW)) == []
