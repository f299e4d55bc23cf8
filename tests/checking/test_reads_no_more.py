"""What is read of the landing zone: the row groups of the rows that are asked for, and no others."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from retrim.checking.probe import _to_fit
from retrim.checking.score import score
from retrim.landing.as_of_view import known_table, read_as_of
from retrim.reading.landed_rows import LandedRows
from retrim.reports.explain import explain
from retrim.table.data import assemble, with_past
from retrim.table.lags import HistoryParams
from tests.builders.desk import Desk, make_desk, with_params
from tests.builders.landed import read_landed

pytestmark = pytest.mark.slow  # a champion made with the stages


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A row group a day for ten days, a version of them that two days have judged, and an eleventh day."""
    made = make_desk(
        tmp_path / "workspace",
        changes={"probe": {"when": "needed"}, "drift": {"min_rows": 1000}, "gain": {"cost": 1000.0}},
    )
    for day in range(10):
        made.land(made.rows(day, day + 1), day + 1)
    made.make_version(10)
    made.land(made.rows(10, 11), 11)
    return made


@pytest.fixture
def opened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The days whose row groups were opened, by date of arrival."""
    days: set[str] = set()
    read = LandedRows._read

    def noted(landed: LandedRows, place: int, columns: list[str]) -> object:
        days.add(landed._groups[place][0].parent.name.removeprefix("arrived=2024-01-"))
        return read(landed, place, columns)

    monkeypatch.setattr(LandedRows, "_read", noted)
    return days


def test_scoring_opens_the_rows_it_scores(desk: Desk, opened: set[str]) -> None:
    assert score(desk.workspace, now=desk.day(10)).written == 48  # the two days that judged it
    opened.clear()

    assert score(desk.workspace, now=desk.day(11)).written == 24
    assert opened == {"12"}


def test_a_check_that_does_not_probe_opens_what_came_since_the_champion_was_trained(
    desk: Desk, opened: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrim.checking.evidence.run_probe", lambda *given, **named: None)
    checked = desk.check(11.5)

    assert checked.record["performance"]["measured"]["loss"] is not None
    assert checked.record["probe"]["reading"] is None
    assert opened == {"10", "11", "12"}  # two days that judged it, and the new one


def test_an_explanation_opens_the_row(desk: Desk, opened: set[str]) -> None:
    explain(desk.workspace, "77", version=1, asked=None, now=desk.day(11))

    assert opened == {"05"}


def test_what_is_read_is_the_table(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "late", labels="later")
    for day in (0, 2, 4):
        desk.land(desk.rows(day, day + 2), day + 2)
    desk.land(desk.rows(0, 3), 6.2, kind="labels")
    again = desk.rows(1, 3).iloc[::-1].assign(level=7.0)
    landing, digest = desk.workspace.landing, f"{7:064x}"[::-1]
    with landing.locked():
        keyed = again.assign(
            _key=read_as_of(desk.workspace, as_of=desk.day(9)).times["_key"].iloc[24:72].to_numpy()[::-1]
        )
        landing.land("rows", keyed, digest=digest, arrived=desk.day(6.5), correction=True, released="")

    for day in (3, 6.3, 9):
        whole = assemble(*read_landed(landing.root), desk.workspace.params.data, as_of=desk.day(day))
        pd.testing.assert_frame_equal(known_table(desk.workspace, as_of=desk.day(day)), whole)
        some = read_as_of(desk.workspace, as_of=desk.day(day)).only(np.arange(len(whole)) % 5 == 3).read()
        pd.testing.assert_frame_equal(some, whole.iloc[3::5].reset_index(drop=True))


def test_a_landed_column_is_not_taken_for_a_feature_from_the_past_of_its_name(desk: Desk) -> None:
    table = read_as_of(desk.workspace, as_of=desk.day(11))
    assert table.landed is not None
    shadow = HistoryParams.model_validate(
        {"entity": [], "ahead": None, "known_ahead": [], "features": [{"of": "outcome", "lag": 1}]}
    )
    made = with_past(table.times, desk.workspace.params.data, shadow, also=["outcome lag 1"])

    assert "outcome lag 1" not in made
    assert "outcome lag 1" in with_past(table.times, desk.workspace.params.data, shadow, also=table.landed.columns)


def test_text_stays_text_where_steps_read_it(desk: Desk) -> None:
    ripe = read_as_of(desk.workspace, as_of=desk.day(11)).mature()
    prepared = with_params(desk, prepare={"steps": [{"step": "OrdinalEncoder", "columns": ["group"]}]})

    assert isinstance(_to_fit(desk.workspace, ripe)["group"].dtype, pd.CategoricalDtype)
    assert not isinstance(_to_fit(prepared.workspace, ripe)["group"].dtype, pd.CategoricalDtype)


def test_a_check_goes_on_when_another_column_is_the_target(desk: Desk) -> None:
    columns = desk.workspace.params.data.model_dump(mode="json")["columns"]
    columns["outcome"]["role"], columns["level"]["role"] = "forbidden", "target"
    other = with_params(desk, data={"columns": columns})

    assert other.check(11.5).record["champion"] == 1
