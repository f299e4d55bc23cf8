"""A fault of the machine, such as a time-out, ends no run refused: it is tried again, and fails at the last try."""

import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from retrim.adapters.migrations.schema import ENVELOPES, VERSIONS
from retrim.decision.stored_rows import RunRow
from retrim.errors import BadInputError, MachineFaultError, RetrimError, is_machine_fault
from retrim.lineage.workspace import ask_for_run
from retrim.release import release
from retrim.release.approval import approve, end_waiting, waiting
from retrim.release.versions import find_live_version
from retrim.retraining import retrain
from retrim.retraining.recover import recover, stopped_runs
from tests.builders.desk import Desk, Shelf, make_desk

NEW = 3


@pytest.fixture
def two_versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Version 2 is live, 1 was."""
    monkeypatch.setattr(retrain, "keep_card", lambda *_, **__: None)
    for name in ("finish", "end_open", "add_to_note"):
        monkeypatch.setattr(Shelf, name, lambda *_: None, raising=False)
    desk = make_desk(tmp_path / "workspace", changes={"retrain": {"refit_after": False}})
    desk.land(desk.rows(0, 10), 10)
    for day in (10, 10.5):
        desk.make_version(day)
    return desk


@pytest.fixture
def desk(two_versions: Desk) -> Desk:
    """The gate promotes version 3, which waits for the conclusion of its run."""
    desk = two_versions
    desk.make_version(11, promote=False)
    verdict = {"winner": "all", "losses": {"all": 1.5}, "promote": True, "reason": "as the test says", "rows": 48}
    run = claim(desk)
    with desk.workspace.store.begin() as connection:
        connection.execute(sa.update(VERSIONS).where(VERSIONS.c.version == NEW).values(verdict=verdict, run=run.id))
    return desk


def claim(desk: Desk) -> RunRow:
    now = desk.day(12)
    decision = ask_for_run(desk.workspace, as_of=now, by="a test", reason="a test", now=now)
    return retrain.claim_run(desk.workspace, decision, now=now)


def conclude(desk: Desk, run: RunRow) -> None:
    with retrain.marked(desk.workspace, run, now=desk.day(12), from_outside=lambda _: False):
        retrain.conclude_run(desk.workspace, run, NEW, "parent", now=desk.day(12))


def time_out(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> RunRow:
    """The newest run, after its release check was not answered in time."""
    run = desk.workspace.store.runs("generated")[-1]
    with monkeypatch.context() as hurried:
        hurried.setattr(release, "PATIENCE_SECONDS", 1e-3)
        with pytest.raises(MachineFaultError):
            conclude(desk, run)
    return desk.workspace.store.runs("generated")[-1]


@pytest.mark.slow
def test_a_release_check_that_times_out_is_tried_again_and_can_promote(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed_out = time_out(desk, monkeypatch)
    stopped = stopped_runs(desk.workspace)
    waiting = recover(desk.workspace, now=desk.day(12))
    conclude(desk, claim(desk))
    ended, now_live = desk.workspace.store.run(timed_out.id), find_live_version(desk.workspace)

    assert ([run.id for run in stopped], waiting) == ([timed_out.id], [timed_out.decision])
    assert "by the clock" in str(timed_out.detail.why)
    assert ended is not None
    assert now_live is not None
    assert (ended.state, ended.attempt, now_live.version) == ("promoted", 2, NEW)


@pytest.mark.slow
def test_the_last_time_out_ends_the_run_failed_with_an_alert(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    states = []
    for _ in range(desk.workspace.params.retrain.attempts):
        states.append(time_out(desk, monkeypatch).state)
        waiting = recover(desk.workspace, now=desk.day(12))
        if waiting:
            claim(desk)
    told = [row.text for row in desk.workspace.store.alerts("generated") if row.kind == "run failed"]

    assert (states, waiting) == (["crashed", "crashed", "failed"], [])
    assert len(told) == 1
    assert "`retrim retrain --as-of" in told[0]


@pytest.mark.slow
def test_a_failed_run_is_started_again_by_the_command_that_its_alert_names(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(desk.workspace.params.retrain.attempts):
        failed = time_out(desk, monkeypatch)
        again = claim(desk)
    conclude(desk, again)
    now_live = find_live_version(desk.workspace)

    assert (failed.state, again.id) == ("failed", failed.id)
    assert now_live is not None
    assert now_live.version == NEW


@pytest.mark.slow
def test_an_approved_version_waits_on_after_a_time_out_and_the_next_check_promotes_it(
    two_versions: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace, now = two_versions.workspace, two_versions.day(11)
    two_versions.make_version(11, waits=True)
    with workspace.store.begin() as connection:
        connection.execute(sa.delete(ENVELOPES).where(ENVELOPES.c.version == NEW))  # its release checks
    with monkeypatch.context() as hurried:
        hurried.setattr(release, "PATIENCE_SECONDS", 1e-3)
        with pytest.raises(MachineFaultError):
            approve(workspace, NEW, by="a person", reason="good", now=now)
        end_waiting(workspace, now=now)
        waits = [each.version for each in waiting(workspace)]
    end_waiting(workspace, now=now)
    now_live = find_live_version(workspace)

    assert waits == [NEW]
    assert now_live is not None
    assert now_live.version == NEW


def caused(cause: Exception) -> RetrimError:
    error = RetrimError("the store cannot be written")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "is_fault"),
    [
        (TimeoutError("slow"), True),
        (caused(sa.exc.TimeoutError("QueuePool limit")), True),
        (MachineFaultError("a stage hung"), True),
        (caused(ValueError("x")), False),
        (BadInputError("wrong"), False),
    ],
)
def test_a_time_out_is_known_by_what_caused_an_error(error: Exception, is_fault: bool) -> None:  # noqa: FBT001
    assert is_machine_fault(error) is is_fault


def test_a_database_that_stays_locked_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    file = tmp_path / "locked.db"
    first, second = sqlite3.connect(file, isolation_level=None), sqlite3.connect(file, isolation_level=None, timeout=0)
    first.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError) as busy:
        second.execute("BEGIN IMMEDIATE")
    for connection in (first, second):
        connection.close()

    assert is_machine_fault(caused(busy.value))
