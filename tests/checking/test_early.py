"""Rows that a champion took in before they were due: no check holds it to them."""

from dataclasses import replace

import pandas as pd
import pytest

from retrim.checking.previous_champions import score_previous_champions
from retrim.checking.probation import look_at_probation
from retrim.landing.as_of_view import AsOfTable, read_as_of
from retrim.release.versions import load_stored_version
from retrim.training.bundle import Predictor
from retrim.training.early import is_taken
from tests.builders.desk import Desk, make_desk

pytestmark = pytest.mark.slow  # makes champions with the stages


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Two versions, and four days of rows since."""
    made = make_desk(tmp_path_factory.mktemp("early") / "workspace")
    made.land(made.rows(0, 12), 12)
    made.make_version(12)
    made.land(made.rows(12, 18), 18)
    made.make_version(18)
    made.land(made.rows(18, 22), 22)
    return made


@pytest.fixture
def table(desk: Desk) -> AsOfTable:
    return read_as_of(desk.workspace, as_of=desk.day(22.5))


@pytest.fixture
def plain(desk: Desk) -> Predictor:
    return load_stored_version(desk.workspace, 2).predictor


@pytest.fixture
def early(plain: Predictor, table: AsOfTable, desk: Desk) -> Predictor:
    """The champion, had it been fitted on the fourth day, when a row that may be taken in was not due."""
    rows = table.times[(table.times["_event"] > desk.day(21)).to_numpy() & is_taken(table.times["_key"])]
    return replace(plain, early_until=rows["_event"].iloc[0] + pd.Timedelta("30min"))


def test_a_probation_counts_none_of_them(desk: Desk, table: AsOfTable, plain: Predictor, early: Predictor) -> None:
    rows = []
    for champion in (plain, early):
        found = look_at_probation(desk.workspace, table, champion, previous=None, now=desk.day(22.5))
        assert found is not None
        rows.append(found.watch.rows)

    assert rows[0] - rows[1] == early.has_seen(table.times).sum() > 0


def test_previous_champions_are_scored_on_none_of_them(
    desk: Desk, table: AsOfTable, plain: Predictor, early: Predictor
) -> None:
    rows = []
    for champion in (plain, early):
        found = score_previous_champions(desk.workspace, table, champion, 2, previous=None)
        assert found is not None
        rows.append(found.verdict.rows)

    assert rows[0] - rows[1] == early.has_seen(table.times).sum() > 0
