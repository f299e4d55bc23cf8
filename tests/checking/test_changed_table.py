"""A table that changes after rows have landed and versions were made: everything goes on, and says what it lacks."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from retrim.checking.score import score
from retrim.errors import BadInputError
from retrim.landing.as_of_view import known_table
from retrim.settings import Params
from tests.builders.answers import status_record
from tests.builders.desk import Desk, copy_of, make_desk

pytestmark = pytest.mark.slow


def changed(desk: Desk, **columns: dict[str, Any] | None) -> Desk:
    """The same desk after somebody edited data.columns; None takes a column out."""
    document = desk.workspace.params.model_dump(mode="json")
    own = document["data"]["columns"] | columns
    document["data"]["columns"] = {name: one for name, one in own.items() if one is not None}
    workspace = replace(desk.workspace, params=Params.model_validate(document))
    workspace.__dict__["registry"] = desk.shelf
    return Desk(workspace, desk.stream, desk.shelf)


NUMBER, WORD, WHOLE = ({"type": kind, "role": "feature"} for kind in ("number", "category", "integer"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 of 14 days, and a check of the two days after; `noise` is an integer."""
    desk = make_desk(tmp_path_factory.mktemp("desk") / "d")
    desk = changed(desk, noise=WHOLE)
    for since, until in ((0, 7), (7, 14)):
        desk.land(rows(desk, since, until), until)
    desk.make_version(14)
    desk.land(rows(desk, 14, 16), 16)
    desk.check(16)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "copy")


def rows(desk: Desk, since: float, until: float) -> pd.DataFrame:
    frame = desk.rows(since, until)
    return frame.assign(noise=(frame["noise"] * 10).round())


def test_a_column_that_appears_is_missing_in_older_rows(desk: Desk) -> None:
    after = changed(desk, fresh=NUMBER)
    after.land(rows(desk, 16, 18).assign(fresh=1.5), 18)
    found = known_table(after.workspace, as_of=desk.day(18))

    assert found["fresh"].notna().tolist() == [False] * 16 * 24 + [True] * 2 * 24
    assert after.check(18).record["performance"]["measured"]["loss"] is not None


def test_a_column_that_disappears_is_missing_in_newer_rows(desk: Desk) -> None:
    after = changed(desk, slope=None)
    after.land(rows(desk, 16, 18).drop(columns="slope"), 18)
    found = known_table(after.workspace, as_of=desk.day(18))
    checked = after.check(18)

    assert found["slope"].isna().tolist() == [False] * 16 * 24 + [True] * 2 * 24
    assert np.isfinite(checked.record["performance"]["measured"]["loss"])
    assert "slope" in checked.record["drift"]["drifted"]


def test_what_the_champion_lacks_is_said_by_status_check_and_score(desk: Desk) -> None:
    after = changed(desk, slope=None)
    after.land(rows(desk, 16, 18).drop(columns="slope"), 18)
    scored = score(after.workspace, now=desk.day(18))
    after.check(18)
    status = status_record(after.workspace, now=desk.day(18))

    assert scored.lacks == ("slope",)
    assert status["lacks"] == ["slope"]
    assert [alert["text"] for alert in status["alerts"] if alert["kind"] == "column gone"] == [
        (
            "the live version 1 reads 'slope', which is no longer a column. It predicts with missing values there, and "
            "the next version will not use it. If it was renamed, declare it: data.columns, `was: slope`"
        )
    ]


def test_the_next_version_does_without_a_column_that_is_gone(desk: Desk) -> None:
    after = changed(desk, slope=None)
    after.land(rows(desk, 16, 20).drop(columns="slope"), 20)
    after.make_version(20)
    after.land(rows(desk, 20, 22).drop(columns="slope"), 22)

    assert "slope" not in after.workspace.store.version("generated", 2).lineage["needs"]
    assert after.check(22).record["champion"] == 2
    assert status_record(after.workspace, now=desk.day(22))["lacks"] == []


def test_a_renamed_column_is_read_on_by_the_champion(desk: Desk) -> None:
    after = changed(desk, level=None, height=NUMBER | {"was": "level"})
    plain, renamed = rows(desk, 16, 18), rows(desk, 16, 18).rename(columns={"level": "height"})
    desk.land(plain, 18)
    before = desk.check(18).record["performance"]["measured"]["loss"]
    other = copy_of(desk, desk.workspace.paths.root.parent / "other")
    other = changed(other, level=None, height=NUMBER | {"was": "level"})
    after.land(rows(desk, 18, 20).rename(columns={"level": "height"}), 20)
    found = known_table(after.workspace, as_of=desk.day(20))

    assert renamed["height"].tolist() == plain["level"].tolist()
    assert found["height"].notna().all()
    assert np.isfinite(before)
    assert after.check(20).record["performance"]["measured"]["loss"] < 2 * before
    assert status_record(after.workspace, now=desk.day(20))["lacks"] == []


def test_a_version_of_a_renamed_target_is_judged_by_it(desk: Desk) -> None:
    after = changed(desk, outcome=None, result={"type": "number", "role": "target", "was": "outcome"})
    after.land(rows(desk, 16, 18).rename(columns={"outcome": "result"}), 18)

    assert np.isfinite(after.check(18).record["performance"]["measured"]["loss"])


def test_an_integer_that_becomes_text_is_text_in_older_rows_and_a_number_to_the_champion(desk: Desk) -> None:
    after = changed(desk, noise=WORD)
    fresh = rows(desk, 16, 18)
    text = fresh["noise"].astype("int64").astype("str").astype("str")
    after.land(fresh.assign(noise=text.where(text != "3", "three")), 18)
    found = known_table(after.workspace, as_of=desk.day(18))
    older = rows(desk, 0, 7)["noise"].astype("int64").astype("str")

    assert found["noise"].head(7 * 24).tolist() == older.tolist()
    assert np.isfinite(after.check(18).record["performance"]["measured"]["loss"])


def test_an_integer_that_becomes_a_number_stays_what_it_was(desk: Desk) -> None:
    after = changed(desk, noise=NUMBER)
    after.land(rows(desk, 16, 18).assign(noise=0.5), 18)

    assert known_table(after.workspace, as_of=desk.day(18))["noise"].iloc[0] == rows(desk, 0, 7)["noise"].iloc[0]
    assert np.isfinite(after.check(18).record["performance"]["measured"]["loss"])


def test_settings_under_which_nothing_can_be_read_are_refused_by_every_reader(desk: Desk) -> None:
    after = changed(desk, group=NUMBER)
    for use in (lambda: after.check(18), lambda: score(after.workspace, now=desk.day(18))):
        with pytest.raises(BadInputError, match=r"'group' .*category .*number"):
            use()
