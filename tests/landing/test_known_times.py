"""When rows matured, read without their other columns: as the whole table has it."""

from pathlib import Path

import pandas as pd
import pytest

from retrim.landing.as_of_view import known_table, read_times_as_of
from retrim.reading import landed_rows
from tests.builders.desk import Desk, make_desk

TIMES = ["_key", "_arrived", "_event", "_due", "_known", "_matured"]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = make_desk(tmp_path / "workspace")
    for day in (2, 4, 6):
        made.land(made.rows(day - 2, day), day)
    return made


@pytest.mark.parametrize("day", [3, 5.5, 9])
def test_they_are_those_of_the_whole_table(desk: Desk, day: float) -> None:
    whole, alone = (read(desk.workspace, as_of=desk.day(day)) for read in (known_table, read_times_as_of))
    target = desk.workspace.params.data.target

    pd.testing.assert_frame_equal(alone[[*TIMES, target]], whole[[*TIMES, target]])


def test_no_feature_is_read_for_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    narrow = landed_rows.LandedRows.narrow

    def noted(landed: landed_rows.LandedRows, columns: list[str]) -> pd.DataFrame:
        read.extend(columns)
        return narrow(landed, columns)

    monkeypatch.setattr(landed_rows.LandedRows, "narrow", noted)
    read_times_as_of(desk.workspace, as_of=desk.day(9))

    assert read
    assert not set(read) & set(desk.workspace.params.data.features)
