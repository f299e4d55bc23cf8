"""After a rollback the check holds what would start by itself; a person or enough rows release it, and all is kept."""

from pathlib import Path

import pytest

from retrim.checking.holds import acknowledge
from retrim.errors import RefusedError
from retrim.lineage.workspace import ask_for_run
from retrim.release.release import rollback
from retrim.retraining.recover import recover
from retrim.retraining.retrain import claim_run
from tests.builders.answers import PrintedCheck, status_record
from tests.builders.desk import Desk, copy_of, make_desk

pytestmark = pytest.mark.slow  # versions are made with the stages
BACK = 12.0  # day of the rollback
NEEDED = 24  # the gate's min_rows: a row an hour


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 2 is live, 1 was; the timetable is always due, so that every check would start a run."""
    desk = make_desk(
        tmp_path_factory.mktemp("desk") / "workspace",
        changes={"triggers": {"rules": ["schedule"], "every": "1h", "cooldown_checks": 0, "loop_checks": 0}},
    )
    desk.land(desk.rows(0, 10), 10)
    for day in (10, 11):
        desk.make_version(day)
    desk.land(desk.rows(10, 12), BACK)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    """The same, rolled back to version 1."""
    desk = copy_of(made, tmp_path / "workspace")
    rollback(desk.workspace, None, by="a test", reason="complaints", now=desk.day(BACK))
    return desk


def held(desk: Desk, day: float) -> bool:
    return bool(status_record(desk.workspace, now=desk.day(day))["held"])


def after(desk: Desk, day: float, hours: int) -> PrintedCheck:
    """A check, with that many rows matured since the rollback."""
    desk.land(desk.rows(BACK, BACK + hours / 24), day)
    return desk.check(day)


def test_without_a_rollback_the_check_starts_a_run(made: Desk, tmp_path: Path) -> None:
    assert copy_of(made, tmp_path / "workspace").check(12.5).outcome == "retrain"


def test_a_check_after_a_rollback_starts_nothing_and_says_why_and_so_does_the_status(desk: Desk) -> None:
    before = held(desk, BACK)
    found = after(desk, 13.5, NEEDED - 2)
    status = status_record(desk.workspace, now=desk.day(13.5))

    assert (before, found.outcome, status["held"], status["rolled_back"]["left"]) == (True, "held", True, 2)
    assert "rolled back" in found.reason
    assert found.record["rolled_back"] == {
        "version": 1,
        "left": 2,
        "at": desk.day(BACK).isoformat(),
        "rows": NEEDED - 2,
        "needed": NEEDED,
        "holds": True,
    }


def test_as_many_rows_as_the_gate_needs_release_it(desk: Desk) -> None:
    found = after(desk, 13.5, NEEDED)

    assert found.outcome == "retrain"
    assert not found.record["rolled_back"]["holds"]
    assert not held(desk, 13.5)


def test_rows_that_had_matured_before_are_no_new_evidence(desk: Desk) -> None:
    assert desk.check(30).outcome == "held"


def test_a_person_who_asks_for_a_run_releases_it(desk: Desk) -> None:
    ask_for_run(desk.workspace, as_of=desk.day(12.25), by="a test", reason="looked at it", now=desk.day(12.25))

    assert not held(desk, 12.25)
    assert desk.check(12.5).outcome == "retrain"


def test_a_person_who_settles_it_after_a_check_releases_it(desk: Desk) -> None:
    with pytest.raises(RefusedError, match=r": retrim check$"):
        acknowledge(desk.workspace, reason="mended at the source", by="ines", now=desk.day(12.2))
    desk.check(12.25)
    acknowledge(desk.workspace, reason="mended at the source", by="ines", now=desk.day(12.3))

    assert not held(desk, 12.3)
    assert desk.check(12.5).record["rolled_back"] is None


def test_a_run_that_a_check_began_before_the_rollback_is_not_taken_up_again(made: Desk, tmp_path: Path) -> None:
    desk = copy_of(made, tmp_path / "workspace")
    decided = desk.check(11.9)
    assert decided.outcome == "retrain"
    run = claim_run(desk.workspace, decided.id, now=desk.day(11.9))
    end = {"ended": "", "version": None, "detail": {}}
    desk.workspace.store.end_run(run.id, state="crashed", **end)
    rollback(desk.workspace, None, by="a test", reason="complaints", now=desk.day(BACK))

    assert recover_quietly(desk) == []
    found = desk.workspace.store.run(run.id)
    assert found is not None
    assert (found.state, "a rollback followed" in found.detail.reason) == ("failed", True)


def recover_quietly(desk: Desk) -> list[str]:
    """What recovery takes up again; this desk has no rooms and no tags to clear."""
    (desk.workspace.paths.runs).mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retrim.adapters.git.clear_tag_locks", lambda root, name: None)
        return recover(desk.workspace, now=desk.day(12.5))
