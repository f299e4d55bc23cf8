"""People are told at real receivers: a mail server, and one that takes what is posted."""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from pydantic import SecretStr

from retrim.adapters.dvc_session import clean_environment
from retrim.alerting import notify
from retrim.alerting.notify import AlertAddress, masked, read_addresses
from retrim.alerting.telling import (
    LEASE,
    Sending,
    ping_watcher,
    send_test,
    tell_people,
    tell_people_quietly,
    unsent_alerts,
)
from retrim.decision.alerts import AlertKind, Message
from retrim.environment import Env
from retrim.errors import BadInputError
from retrim.files import WorkspacePaths
from retrim.lineage.workspace import Workspace, clock, record_alert
from retrim.settings import load_params
from tests.builders.desk import make_desk
from tests.builders.receivers import free_port, mail_server, webhook

ROOT = Path(__file__).parents[2]
MINUTE, DAY = pd.Timedelta("1min"), pd.Timedelta("1D")
AT = pd.Timestamp("2026-03-01 06:00", tz="UTC")


def at(folder: Path, *addresses: str, ping: str | None = None) -> Workspace:
    (folder / "var").mkdir(exist_ok=True, parents=True)
    alerts = SecretStr(" ".join(addresses)) if addresses else None
    env = Env(alerts=alerts, ping=None if ping is None else SecretStr(ping))
    return Workspace(WorkspacePaths(folder), load_params(ROOT / "params.yaml"), env)


def record(workspace: Workspace, about: str, kind: AlertKind = AlertKind.BATCH_QUARANTINED) -> bool:
    return record_alert(workspace, kind, f"{about}: a column is missing", now=AT, about=about)


def outcomes(sendings: Sequence[Sending]) -> list[tuple[str, int, bool]]:
    return [(each.address.partition("-")[0], each.alerts, each.error is None) for each in sendings]


def test_a_mail_says_what_happened_why_and_what_to_do(tmp_path: Path) -> None:
    with mail_server() as (address, box):
        workspace = at(tmp_path, address)
        record(workspace, "815f")
        record(workspace, "run-1", AlertKind.RUN_FAILED)
        sent = tell_people(workspace, now=clock())
        tell_people(workspace, now=clock() + DAY)

    ((subject, text),) = box.mails
    assert outcomes(sent) == [("mailto", 2, True)]
    assert subject.startswith(f"retrim {workspace.model}: ")
    lines = text.splitlines()
    assert "CRITICAL: run failed (run-1), 2026-03-01 06:00 UTC" in lines
    assert "why: 815f: a column is missing" in lines
    to_do = "look at it and at the cure of each fault, then ingest a corrected file"
    assert f"do: {to_do}: `retrim batch show 815f`" in lines


def test_what_a_receiver_missed_reaches_it_once_when_it_is_back(tmp_path: Path) -> None:
    port, now = free_port(), clock()
    with mail_server() as (mail, box):
        workspace = at(tmp_path, mail, f"json://127.0.0.1:{port}/hook")
        record(workspace, "815f")
        first = tell_people(workspace, now=now)
        (lost,) = unsent_alerts(workspace, now=now)
        early = tell_people(workspace, now=now + MINUTE / 2)
        again = tell_people(workspace, now=now + MINUTE)
        with webhook(port) as (_, taken):
            before = tell_people(workspace, now=now + 2 * MINUTE)
            back = tell_people(workspace, now=now + 3 * MINUTE)
            after = tell_people(workspace, now=now + DAY)

    assert outcomes(first) == [("mailto", 1, True), ("json", 1, False)]
    assert (lost.alerts, lost.attempts, lost.next_try) == (1, 1, (now + MINUTE).isoformat())
    assert (outcomes(early), outcomes(again)) == ([], [("json", 1, False)])
    assert (outcomes(before), outcomes(back), outcomes(after)) == ([], [("json", 1, True)], [])
    assert ([each["title"] for each in taken], len(box.mails)) == ([f"retrim {workspace.model}: batch quarantined"], 1)
    assert unsent_alerts(workspace, now=now + DAY) == ()


def test_a_new_alert_takes_along_what_could_not_be_sent(tmp_path: Path) -> None:
    port, now = free_port(), clock()
    workspace = at(tmp_path, f"json://127.0.0.1:{port}/hook")
    record(workspace, "815f")
    tell_people(workspace, now=now)
    record(workspace, "9a01")
    with webhook(port) as (_, taken):
        tell_people(workspace, now=now + MINUTE / 2)

    assert [each["title"] for each in taken] == [f"retrim {workspace.model}: 2 x batch quarantined"]


def test_what_no_one_took_for_days_is_given_up_and_shown(tmp_path: Path) -> None:
    now = clock()
    workspace = at(tmp_path, f"json://127.0.0.1:{free_port()}/hook")
    record(workspace, "815f")
    tell_people(workspace, now=now)
    later = now + 4 * DAY

    assert tell_people(workspace, now=later) == []
    assert [each.next_try for each in unsent_alerts(workspace, now=later)] == [None]


