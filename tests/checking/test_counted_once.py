"""Each row that lands is tested for drift by one check, measured once, and enters the account once."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pandas as pd
import pytest
import sqlalchemy as sa

from retrim.adapters.migrations.schema import COUNTED_ROWS
from retrim.checking.audit import audit
from retrim.checking.check import check
from retrim.checking.rows import used_by
from retrim.decision.stored_rows import CountedRow, columns_of
from retrim.environment import Env
from retrim.files import WorkspacePaths
from retrim.landing.as_of_view import read_as_of
from retrim.lineage.workspace import Workspace
from retrim.release.versions import load_stored_version
from tests.builders.answers import PrintedCheck
from tests.builders.desk import Desk, Make, with_params

pytestmark = pytest.mark.slow  # a champion is made with the stages

KINDS = ("tested", "target", "measured", "deposited")


def counted(checked: PrintedCheck) -> list[int]:
    """How many rows a check tested, measured and deposited."""
    record = checked.record
    tested = next((each["current"]["rows"] for each in record["drift"]["findings"] if each["column"] == "level"), 0)
    measured, reading = record["performance"]["measured"], record["probe"]["reading"]
    return [tested, 0 if measured is None else measured["window"]["rows"], 0 if reading is None else reading["rows"]]


def test_rows_that_land_after_a_check_with_an_earlier_stamp_are_counted_by_the_next(make: Make) -> None:
    desk = make()
    desk.land(desk.rows(10, 12), 12)
    first = desk.check(12.5)
    desk.land(desk.rows(12, 14), 12.2)  # the schedule's stamp of a run that began before the check

    assert (counted(first), counted(desk.check(15))) == ([48] * 3, [48] * 3)


def test_a_row_with_an_event_before_the_newest_that_made_the_champion_is_counted(make: Make) -> None:
    desk = make(data={"key": ["at"]})
    late = desk.rows(4, 10).iloc[::3].assign(at=lambda rows: rows["at"] + pd.Timedelta("20min"))
    desk.land(late, 11)

    assert counted(desk.check(11)) == [48] * 3


def test_rows_that_made_or_judged_a_champion_are_exempt_and_noted_so(make: Make) -> None:
    desk = make()
    desk.check(10)
    found = audit(desk.workspace, now=desk.day(11)).as_record()

    assert [found[kind]["exempt"]["used"] for kind in KINDS] == [240] * 4
    assert found["holds"]


def test_a_row_that_was_landed_for_a_version_but_had_no_label_by_then_is_counted(make: Make) -> None:
    desk = make(labels="later", data={"key": ["at"]})
    rows = desk.rows(0, 10).assign(at=lambda rows: rows["at"] + pd.Timedelta("10min"))
    between = rows["at"].between(desk.day(6), desk.day(8))
    desk.land(rows.assign(outcome=rows["outcome"].mask(between)), 10.1)
    desk.make_version(10.2)
    desk.land(rows[between], 10.5, kind="labels")

    # Older than all that the champion does not know, they wait for a refit that could gain.
    assert counted(desk.check(11)) == [48, 48, 0]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_correction_is_not_counted(make: Make, when: str) -> None:
    desk = make(data={"key": ["at"]})
    rows = desk.rows(10, 12)
    desk.land(rows, 12)
    first = None if when == "before" else desk.check(12.1)
    desk.land(rows.assign(level=rows["level"] + 9), 12.5, correction=True)
    last = desk.check(13)

    assert first is None or counted(first) == [48] * 3
    assert counted(last) == ([48] * 3 if first is None else [0] * 3)
    assert audit(desk.workspace, now=desk.day(13)).as_record()["tested"]["exempt"]["replaces"] == 48


def test_a_row_that_a_correction_brings_first_is_counted(make: Make) -> None:
    desk = make(data={"key": ["at"]})
    desk.land(desk.rows(10, 12), 12, correction=True)

    assert counted(desk.check(13)) == [48] * 3


def test_a_row_is_not_counted_again_for_the_next_champion(make: Make) -> None:
    desk = make(changes={"gain": {"cost": 1000.0}})
    first = desk.pass_days(10, 12)
    desk.make_version(10.5)  # of rows until then alone
    second = desk.pass_days(12, 14)

    assert (second.record["champion"], counted(first), counted(second)) == (2, [48] * 3, [48] * 3)


def test_rows_that_wait_when_the_champion_changes_are_counted_for_the_new_one(make: Make) -> None:
    desk = make()
    desk.land(desk.rows(10, 10.5), 10.5)  # too few
    first = desk.check(10.5)
    desk.make_version(10.2)
    second = desk.pass_days(10.5, 12)

    assert (second.record["champion"], counted(first), counted(second)) == (2, [0] * 3, [48] * 3)


def test_rows_that_made_the_new_champion_while_they_waited_are_exempt(make: Make) -> None:
    desk = make()
    desk.pass_days(10, 10.5)
    desk.make_version(10.6)
    desk.land(desk.rows(10.5, 12), 12)

    assert counted(desk.check(12)) == [36] * 3
    assert audit(desk.workspace, now=desk.day(12)).as_record()["measured"]["exempt"]["used"] == 252


def test_a_batch_that_a_version_was_not_given_is_not_among_its_rows(make: Make) -> None:
    desk = make(data={"key": ["at"]})
    desk.land(desk.rows(8, 10).assign(at=lambda rows: rows["at"] + pd.Timedelta("5min")), 9.9)  # after the run began
    used = used_by(
        desk.workspace, read_as_of(desk.workspace, as_of=desk.day(10)), load_stored_version(desk.workspace, 1)
    )

    assert used.sum() == 240


def test_of_an_imported_version_the_event_says_what_it_was_made_with(make: Make) -> None:
    desk = make(data={"key": ["at"]})
    with desk.workspace.store.begin() as connection:
        connection.execute(sa.text("DELETE FROM used_rows"))
    late = desk.rows(4, 10).assign(at=lambda rows: rows["at"] + pd.Timedelta("20min"))
    desk.land(late[late["at"] < desk.day(10) - pd.Timedelta("1h")], 11)
    desk.land(desk.rows(10, 12), 12)

    assert counted(desk.check(12)) == [48] * 3


def test_rows_that_a_filter_leaves_out_are_exempt(make: Make) -> None:
    desk = with_params(make(), data={"rows": {"where": [{"column": "level", "at_least": 0}]}})
    rows = desk.rows(10, 14)
    desk.land(rows, 14)
    stay = int((rows["level"] >= 0).sum())
    checked = desk.check(14)
    found = audit(desk.workspace, now=desk.day(14))

    assert counted(checked)[:2] == [stay] * 2
    assert found.as_record()["tested"]["exempt"]["left_out"] >= 96 - stay
    assert found.holds


def test_of_two_checks_at_once_each_row_is_counted_by_one(make: Make) -> None:
    desk = make()
    desk.land(desk.rows(10, 12), 12)
    other = Workspace(WorkspacePaths(desk.workspace.paths.root), desk.workspace.params, Env())
    other.__dict__["registry"] = desk.shelf
    jobs = ((desk.workspace, desk.day(12)), (other, desk.day(13)))
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda job: check(job[0], by="a test", now=job[1]), jobs))

    assert sorted(counted(PrintedCheck(each)) for each in both) == [[0] * 3, [48] * 3]
    assert audit(desk.workspace, now=desk.day(13)).holds


def test_a_check_that_fails_between_its_writes_has_counted_nothing(make: Make) -> None:
    desk = make()
    desk.land(desk.rows(10, 12), 12)
    trap = "CREATE TRIGGER trap BEFORE INSERT ON counted_rows WHEN NEW.kind = 'deposited' BEGIN SELECT %s; END"
    with desk.workspace.store.begin() as connection:
        connection.execute(sa.text(trap % "RAISE(ABORT, 'x')"))
    with pytest.raises(Exception, match="x"):
        desk.check(12)
    noted = desk.workspace.store.all(sa.select(COUNTED_ROWS))
    with desk.workspace.store.begin() as connection:
        connection.execute(sa.text("DROP TRIGGER trap"))

    assert (noted, desk.workspace.store.decisions(desk.workspace.model, source="check")) == ([], [])
    assert counted(desk.check(12.5)) == [48] * 3


# --- the audit ------------------------------------------------------------------------------------


@pytest.fixture
def checked(make: Make) -> Desk:
    desk = make()
    desk.pass_days(10, 12)
    desk.land(desk.rows(12, 12.5), 12.5)
    return desk


def test_what_has_landed_is_tested_waits_or_is_exempt(checked: Desk) -> None:
    found = audit(checked.workspace, now=checked.day(13))

    assert [(each.rows, each.counted, each.waiting, sum(each.exempt.values())) for each in found.balances] == [
        (300, 48, 12, 240)
    ] * 4
    assert found.holds


def test_a_row_that_no_check_counted_is_named(checked: Desk) -> None:
    with checked.workspace.store.begin() as connection:
        connection.execute(sa.delete(COUNTED_ROWS).where(COUNTED_ROWS.c.kind == "tested"))
        connection.execute(sa.text("UPDATE decisions SET text = json_set(text, '$.counted.tested', 0)"))
    empty = audit(checked.workspace, now=checked.day(13))
    checked.check(13)
    checked.pass_days(13, 15)
    with checked.workspace.store.begin() as connection:
        batch = checked.workspace.landing.batches()[1].batch
        connection.execute(
            sa.update(COUNTED_ROWS)
            .where(COUNTED_ROWS.c.kind == "tested", COUNTED_ROWS.c.batch == batch)
            .values(rows=b"\xff\xff\xff\xff\xff\x7f")
        )
    found = audit(checked.workspace, now=checked.day(15))

    assert empty.balances[0].waiting == 60
    assert [(each.kind, each.fault, each.row) for each in found.found] == [("tested", "missing", 47)]
    assert not found.holds


def test_a_row_that_two_checks_counted_is_named(checked: Desk) -> None:
    first = checked.workspace.store.decisions(checked.workspace.model, source="check")[0]
    second = checked.check(13)
    with checked.workspace.store.begin() as connection:
        measured = sa.select(COUNTED_ROWS).where(COUNTED_ROWS.c.kind == "measured")
        (row, *_) = checked.workspace.store.rows(measured, CountedRow)
        twice = replace(row, decision=second.id, rows=b"\x01" + bytes(len(row.rows) - 1))
        connection.execute(sa.insert(COUNTED_ROWS).values(**columns_of(twice)))
    found = audit(checked.workspace, now=checked.day(13))

    assert row.decision == first.id
    assert ("measured", "counted twice", 0) in [(each.kind, each.fault, each.row) for each in found.found]
    assert found.disagree == (second.id,)
    assert not found.holds


def test_a_batch_that_was_counted_and_is_gone_is_named(checked: Desk) -> None:
    gone = checked.workspace.landing.batches()[1]
    gone.path.unlink()

    assert audit(checked.workspace, now=checked.day(13)).lost == (gone.batch,)


def test_rows_that_are_older_than_all_others_do_not_stop_a_check(make: Make) -> None:
    desk = make()
    old = desk.rows(0, 3).assign(at=lambda rows: rows["at"] - pd.Timedelta("50D"))
    desk.land(old.assign(number=old["number"] + 9000), 12)
    first = desk.check(12)
    desk.land(desk.rows(10, 12), 12)
    second = desk.check(12.5)

    assert (counted(first), counted(second)) == ([72, 72, 72], [48] * 3)


def test_a_landing_zone_that_was_landed_anew_is_counted_anew(make: Make) -> None:
    desk = make()
    for path in desk.workspace.landing.root.rglob("*.parquet"):
        path.unlink()
    desk.land(desk.rows(0, 12), 12)

    assert counted(desk.check(12)) == [288] * 3
