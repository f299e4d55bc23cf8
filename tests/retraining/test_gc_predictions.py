"""Copies that dead commands left behind go; others stay."""

import os
from pathlib import Path

import pandas as pd
import pytest

from retrim.retraining.gc import copies
from tests.builders.desk import Desk, make_desk

NOW = pd.Timestamp("2026-01-10", tz="UTC")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make_desk(tmp_path / "workspace")


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