def test_an_overdue_batch_that_came_while_people_were_not_told_is_not_told(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 1), 1)
    with webhook() as (address, taken):
        workspace = at(tmp_path / "workspace", address)
        record_alert(workspace, AlertKind.BATCH_OVERDUE, "a batch has not come", now=desk.day(9))
        desk.land(desk.rows(1, 9), 9.5)
        came = tell_people(workspace, now=clock())
        record_alert(workspace, AlertKind.BATCH_OVERDUE, "the next has not come", now=desk.day(18))
        missing = tell_people(workspace, now=clock())

    assert (outcomes(came), outcomes(missing)) == ([], [("json", 1, True)])
    assert len(taken) == 1


def test_an_address_that_was_corrected_is_no_longer_said_to_fail(tmp_path: Path) -> None:
    now = clock()
    workspace = at(tmp_path, f"json://127.0.0.1:{free_port()}/hook")
    record(workspace, "815f")
    tell_people(workspace, now=now)
    with mail_server() as (address, _):
        corrected = at(tmp_path, address)
        tell_people(corrected, now=now)

    assert unsent_alerts(corrected, now=now) == ()
    assert len(unsent_alerts(at(tmp_path), now=now)) == 1  # as a monitor asks, who has no addresses


def test_a_slow_receiver_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "WAIT_SECONDS", 2.0)
    with webhook(before=lambda: time.sleep(30)) as (address, taken):
        workspace = at(tmp_path, address)
        record(workspace, "815f")
        (sent,) = tell_people(workspace, now=clock())

    assert str(sent.error).endswith(" 2 s")
    assert taken == []


def test_a_receiver_that_refuses_counts_as_one_that_failed(tmp_path: Path) -> None:
    with webhook(status=500) as (address, _):
        workspace = at(tmp_path, address)
        record(workspace, "815f")
        (sent,) = tell_people(workspace, now=clock())

    assert sent.error is not None
    assert "500" in sent.error


TELLING = """
import sys
import threading
from pathlib import Path
from retrim.files import WorkspacePaths
from retrim.alerting.telling import tell_people
from retrim.lineage.workspace import Workspace, clock
from retrim.environment import Env
from retrim.settings import load_params
workspace = Workspace(WorkspacePaths(Path(sys.argv[1])), load_params(Path(sys.argv[2])), Env())
sys.stdin.readline()
print(sum(each.alerts for each in tell_people(workspace, now=clock())))
"""


def test_two_processes_at_once_send_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with webhook(before=lambda: time.sleep(0.5)) as (address, taken):
        workspace = at(tmp_path, address)
        record(workspace, "815f")
        monkeypatch.setenv("RETRIM_ALERTS", address)
        command = [sys.executable, "-c", TELLING, str(tmp_path), str(ROOT / "params.yaml")]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        processes = [subprocess.Popen(command, **pipes) for _ in range(3)]
        said = [process.communicate("go\n", timeout=60)[0].strip() for process in processes]

    assert sorted(said) == ["0", "0", "1"]
    assert len(taken) == 1


def test_what_a_dead_process_had_claimed_is_sent_after_all(tmp_path: Path) -> None:
    def killed(addresses: Sequence[AlertAddress], messages: Sequence[Message]) -> list[str | None]:
        raise KeyboardInterrupt

    now = clock()
    with webhook() as (address, taken):
        workspace = at(tmp_path, address)
        record(workspace, "815f")
        with pytest.raises(KeyboardInterrupt):
            tell_people(workspace, now=now, send=killed)
        assert tell_people(workspace, now=now + LEASE / 2) == []
        after = tell_people(workspace, now=now + 6 * LEASE)

    assert (outcomes(after), len(taken)) == ([("json", 1, True)], 1)


def test_what_lasts_is_recorded_again_and_not_told_again(tmp_path: Path) -> None:
    workspace = at(tmp_path)
    told = [
        record_alert(workspace, AlertKind.SKEW, f"{rows} of 200 predictions differ", now=AT, about="predictions")
        for rows in (5, 6, 6)
    ]

    assert told == [True, False, False]
    assert [row.queued is None for row in workspace.store.alerts(workspace.model)].count(True) == 1


def test_what_was_sent_by_a_clock_ahead_is_sent_again_when_it_lasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = clock()
    ahead = now + 400 * DAY
    with webhook() as (address, taken):
        workspace = at(tmp_path, address)
        monkeypatch.setattr("retrim.lineage.workspace.clock", lambda: ahead)
        record(workspace, "815f")
        tell_people(workspace, now=ahead)
        monkeypatch.undo()
        told = record(workspace, "815f")
        sent = [tell_people(workspace, now=now + minutes * MINUTE) for minutes in (1, 30)]

    assert (told, [outcomes(each) for each in sent]) == (True, [[("json", 1, True)], []])
    assert len(taken) == 2


def test_nobody_is_told_where_no_address_is_set(tmp_path: Path) -> None:
    workspace = at(tmp_path)
    record(workspace, "815f")

    assert tell_people(workspace, now=clock()) == []
    assert not (tmp_path / "var" / "keys").exists()
    with pytest.raises(BadInputError, match="RETRIM_ALERTS"):
        send_test(workspace, now=clock())


