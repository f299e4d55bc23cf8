"""Alerts by command, and the commands that alerts name: each is typed where its alert comes up."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from retrim.decision.alerts import SHOWN, Alert, AlertKind, compose_message, what_to_do
from retrim.lineage.workspace import Workspace, clock, open_workspace, record_alert
from retrim.reports.health import find_health
from tests.builders.cured import Cure
from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.receivers import free_port, mail_server, webhook
from tests.builders.typed import Session

pytestmark = pytest.mark.slow  # commands start processes that send

Sit = Callable[[Desk], Session]


def record(session: Session, about: str = "815f") -> Workspace:
    workspace = open_workspace(session.folder)
    record_alert(workspace, AlertKind.BATCH_QUARANTINED, f"{about}: no column", now=clock(), about=about)
    return workspace


def test_a_command_tells_people_at_its_end(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    record(session)
    with mail_server() as (address, box):
        monkeypatch.setenv("RETRIM_ALERTS", address)
        session.says("versions", code=0)
    listed = json.loads(session.says("alerts --json", code=0))["alerts"]

    assert [subject for subject, _ in box.mails] == ["retrim generated: batch quarantined"]
    assert [(each["kind"], each["severity"], len(each["sent_to"])) for each in listed] == [
        ("batch quarantined", "warning", 1)
    ]


def test_a_receiver_that_is_away_changes_no_answer_and_shows(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = session.type("versions")
    record(session)
    monkeypatch.setenv("RETRIM_ALERTS", f"json://127.0.0.1:{free_port()}/s3cret")
    code, said = session.type("versions")
    status = session.says("status", code=0)

    assert (code, said.startswith(plain[1])) == (plain[0], True)
    assert "to json-" in status
    assert "s3cret" not in said + status


def test_a_test_message_names_each_address_and_the_code_says_whether_one_failed(
    session: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert "set RETRIM_ALERTS" in session.says("alerts test", code=2)
    with webhook() as (address, taken):
        file = tmp_path / "addresses"
        file.write_text(address, encoding="utf-8")
        monkeypatch.setenv("RETRIM_ALERTS_FILE", str(file))
        session.says("alerts test", code=0)
        monkeypatch.setenv("RETRIM_ALERTS", f"{address} json://127.0.0.1:{free_port()}/s3cret")
        bad = session.says("alerts test", code=1)

    assert (bad.count(": sent"), bad.count(": failed: ")) == (1, 1)
    assert [each["title"] for each in taken] == ["retrim generated: test"] * 2


def test_what_waits_is_sent_by_command(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    record(session)
    with webhook() as (address, taken):
        monkeypatch.setenv("RETRIM_ALERTS", address)
        first, second = (session.says("alerts send", code=0) for _ in range(2))

    assert (first.endswith(": sent"), second, len(taken)) == (True, "no alert is due", 1)


@pytest.mark.cures("and {} more: `retrim alerts` lists them")
def test_what_a_message_leaves_out_is_listed(session: Session, cure: Cure) -> None:
    names = [f"batch{number}" for number in range(SHOWN + 5)]
    for name in names:
        workspace = record(session, name)
    alerts = [
        Alert(row.id, AlertKind(row.kind), row.about, row.text, pd.Timestamp(row.at))
        for row in workspace.store.alerts(workspace.model)
    ]
    cure.is_asked(compose_message("generated", alerts).body)
    listed = session.says("alerts --last 99", code=0)

    assert [name for name in names if name not in listed] == []
    cure.is_done(listed)


def test_the_line_for_nagios_says_what_to_type(session: Session) -> None:
    line = session.says("status --check", code=1)
    asked = json.loads(session.says("status --check --json", code=1))

    assert line == f"WARNING generated: {asked['said'][0]}"
    assert (asked["level"], asked["said"]) == ("warning", ["no version is live: retrim retrain"])


def test_what_cannot_be_told_is_unknown_for_nagios(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRIM_STORE_URL", "nothing://user:s3cret@host")
    line = session.says("status --check", code=3)

    assert line.startswith("UNKNOWN: ")
    assert "s3cret" not in line


def told(session: Session) -> str:
    """What the newest alert says to do, as a message has it."""
    return str(json.loads(session.says("alerts --json", code=0))["alerts"][-1]["to_do"])


def commands(to_do: str) -> list[str]:
    return [part.removeprefix("retrim ").replace("WHY", "'a test'") for part in to_do.split("`")[1::2]]


@pytest.mark.parametrize("which", [0, 1])
def test_a_quarantined_batch_is_shown_and_released_by_what_its_alert_says(session: Session, which: int) -> None:
    session.says("ingest heavy.csv", code=2)
    line = session.says("status --check", code=1)
    command = commands(told(session))[which]
    said = session.says(command, code=0)

    assert f"retrim batch show {session.held}" in line
    assert session.held in said
    assert ("in quarantine" in session.says("status --check", code=1)) is (which == 0)


@pytest.fixture(scope="module")
def waits(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Version 1 is live, version 2 waits for a person."""
    asks = {"release": {"approval": {"moves": ["promote"], "expires": "7D"}}}
    desk = make_desk(tmp_path_factory.mktemp("waits") / "workspace", changes=asks)
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    desk.land(desk.rows(10, 12), 12)
    desk.make_version(12, waits=True)
    return desk


@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_a_version_that_waits_is_answered_by_what_its_alert_says(
    waits: Desk, answer: str, tmp_path: Path, sit: Sit
) -> None:
    desk = copy_of(waits, tmp_path / "workspace")
    session = sit(desk)
    to_do = commands(told(session))
    health = find_health(desk.workspace, now=desk.day(12)).line
    session.says(f"{to_do[['approve', 'reject'].index(answer)]} --now {desk.day(12.5).isoformat()}", code=0)

    assert "retrim versions approve 2 --reason WHY" in health
    assert "waits" not in find_health(desk.workspace, now=desk.day(12.6)).line
    kinds = [row.kind for row in desk.workspace.store.alerts("generated")]
    assert kinds == ["approval needed", *(["promoted"] if answer == "approve" else [])]


def test_a_rollback_is_told_and_its_version_shown_by_what_the_alert_says(waits: Desk, tmp_path: Path, sit: Sit) -> None:
    desk = copy_of(waits, tmp_path / "workspace")
    desk.land(desk.rows(12, 14), 14)
    desk.make_version(14)
    session = sit(desk)
    restore = what_to_do(AlertKind.RESTORE_NEEDED, "1")
    session.says(commands(restore)[0], code=0)
    newest = desk.workspace.store.alerts("generated")[-1]

    assert (newest.kind, newest.about) == ("rolled back", "1")
    for command in ("why", "status"):
        session.says(command)
    session.says(commands(what_to_do(AlertKind.RESTORED, "1"))[0], code=0)
