"""What waits for a person, and the commands that are named for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from retrim.cli.screens import show_demo
from retrim.reports.demo import Loss
from retrim_flows.demo import Beat
from tests.builders.answers import decision_record
from tests.builders.cured import Cure
from tests.builders.desk import Desk, copy_of, make_desk, with_params
from tests.builders.shipped import drift_tests
from tests.builders.typed import Session
from tests.checking.test_settle import LEVEL, WIDE, beat

pytestmark = pytest.mark.slow  # makes champions with the stages

Sit = Callable[[Desk], Session]
QUIET = {"previous_champions": {"most": 0, "restore": False}, "drift": {"min_rows": 24, "tests": drift_tests()}}
ASKS = {"release": {"approval": {"moves": ["promote"], "expires": "7D"}}}
WAITS = "waits for a person"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Everything is a person's, and a drift is up on day 12."""
    desk = make_desk(
        tmp_path_factory.mktemp("manual") / "workspace",
        changes={
            "triggers": LEVEL | {"rules": ["drift", "manual"]},
            "previous_champions": {"most": 0, "restore": False},
            "drift": {"min_rows": 24, "alarms": None, "tests": WIDE},
        },
    )
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    beat(desk, 12, level=6)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "workspace")


@pytest.fixture(scope="module")
def waits(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 is live, version 2 of day 12 waits for a person until day 19."""
    desk = make_desk(tmp_path_factory.mktemp("waits") / "workspace", changes=QUIET | ASKS)
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    desk.land(desk.rows(10, 12), 12)
    desk.make_version(12, waits=True)
    return desk


@pytest.fixture
def asked(waits: Desk, tmp_path: Path) -> Desk:
    return copy_of(waits, tmp_path / "workspace")


def newest_check(desk: Desk) -> str:
    """All that the newest check said: its reason, what every rule said, and what would have changed it."""
    newest = desk.workspace.store.decisions(desk.workspace.model, source="check")[-1]
    return str(decision_record(desk.workspace, newest.id))


def now(desk: Desk, day: float) -> str:
    return f"--now {desk.day(day).isoformat()}"


@pytest.mark.cures(
    "`retrim retrain --reason ...`, or without a run `retrim policy acknowledge --reason ...`",
    "a person: `retrim retrain --reason ...`; or another rule in its place",
    "waits for a person: retrim retrain, or if no run is needed: retrim policy acknowledge --reason WHY",
)
@pytest.mark.parametrize("way", ["retrain", "settle", "another rule"])
def test_what_is_held_is_answered_by_either_command(desk: Desk, way: str, sit: Sit, cure: Cure) -> None:
    session = sit(desk)
    cure.is_asked(session.says("status", code=0))
    cure.is_asked(newest_check(desk))
    if way == "retrain":
        desk.make_version(12.5)
    elif way == "settle":
        session.says(f"policy acknowledge --reason 'town fair' {now(desk, 12.5)}", code=0)
    else:
        free = with_params(desk, triggers={"rules": ["drift"]})
        beat(free, 14, level=6)
        cure.is_done(newest_check(free))
    cure.is_done(session.says("status", code=0))


@pytest.mark.cures("show it: retrim why {}")
def test_an_answer_is_shown_by_the_command_that_it_names(desk: Desk, sit: Sit, cure: Cure) -> None:
    session = sit(desk)
    said = session.says(f"policy acknowledge --reason 'town fair' {now(desk, 12.5)}", code=0)
    cure.is_asked(said)
    shown = session.says(said.rpartition("retrim ")[2], code=0)

    assert "town fair" in shown
    cure.is_done(shown)


@pytest.mark.cures("the alarm clearing and firing again; `retrim retrain`")
def test_a_settled_alarm_ends_with_a_retraining(desk: Desk, sit: Sit, cure: Cure) -> None:
    sit(desk).says(f"policy acknowledge --reason 'town fair' {now(desk, 12.5)}", code=0)
    beat(desk, 14, level=6)
    cure.is_asked(newest_check(desk))
    desk.make_version(14)
    beat(desk, 16, level=6)
    cure.is_done(newest_check(desk))


@pytest.mark.cures("nothing is on hold: {}; `retrim status` shows when something waits for a person")
def test_where_nothing_is_held_the_status_says_when_something_is(desk: Desk, sit: Sit, cure: Cure) -> None:
    session = sit(desk)
    session.says(f"policy acknowledge --reason 'town fair' {now(desk, 12.5)}", code=0)
    cure.is_asked(session.says(f"policy acknowledge --reason again {now(desk, 12.5)}", code=1))
    assert WAITS not in session.says("status", code=0)
    beat(desk, 14, level=0)
    beat(desk, 16, level=6)
    assert WAITS in session.says("status", code=0)
    cure.is_done(session.says(f"policy acknowledge --reason again {now(desk, 16)}", code=0))


@pytest.mark.cures("no check has run yet, so no alarm can be acknowledged; run one first: retrim check")
def test_after_a_rollback_a_check_makes_it_answerable(tmp_path: Path, sit: Sit, cure: Cure) -> None:
    desk = make_desk(tmp_path / "workspace", changes=QUIET)
    desk.land(desk.rows(0, 10), 10)
    for day in (10, 11):
        desk.make_version(day)
    session = sit(desk)
    session.says("versions rollback --reason complaints", code=0)
    cure.is_asked(session.says("policy acknowledge --reason seen", code=1))
    desk.check(12)
    cure.is_done(session.says("policy acknowledge --reason seen", code=0))


@pytest.mark.cures(
    "version {} waits for approval until {}: retrim versions approve {} --reason ..., or reject",
    "{}; waits until {} for a person: `retrim versions approve {} --reason ...`, "
    "or `retrim versions reject {} --reason ...`",
    "an answer: `retrim versions approve` or `retrim versions reject`; or `retrim retrain`",
)
@pytest.mark.parametrize("answer", ["approve", "reject", "retrain"])
def test_a_version_that_waits_is_answered_by_each_command(asked: Desk, answer: str, sit: Sit, cure: Cure) -> None:
    session = sit(asked)
    asked.land(asked.rows(12, 14), 14)
    asked.check(14)
    cure.is_asked(session.says("status", code=0))
    cure.is_asked(newest_check(asked))
    (alert,) = [
        row.text for row in asked.workspace.store.alerts(asked.workspace.model) if row.kind == "approval needed"
    ]
    cure.is_asked(alert)
    if answer == "retrain":
        asked.make_version(14.5)
        session.says(f"versions approve 2 --reason 'looked at it' {now(asked, 15)}", code=1)  # judged against another
    else:
        session.says(f"versions {answer} 2 --reason 'looked at it' {now(asked, 14.5)}", code=0)
    cure.is_done(session.says("status", code=0))
    asked.land(asked.rows(14, 16), 16)
    asked.check(16)
    cure.is_done(newest_check(asked))


@pytest.mark.cures(
    "version {} was already decided at {}: {}{}. The answer cannot be changed; to train a new version: retrim "
    "retrain --reason WHY",
    "version {} does not wait for approval: {}; see `retrim status`",
)
def test_what_was_answered_is_another_models_and_status_names_what_waits(asked: Desk, sit: Sit, cure: Cure) -> None:
    session = sit(asked)
    cure.is_asked(session.says(f"versions approve 1 --reason 'looked at it' {now(asked, 13)}", code=1))
    assert "approval needed: version 2" in session.says("status", code=0)
    session.says(f"versions reject 2 --reason 'looked at it' {now(asked, 13)}", code=0)
    cure.is_asked(session.says(f"versions approve 2 --reason 'looked at it' {now(asked, 13)}", code=1))
    asked.land(asked.rows(12, 14), 14)
    asked.make_version(14, waits=True)
    cure.is_done(session.says(f"versions approve 3 --reason 'looked at it' {now(asked, 15)}", code=0))


@pytest.mark.cures("Evidence for a line, in var/demo: retrim why DATE")
def test_the_evidence_of_a_line_of_the_demo_is_shown_by_its_date(desk: Desk, sit: Sit, cure: Cure) -> None:
    session = sit(desk)
    checked = desk.check(12)
    loss = Loss(48.0, 48)
    show_demo(desk.workspace, [Beat("2024-01-13", 48, checked.made, None, 1, loss, loss, loss)], as_json=False)
    cure.is_asked(session.capsys.readouterr().out)
    shown = session.says("why 2024-01-13", code=0)
    cure.is_done(shown)

    assert checked.id in shown