def test_a_test_message_says_which_address_failed_and_why(tmp_path: Path) -> None:
    with mail_server() as (mail, box):
        workspace = at(tmp_path, mail, f"json://127.0.0.1:{free_port()}/hook", "nothing://x")
        sent = send_test(workspace, now=clock())

    assert outcomes(sent) == [("mailto", 0, True), ("json", 0, False), ("nothing", 0, False)]
    assert [subject for subject, _ in box.mails] == [f"retrim {workspace.model}: test"]
    assert "onnection error" in str(sent[1].error)
    assert "apprise does not accept the address" in str(sent[2].error)


SECRETS = ("s3cretUser", "pa55w0rd-Xq", "t0kenInPath", "qu3ryValue", "pingS3cret")


def test_no_secret_of_an_address_is_written_anywhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    caplog.set_level(logging.DEBUG)
    workspace = at(
        tmp_path,
        f"json://s3cretUser:pa55w0rd-Xq@127.0.0.1:{port}/t0kenInPath?+X=qu3ryValue",
        f"mailto://s3cretUser:pa55w0rd-Xq@127.0.0.1:{port}?from=retrim@example.org&to=qu3ryValue@example.org",
        "pa55w0rd-Xq",
        "slack://t0kenInPath",
        "json://s3cretUser.invalid/x",
        ping=f"http://s3cretUser:pa55w0rd-Xq@127.0.0.1:{port}/pingS3cret",
    )
    record(workspace, "815f")
    seen = [str(tell_people(workspace, now=clock())), str(unsent_alerts(workspace, now=clock()))]
    seen += [str(send_test(workspace, now=clock())), str(ping_watcher(workspace)), repr(workspace)]
    seen += [caplog.text, *capfd.readouterr()]
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]

    assert len(workspace.store.deliveries(workspace.model)) == 5
    assert [secret for secret in SECRETS if any(secret.lower() in text.lower() for text in seen)] == []
    assert [secret for secret in SECRETS if any(secret.encode() in content for content in files)] == []


def test_a_secret_is_masked_however_it_is_quoted() -> None:
    said = "could not log in as me with '{}' at host"

    assert masked(said.format("a b/c"), "mailto://me:a%20b%2Fc@host.example.org") == said.format("***")


def test_addresses_stand_in_a_file_outside_git(tmp_path: Path) -> None:
    file = tmp_path / "addresses"
    file.write_bytes(b"\xef\xbb\xbf# people\r\njson://one\n\njson://two\njson://one\n")
    root = tmp_path / "workspace"
    (root / "var").mkdir(parents=True)
    found = read_addresses("json://zero json://one", file, root=root, var=root / "var")

    assert [each.text for each in found] == ["json://zero", "json://one", "json://two"]
    assert "one" not in repr(found)


@pytest.mark.parametrize("name", ["workspace/addresses", "none"])
def test_a_file_that_git_may_take_or_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    root = tmp_path / "workspace"
    root.mkdir()
    (root / "addresses").write_text("json://x", encoding="utf-8")

    with pytest.raises(BadInputError, match="RETRIM_ALERTS_FILE"):
        read_addresses(None, tmp_path / name, root=root, var=root / "var")


def test_a_wrong_file_of_addresses_stops_nothing_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    workspace = replace(at(tmp_path), env=Env(alerts_file=tmp_path / "none"))
    record(workspace, "815f")
    tell_people_quietly(workspace, now=clock())

    assert "RETRIM_ALERTS_FILE" in caplog.text


def test_a_watcher_is_pinged_and_one_that_is_away_is_only_noted(tmp_path: Path) -> None:
    with webhook() as (address, taken):
        url = address.replace("json://", "http://")
        assert ping_watcher(at(tmp_path, ping=url)) is None
    assert taken == [{"path": "/hook"}]
    assert "refused" in str(ping_watcher(at(tmp_path, ping=url)))
    assert SECRETS[4] not in str(ping_watcher(at(tmp_path, ping=f"https://me:{SECRETS[4]}@watcher.example/x")))
    assert "http://" in str(ping_watcher(at(tmp_path, ping="file:///etc/passwd")))
    assert ping_watcher(at(tmp_path)) is None


def test_a_watcher_that_answers_no_http_is_a_failure_and_no_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"\0 nonsense\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        said = ping_watcher(at(tmp_path, ping=f"http://127.0.0.1:{port}/{SECRETS[4]}"))
        thread.join()

    assert said is not None
    assert SECRETS[4] not in said


@pytest.mark.parametrize(
    "name", ["ALERTS", "STORE_URL", "PREDICTIONS_TABLE", "MLFLOW_URL", "PING", "BACKUP", "LANDING"]
)
@pytest.mark.parametrize("suffix", ["", "_FILE"])
def test_no_stage_sees_an_address_that_may_hold_a_secret(
    name: str, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"RETRIM_{name}{suffix}", "s3cret")

    assert "s3cret" not in clean_environment({}, Path(sys.executable)).values()
