"""How healthy a workspace is: the exit code of a Nagios plug-in, and one line."""

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pydantic import SecretStr

from retrim.adapters.database import iso
from retrim.alerting.telling import tell_people
from retrim.checking.check import check
from retrim.checking.due import begin_due_times, mark_due_time
from retrim.decision.alerts import AlertKind
from retrim.decision.check_record import Performance
from retrim.decision.check_verdict import SuspectBatch
from retrim.decision.loss_comparison import ExpectedLoss, LossComparison
from retrim.decision.model_health import SUSPICIOUS_BATCH
from retrim.decision.stored_rows import RunDetail, as_text
from retrim.environment import Env
from retrim.lineage.workspace import clock, record_alert
from retrim.release.acknowledged import acknowledge_kind
from retrim.reports.health import HealthLevel, _place, find_health
from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.receivers import free_port

DAY = pd.Timedelta("1D")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return make_desk(
        tmp_path_factory.mktemp("health") / "workspace", changes={"schedule": {"check": "1D"}}, version_at=20
    )


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "workspace")


def health(desk: Desk, day: float = 20.1) -> tuple[HealthLevel, str]:
    found = find_health(desk.workspace, now=desk.day(day))
    return found.level, found.line


def test_a_live_version_and_nothing_else_is_ok(desk: Desk) -> None:
    assert health(desk) == (HealthLevel.OK, "OK generated: version 1 is live, no check yet")


def test_a_batch_that_a_check_named_stands_until_it_is_answered(desk: Desk) -> None:
    desk.land(desk.rows(20, 22), at=22)
    made = check(desk.workspace, by="a test", now=desk.day(22))
    (batch,) = [file.batch for file in desk.workspace.landing.standing() if file.arrived == desk.day(22)]
    high = ExpectedLoss(loss=1.0, judged=1.0, harder=1.0, low=0.5, high=1.5)
    named = replace(
        made.record,
        performance=Performance(
            comparison=LossComparison(rows=48, loss=9.0, estimated=False, expected=high, naive={}),
            suspects=(SuspectBatch(batch, 48, "km: as if in another unit"),),
        ),
        verdict=None,
        as_of=desk.day(22.1),
    )
    row = desk.workspace.store.decision(made.id)
    assert row is not None
    later = replace(
        row, id="named", sequence=None, as_of=iso(desk.day(22.1)), at=iso(desk.day(22.1)), text=as_text(named)
    )
    assert desk.workspace.store.add_decision(later)
    before, after = (find_health(desk.workspace, now=desk.day(day)) for day in (22.05, 22.2))
    acknowledge_kind(
        desk.workspace, SUSPICIOUS_BATCH, until=desk.day(22.4), by="a test", reason="it is right", now=desk.day(22.3)
    )
    answered = find_health(desk.workspace, now=desk.day(22.5))
    among_others = _place(desk.workspace, desk.day(22.2)).faults

    assert any(fault.startswith(f"WARNING: batch {batch} is suspicious") for fault in among_others)
    assert not any(batch in fault for fault in _place(desk.workspace, desk.day(22.5)).faults)
    assert [SUSPICIOUS_BATCH in {each.kind for each in found.health} for found in (before, after, answered)] == [
        False,
        True,
        False,
    ]


def test_a_workspace_without_a_version_is_a_warning(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")

    assert health(desk) == (HealthLevel.WARNING, "WARNING generated: no version is live: retrim retrain")


def test_a_schedule_that_is_dead_is_critical_until_a_check_is_made(desk: Desk) -> None:
    begin_due_times(desk.workspace, "check", now=desk.day(20))
    levels = [health(desk, day)[0] for day in (20.5, 21.02, 21.1)]
    line = health(desk, 21.1)[1]
    mark_due_time(desk.workspace, "check", desk.day(21))

    assert levels == [HealthLevel.OK, HealthLevel.OK, HealthLevel.CRITICAL]
    assert line.startswith("CRITICAL generated: the check of 2024-01-22 00:00 was not made: no schedule runs here: ")
    assert "retrim up --only schedule" in line
    assert health(desk, 21.1)[0] is HealthLevel.OK


def test_checks_by_hand_stand_for_those_of_the_schedule(desk: Desk) -> None:
    begin_due_times(desk.workspace, "check", now=desk.day(20))
    desk.check(21)

    assert "was not made" not in health(desk, 21.1)[1]


def test_a_failed_run_is_critical_and_comes_first(desk: Desk) -> None:
    late, why = desk.day(40), "the disk is full"
    desk.workspace.store.end_run(
        desk.workspace.store.runs("generated")[-1].id,
        state="failed",
        ended=iso(late),
        version=None,
        detail=RunDetail(reason=why),
    )
    level, line = health(desk, 40)

    assert level is HealthLevel.CRITICAL
    assert f"failed: {why}" in line.partition(";")[0]
    assert re.search(r"\bdue on 2024-\d\d-\d\d", line)


def test_a_version_that_waits_is_a_warning_with_the_command_that_answers(desk: Desk) -> None:
    desk.make_version(20.1, waits=True)

    assert health(desk) == (
        HealthLevel.WARNING,
        "WARNING generated: version 2 waits for approval: retrim versions approve 2 --reason WHY",
    )


def test_alerts_that_nobody_took_are_a_warning(desk: Desk) -> None:
    address = SecretStr(f"json://127.0.0.1:{free_port()}/hook")
    workspace = replace(desk.workspace, env=Env(alerts=address))
    record_alert(workspace, AlertKind.RUN_FAILED, "a test", now=desk.day(20))
    tell_people(workspace, now=clock())
    found = find_health(workspace, now=clock())

    assert any("to json-" in said for said in found.said)
