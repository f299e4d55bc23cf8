"""A pause: checks go on and say what they would have decided, and nothing starts or goes live by itself."""

from pathlib import Path
from typing import Any

import pytest

from retrim.checking.probation import carry_out
from retrim.decision.stored_rows import RunDetail
from retrim.errors import BadInputError, RefusedError
from retrim.lineage.workspace import ask_for_run
from retrim.release.pause import pause, pause_now, resume
from retrim.release.release import rollback
from retrim.release.versions import find_live_version
from retrim.retraining.recover import recover
from retrim.retraining.retrain import claim_run
from tests.builders.answers import decision_record, status_record
from tests.builders.desk import START, Desk, make_desk
from tests.builders.shipped import drift_tests

pytestmark = pytest.mark.slow  # makes champions with the stages

CHANGES: dict[str, dict[str, Any]] = {
    "triggers": {"rules": ["drift"], "drift_checks": [1, 1], "cooldown_checks": 0},
    "drift": {
        "min_rows": 24,
        "alarms": None,
        "tests": drift_tests(psi=1.0, ks=0.4, chi2=1.0, psi_categories=1.0, missing_share=0.5),
    },
}


def beat(desk: Desk, day: float, *, level: float = 6) -> Any:
    """Lands two days of rows whose level is moved, and checks."""
    return desk.pass_days(day - 2, day, level=level)


def paused(desk: Desk, day: float) -> None:
    pause(desk.workspace, by="ines", reason="the source is being moved", now=desk.day(day))


def resumed(desk: Desk, day: float) -> None:
    resume(desk.workspace, by="ines", reason="it is back", now=desk.day(day))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Version 1 of day 10; the next check decides to retrain."""
    return make_desk(
        tmp_path / "workspace", drift={"kind": "none", "size": 0.0, "since": START}, changes=CHANGES, version_at=10
    )


def test_a_paused_check_says_what_it_would_have_decided(desk: Desk) -> None:
    paused(desk, 11)
    record = decision_record(desk.workspace, None)
    checked = beat(desk, 12)
    resumed(desk, 12.5)
    after = beat(desk, 14)

    assert (record["source"], record["outcome"], record["by"]) == ("pause", "paused", "ines")
    assert checked.outcome == "none"
    assert checked.reason.startswith(
        "paused by ines since 2024-01-12 00:00: the source is being moved; it would have decided retrain: drift"
    )
    assert (checked.record["decision"]["stopped"], checked.record["decision"]["fired"]) == ("pause", [])
    assert checked.record["paused"]["by"] == "ines"
    assert checked.record["performance"]["measured"]["loss"] > 0
    assert "paused" in {row.kind for row in desk.workspace.store.alerts(desk.workspace.model)}
    assert (after.outcome, after.record["paused"]) == ("retrain", None)


def test_what_was_decided_before_neither_starts_nor_moves(desk: Desk) -> None:
    decided = beat(desk, 12)
    paused(desk, 12)

    assert decided.outcome == "retrain"
    assert recover(desk.workspace, now=desk.day(12)) == []
    for act in (claim_run, carry_out):
        with pytest.raises(RefusedError, match="paused by ines"):
            act(desk.workspace, decided.id, now=desk.day(12))


def test_a_run_that_was_killed_is_not_resumed(desk: Desk) -> None:
    decided = beat(desk, 12)
    claim_run(desk.workspace, decided.id, now=desk.day(12))
    desk.workspace.store.end_run(
        f"run-{decided.id}", state="crashed", ended="2024-01-13", version=None, detail=RunDetail()
    )
    paused(desk, 12)

    assert recover(desk.workspace, now=desk.day(12)) == []
    resumed(desk, 12.5)
    assert recover(desk.workspace, now=desk.day(12.5)) == [decided.id]


def test_a_person_can_ask_for_a_run_and_roll_back(desk: Desk) -> None:
    desk.make_version(10.5)
    paused(desk, 11)
    asked = ask_for_run(desk.workspace, as_of=desk.day(11), by="ines", reason="now", now=desk.day(11))
    run = claim_run(desk.workspace, asked, now=desk.day(11))
    rollback(desk.workspace, to=None, by="ines", reason="worse", now=desk.day(11))

    assert (run.state, find_live_version(desk.workspace).version) == ("running", 1)  # type: ignore[union-attr]


def test_it_is_paused_once_with_a_reason_and_resumed_once(desk: Desk) -> None:
    with pytest.raises(RefusedError, match="nothing is paused"):
        resumed(desk, 11)
    with pytest.raises(BadInputError, match="--reason"):
        pause(desk.workspace, by="ines", reason=" ", now=desk.day(11))
    paused(desk, 11)
    with pytest.raises(RefusedError, match="already paused by ines"):
        paused(desk, 11)
    status = status_record(desk.workspace, now=desk.day(11))["paused"]
    resumed(desk, 11)

    assert status == {"by": "ines", "since": "2024-01-12T00:00:00+00:00", "why": "the source is being moved"}
    assert pause_now(desk.workspace) is None


def test_a_worse_version_is_rolled_back_only_after_the_pause(tmp_path: Path) -> None:
    acting = {**CHANGES, "triggers": {"rules": ["gain"]}, "probation": {"acts": True}}
    desk = make_desk(tmp_path / "workspace", changes=acting, version_at=12)
    desk.land(desk.rows(12, 18).assign(outcome=lambda rows: rows["outcome"] + 6.0), 18)
    desk.make_version(18)
    paused(desk, 18)
    day, checked = 20, beat(desk, 20, level=0)
    while checked.record["probation"]["ended"] is None:
        day += 2
        checked = beat(desk, day, level=0)

    assert checked.outcome == "none"
    assert "it would have decided rollback: worse on probation" in checked.reason
    assert "retrim versions rollback --to 1" in checked.record["decision"]["change"]
    assert find_live_version(desk.workspace).version == 2  # type: ignore[union-attr]

    resumed(desk, day)
    after = beat(desk, day + 2, level=0)
    carry_out(desk.workspace, after.id, now=desk.day(day + 2))

    assert find_live_version(desk.workspace).version == 1  # type: ignore[union-attr]
