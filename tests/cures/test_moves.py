"""Moves of the champion: what refuses or holds one, and the commands that are named for it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from retrim.errors import RefusedError
from retrim.release.versions import find_live_version
from tests.builders.cured import Cure
from tests.builders.desk import START, Desk, copy_of, make_desk, with_params
from tests.builders.proved import move
from tests.builders.shipped import drift_tests
from tests.builders.typed import Session
from tests.checking.test_on_probation import begin, until_it_ends

pytestmark = pytest.mark.slow  # makes champions with the stages

Sit = Callable[[Desk], Session]
DEAR = {"gain": {"rows_per_check": 48, "cost": 1e9}}
CALM = {"drift": {"min_rows": 24, "tests": drift_tests()}, "probation": {"checks": 0}}
SETTINGS = {
    "manual": {"triggers": {"rules": ["gain", "manual"]}},
    "approval": {"release": {"approval": {"moves": ["restore"], "expires": "7D"}}},
}
"""With either the way back is a person's."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 was live, 2 is; version 3 was refused by the gate."""
    desk = make_desk(tmp_path_factory.mktemp("moves") / "workspace")
    desk.land(desk.rows(0, 10), 10)
    for day, promote in ((10, True), (11, True), (12, False)):
        desk.make_version(day, promote=promote)
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "workspace")


def reason(desk: Desk) -> str:
    return desk.workspace.store.decisions(desk.workspace.model, source="check")[-1].reason


def rolled_back_as_it_says(session: Session, said: str) -> str:
    """What is printed after the command in a text was typed."""
    command = said.rpartition("`retrim ")[2].partition("`")[0].replace("...", "'as it says'")
    return session.says(command, code=0)


@pytest.mark.cures(
    "version {} was never live: the gate, a release check or an approval stopped it. Choose a version that was "
    "live: {}. To train a new version: retrim retrain --reason WHY"
)
def test_a_retraining_has_another_look_at_what_the_gate_refused(desk: Desk, sit: Sit, cure: Cure) -> None:
    session = sit(desk)
    cure.is_asked(session.says("versions rollback --to 3 --reason 'a back door'", code=1))
    desk.make_version(13)
    cure.is_done(session.says("status", code=0))
    assert find_live_version(desk.workspace).version == 4  # type: ignore[union-attr]


@pytest.mark.cures("a different version of {} went live in the meantime; see `retrim status`")
def test_status_shows_what_went_live_in_the_meantime(desk: Desk, sit: Sit, cure: Cure) -> None:
    row = move("generated", 1, at=desk.day(13).isoformat(), action="rollback")
    with pytest.raises(RefusedError) as refused:
        desk.workspace.store.add_release(row, expected=1, keys=desk.workspace.keys)
    cure.is_asked(str(refused.value))
    shown = sit(desk).says("status", code=0)
    cure.is_done(shown)

    assert "live version 2" in shown
    desk.workspace.store.add_release(row, expected=2, keys=desk.workspace.keys)


@pytest.mark.cures(
    "the release log of {} was altered: it has {} rows, and its signed head does not match them; "
    "run `retrim versions verify-log` to see where"
)
def test_log_verify_says_more_of_a_log_that_was_cut(desk: Desk, sit: Sit, cure: Cure) -> None:
    with desk.workspace.store.begin() as connection:
        connection.execute(sa.text("DELETE FROM releases WHERE sequence = 2"))
    row = move("generated", 2, at=desk.day(13).isoformat())
    with pytest.raises(RefusedError) as refused:
        desk.workspace.store.add_release(row, expected=1, keys=desk.workspace.keys)
    cure.is_asked(str(refused.value))
    said = sit(desk).says("versions verify-log", code=1)
    cure.is_done(said)

    assert "the release log of generated was altered: " in said
    assert "restore the store" in said


@pytest.fixture(scope="module")
def returned(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Ten days of a new concept, a version made of them, and the old concept again, in which version 1 leads."""
    drift = {"kind": "concept", "size": 6.0, "since": START.replace(day=11)}
    desk = make_desk(tmp_path_factory.mktemp("returned") / "workspace", drift=drift, changes=DEAR | CALM)
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    desk.land(desk.rows(10, 20), 20)
    desk.make_version(20)
    desk.stream["size"] = 0.0
    for day in (22, 24):
        desk.land(desk.rows(day - 2, day), day)
        desk.check(day)
    return desk


@pytest.mark.cures(
    "{}; but manual is set: `retrim versions rollback --to {} --reason ...`",
    "{}; but release.approval asks a person: `retrim versions rollback --to {} --reason ...`",
)
def test_a_former_champion_that_is_a_persons_to_bring_back_goes_live_as_it_says(
    returned: Desk, tmp_path: Path, sit: Sit, cure: Cure
) -> None:
    for name, setting in SETTINGS.items():
        desk = with_params(copy_of(returned, tmp_path / name), **setting)
        desk.land(desk.rows(24, 26), 26)
        held = desk.check(26).reason
        cure.is_asked(held)
        cure.is_done(rolled_back_as_it_says(sit(desk), held))
        assert find_live_version(desk.workspace).version == 1  # type: ignore[union-attr]


@pytest.mark.cures("worse on probation: {}; but manual is set: `retrim versions rollback --to {} --reason ...`")
def test_what_is_worse_on_probation_is_rolled_back_by_hand(tmp_path: Path, sit: Sit, cure: Cure) -> None:
    desk = begin(tmp_path, odd=6.0, triggers={"rules": ["gain", "manual"]})
    until_it_ends(desk)
    cure.is_asked(reason(desk))
    cure.is_done(rolled_back_as_it_says(sit(desk), reason(desk)))
    assert find_live_version(desk.workspace).version == 1  # type: ignore[union-attr]
