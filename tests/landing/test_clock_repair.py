"""After the clock ran ahead: what is dated later than now is dated anew, in its order, and it is said first."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.errors import BadInputError
from retrim.landing.as_of_view import known_table
from retrim.landing.clock_repair import Repair, plan_repair, repair
from retrim.landing.ingest import land_batch
from retrim.lineage.workspace import clock
from tests.builders.desk import START, Desk, make_desk
from tests.builders.landed import quarantine_show, read_landed

WHO: dict[str, Any] = {"by": "anna", "reason": "the clock was a year ahead"}
NOW = START + pd.Timedelta(20, "D")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Three batches and a check came in time, two batches and a check a year ahead."""
    desk = make_desk(tmp_path / "workspace")
    for day in (2, 4, 6):
        desk.land(desk.rows(day - 2, day), day)
    desk.check(6)
    for day in (8, 9):
        desk.land(desk.rows(day - 1, day), 365 + day)
    desk.check(365 + 9)
    return desk


def arrivals(desk: Desk) -> list[pd.Timestamp]:
    return [batch.arrived for batch in desk.workspace.landing.batches()]


def repaired(desk: Desk) -> Repair:
    return repair(desk.workspace, now=NOW, **WHO)


def test_what_it_will_do_is_said_and_nothing_is_done(desk: Desk) -> None:
    before = {path: path.read_bytes() for path in desk.workspace.landing.root.rglob("*.parquet")}
    plan = plan_repair(desk.workspace, now=NOW)

    assert [(move.kind, move.before, move.after) for move in plan.moves] == [
        ("batch", desk.day(373), NOW - pd.Timedelta("1s")),
        ("batch", desk.day(374), NOW),
        ("check", desk.day(374), NOW),
    ]
    assert {path: path.read_bytes() for path in desk.workspace.landing.root.rglob("*.parquet")} == before


def test_what_had_come_ahead_has_come_by_now_in_its_order(desk: Desk) -> None:
    names = [batch.batch for batch in desk.workspace.landing.batches()]
    repaired(desk)

    assert [batch.batch for batch in desk.workspace.landing.batches()] == names
    assert arrivals(desk) == [desk.day(2), desk.day(4), desk.day(6), NOW - pd.Timedelta("1s"), NOW]
    assert len(known_table(desk.workspace, as_of=NOW)) == 8 * 24
    assert not plan_repair(desk.workspace, now=NOW).moves


def test_the_rows_are_as_they_were_but_for_their_arrival(desk: Desk) -> None:
    before, _ = read_landed(desk.workspace.landing.root)
    repaired(desk)
    after, _ = read_landed(desk.workspace.landing.root)

    pd.testing.assert_frame_equal(after.drop(columns="_arrived"), before.drop(columns="_arrived"))


def test_views_of_before_stay_as_they_were(desk: Desk) -> None:
    views = [known_table(desk.workspace, as_of=desk.day(day)) for day in (3, 6, 10)]
    repaired(desk)

    for view, day in zip(views, (3, 6, 10), strict=True):
        pd.testing.assert_frame_equal(known_table(desk.workspace, as_of=desk.day(day)), view)


def test_files_land_and_checks_are_made_again(desk: Desk) -> None:
    desk.workspace.paths.root.joinpath("expectations").mkdir(exist_ok=True)
    desk.workspace.paths.root.joinpath("expectations/none.json").write_text('{"name": "none", "expectations": []}')
    path = desk.workspace.paths.root / "new.csv"
    desk.rows(9, 10).to_csv(path, index=False)
    how: dict[str, Any] = {"workspace": desk.workspace.paths, "data": desk.workspace.params.data, "correction": False}
    later = NOW + pd.Timedelta("1D")
    with pytest.raises(BadInputError, match=re.escape(str(desk.day(374)))):
        land_batch(path, now=later, **how)
    repaired(desk)

    assert land_batch(path, now=later, **how).outcome == "landed"
    assert "already" not in desk.check(21.5).reason


def test_what_it_did_is_kept(desk: Desk) -> None:
    repaired(desk)
    (alert,) = [row for row in desk.workspace.store.alerts(desk.workspace.model) if row.kind == "dates repaired"]

    assert WHO["by"] in alert.text
    assert WHO["reason"] in alert.text
    assert "2025-01-09" in alert.text


def test_what_cannot_be_dated_anew_is_named(desk: Desk) -> None:
    desk.make_version(376)
    plan = plan_repair(desk.workspace, now=NOW)

    assert any(line.startswith("version 1 keeps its as-of time, 2025-01-11") for line in plan.stays)
    assert any(line.startswith("version 1 went live at 2025-01-11") for line in plan.stays)


def test_one_that_was_killed_halfway_is_finished_by_the_next(desk: Desk) -> None:
    landing = desk.workspace.landing
    with landing.locked():
        landing.date_anew(landing.batches()[3], NOW - pd.Timedelta("1h"))
    repaired(desk)

    assert arrivals(desk)[3:] == [NOW - pd.Timedelta("1h"), NOW]


def test_what_was_quarantined_ahead_came_by_now_too(desk: Desk) -> None:
    desk.workspace.paths.root.joinpath("expectations").mkdir(exist_ok=True)
    desk.workspace.paths.root.joinpath("expectations/none.json").write_text('{"name": "none", "expectations": []}')
    path = desk.workspace.paths.root / "new.csv"
    desk.rows(9, 10).assign(outcome=float("nan")).to_csv(path, index=False)
    how: dict[str, Any] = {"workspace": desk.workspace.paths, "data": desk.workspace.params.data, "correction": False}
    held = land_batch(path, now=desk.day(380), **how)
    moves = [(move.kind, move.after) for move in repaired(desk).moves]

    assert held.outcome == "quarantined"
    assert ("quarantined batch", NOW) in moves
    assert quarantine_show(desk.workspace.paths, held.batch).arrived == NOW


def test_with_nothing_ahead_there_is_nothing_to_do(desk: Desk) -> None:
    assert plan_repair(desk.workspace, now=clock() + pd.Timedelta("9999D")).moves == ()
