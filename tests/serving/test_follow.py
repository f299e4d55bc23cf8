"""A server follows what is live, keeps what it answers, and goes on where something fails."""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from http import HTTPStatus
from http.client import HTTPException
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
import sqlalchemy as sa

from retrim.adapters.mlflow_server import HOST
from retrim.adapters.store import Store
from retrim.errors import RetrimError
from retrim.lineage.prediction_log import PredictionLog
from retrim.release.canary import start_canary
from retrim.release.release import rollback
from retrim.serving import request_log, served
from retrim.serving.models import Follower, while_as_it_is
from retrim.serving.request_log import RequestLog, read_lines
from tests.builders.desk import Desk
from tests.builders.http_client import ROW, Client, log_of, running, served_version, serving_of
from tests.builders.receivers import free_port
from tests.builders.served import SECONDS

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def follower_of(desk: Desk, serving: Any, day: float = 15) -> Follower:
    return Follower(desk.workspace, lambda: desk.workspace, serving, lambda: desk.day(day))


def move_back(desk: Desk) -> None:
    rollback(desk.workspace, 1, by="a test", reason="a test", now=desk.day(15))


def write_long_ago(desk: Desk) -> None:
    os.utime(str(sa.engine.make_url(desk.workspace.store.place).database), (0, 0))


def begin_canary(desk: Desk) -> None:
    start_canary(desk.workspace, 2, shares=[0.5], by="a test", reason="a test", now=desk.day(15))


def test_a_new_champion_is_swapped_in_without_a_failed_request(desk: Desk) -> None:
    codes: list[int] = []
    versions: list[int] = []
    over = threading.Event()
    with running(serving_of(desk)) as client:
        follower = follower_of(desk, client.serving)

        def ask() -> None:
            while not over.is_set():
                status, answer = client.json("/predict", ROW)
                codes.append(status)
                versions.append(answer["version"])

        asking = threading.Thread(target=ask)
        asking.start()
        until = time.monotonic() + 60
        while len(codes) < 5 and time.monotonic() < until:
            time.sleep(0.01)
        move_back(desk)
        follower.look()
        seen = len(codes)
        while len(codes) < seen + 5 and time.monotonic() < until:
            time.sleep(0.01)
        over.set()
        asking.join()

    assert set(codes) == {HTTPStatus.OK}
    assert versions == sorted(versions, reverse=True)
    assert (versions[0], versions[-1]) == (2, 1)


def test_a_follower_looks_only_where_something_was_written(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    look = Follower.look
    monkeypatch.setattr(Follower, "look", lambda follower: looked.append(0) or look(follower))
    with running(serving_of(desk)) as client:
        follower = follower_of(desk, client.serving)
        write_long_ago(desk)
        seen = []
        for happens in (None, None, move_back, write_long_ago, None, begin_canary):
            if happens is not None:
                happens(desk)
            before = len(looked)
            follower.look_once()
            seen.append((len(looked) > before, client.serving.served.version))

    assert seen == [(True, 2), (False, 2), (True, 1), (True, 1), (False, 1), (True, 1)]


def test_a_store_that_cannot_be_asked_is_told_of_once_and_asked_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(store: Store, model: str) -> None:
        raise RetrimError("the store is away")

    served = serving_of(desk)
    follower = follower_of(desk, served)
    move_back(desk)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "release_head", away)
        for _ in range(3):
            follower.look_once()
    before = served.served.version
    follower.look_once()

    assert (before, served.served.version) == (2, 1)
    assert caplog.text.count("the store is away") == 1


def test_a_release_after_the_live_version_was_loaded_is_seen_by_the_first_look(desk: Desk) -> None:
    served = serving_of(desk)
    move_back(desk)
    follower_of(desk, served).look()

    assert served.served.version == 1


def test_a_champion_that_fails_stays_out_with_an_alert_and_is_tried_again(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(serving_of(desk)) as client:
        follower = follower_of(desk, client.serving)
        move_back(desk)
        with monkeypatch.context() as patched:
            patched.setattr(served, "TOLERANCE", -1.0)  # no answer is near enough
            follower.look()
        answer = client.json("/predict", ROW)[1]
        ready = client.json("/ready")[1]
        alerts = [
            row.text for row in desk.workspace.store.alerts(desk.workspace.model) if row.about == "serve, version 1"
        ]
        follower.look()
        still = client.json("/predict", ROW)[1]["version"]
        monkeypatch.setattr(follower, "_now", lambda: desk.day(16))
        follower.look()
        after = client.json("/predict", ROW)[1]

    assert (answer["version"], still, after["version"]) == (2, 2, 1)
    assert answer["degraded"] == ready["degraded"]
    assert answer["degraded"].startswith("version 1 ")
    assert "degraded" not in after
    assert len(alerts) == 1
    assert "-1e+00" in alerts[0]


class Broken:
    """A model that fails."""

    def predict(self, matrix: object) -> None:
        raise ZeroDivisionError


def broken(desk: Desk) -> Any:
    version = served_version(desk, 1)
    predictor = replace(version.predictor)
    predictor.__dict__["model"] = Broken()
    return replace(version, predictor=predictor)


def test_where_the_live_version_cannot_answer_the_one_before_does_and_says_so(desk: Desk) -> None:
    kept: list[Any] = []
    with running(serving_of(desk, keep=kept.append)) as client:
        client.serving.swap(broken(desk))
        status, one = client.json("/predict", ROW)
        many = client.json("/predict", [ROW, ROW])[1]
        client.serving.before = None
        alone = client.json("/predict", ROW)[0]

    assert (status, alone) == (HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE)
    assert (one["version"], one["degraded"]) == (2, "version 1 cannot answer") == (many["version"], many["degraded"])
    assert [line[0] for line in kept] == [2, 2]


def test_a_version_that_was_rolled_back_never_steps_in(desk: Desk) -> None:
    with running(serving_of(desk)) as client:
        follower = follower_of(desk, client.serving)
        live = client.json("/predict", ROW)[1]["version"]
        move_back(desk)
        follower.look()
        client.serving.served = broken(desk)
        code = client.json("/predict", ROW)[0]

    assert (live, code) == (2, HTTPStatus.SERVICE_UNAVAILABLE)


def test_after_a_rollback_the_one_before_steps_in_if_it_was_not_rolled_back_too(desk: Desk) -> None:
    serving = serving_of(desk)
    first, second = serving.served, replace(serving.served, version=3)
    serving.swap(second)
    serving.swap(replace(second, version=4))
    serving.swap(replace(second, version=5), rolled_back={4})
    assert serving.before is second
    serving.swap(first, rolled_back={3, 4, 5})

    assert serving.before is None


def test_what_is_answered_is_in_the_data_set_of_predictions(desk: Desk) -> None:
    log = log_of(desk)
    rows = [ROW | {"number": number, "level": number / 7} for number in range(900, 903)]
    with running(serving_of(desk, keep=log.add)) as client:
        one = client.json("/predict", rows[0])[1]
        many = client.json("/predict", rows)[1]
        bare = client.json("/predict", {name: value for name, value in ROW.items() if name != "number"})[1]
    log.close()
    found = desk.workspace.predictions.of_role("request").since(None, most=99).set_index("key")

    assert sorted(found.index) == sorted(["900", "900", "901", "902", f"{bare['request_id']}:0"])
    assert set(found.loc["900", "request_id"]) == {one["request_id"], many["request_id"]}
    assert found["features"].nunique() == 4  # however a row was sent
    assert found.loc["902", "request_id"] == many["request_id"]
    assert found.loc["902", "prediction"] == many["predictions"][2]["prediction"]
    assert found.loc["902", "lower"] == many["predictions"][2]["lower"]
    assert found.loc["902", "event_time"] == pd.Timestamp("2024-01-16", tz="UTC")
    assert set(found["batch"]) == {"request"}
    assert list(desk.workspace.paths.requests.iterdir()) == []
    assert desk.workspace.predictions.versions() == []


def test_what_another_server_writes_is_left_to_it_and_what_one_left_is_taken(desk: Desk) -> None:
    folder, predictions = desk.workspace.paths.requests, desk.workspace.predictions
    first, second = (RequestLog(folder, predictions, is_durable=True) for _ in range(2))
    line = [("a", None, 1.0, None, None, None, None, None, "f")]
    first.add((1, "r", 0, line, "request", None))
    second.store()
    before = predictions.of_role("request").all_keys(1)
    os.close(first._file)  # as the system does when a process dies
    second.close()

    assert (before, predictions.of_role("request").all_keys(1)) == ([], ["a"])


LINE = [("a", None, 1.0, None, None, None, None, None, "f")]


def test_an_answer_after_the_end_is_refused_and_written_nowhere(desk: Desk, tmp_path: Path) -> None:
    log = log_of(desk)
    log.close()
    with (tmp_path / "another").open("wb"), pytest.raises(OSError, match="descriptor"):
        log.add((1, "r", 0, LINE, "request", None))

    assert (tmp_path / "another").stat().st_size == 0


def test_a_line_that_a_full_disk_cut_does_not_spoil_the_next(desk: Desk) -> None:
    folder, predictions = desk.workspace.paths.requests, desk.workspace.predictions
    log = RequestLog(folder, predictions, is_durable=False)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))  # bytes that a file may have
    try:
        with pytest.raises(OSError, match="full"):
            log.add((1, "r", 0, [("a", None, 1.0, None, None, None, None, None, "f")], "request", None))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    log.add((1, "s", 0, [("b", None, 1.0, None, None, None, None, None, "f")], "request", None))
    log.close()

    assert predictions.of_role("request").all_keys(1) == ["b"]


def test_a_line_that_was_cut_off_is_left_out() -> None:
    lines = b'[1,"r",0,[["a",null,1.0,null,null,null,null,null,"f"]],"request",null]\n[1,"s",0,[["b",null,1.0,null,nu'

    assert read_lines(BytesIO(lines))[1, "request"]["key"].to_pylist() == ["a"]


@pytest.mark.parametrize(
    "torn",
    [
        b"[]",
        b"7",
        b"{",
        b'[1,"r",0,[["b"]],"request",null]',
        b'[1,"r",0,7,"request",null]',
        b'["v","r",0,[[1,2,3,4,5,6,7,8,9]],"request",null]',
    ],
)
def test_a_line_that_holds_no_answer_is_passed_over(torn: bytes) -> None:
    whole = b'[1,"r",0,[["a",null,1.0,null,null,null,null,null,"f"]],"request",null]'
    found = read_lines(BytesIO(torn + b"\n" + whole + b"\n"))

    assert {version: rows["key"].to_pylist() for version, rows in found.items()} == {(1, "request"): ["a"]}


def test_what_cannot_be_stored_now_is_stored_later(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "SYNC_SECONDS", 0.01)
    monkeypatch.setattr(request_log, "STORE_SECONDS", 0.02)
    failed = threading.Event()
    predictions = desk.workspace.predictions

    def fail_once(version: int, rows: Any) -> int:
        if not failed.is_set():
            failed.set()
            raise KeyError("of a kind that nobody thought of")
        return predictions.of_role("request").add(version, rows)

    log = RequestLog(desk.workspace.paths.requests, replace_add(fail_once), is_durable=False)
    log.start()
    log.add((1, "r", 0, [("a", None, 1.0, None, None, None, None, None, "f")], "request", None))
    assert failed.wait(SECONDS)
    stored: list[str] = []
    until = time.monotonic() + SECONDS
    while not stored and time.monotonic() < until:
        time.sleep(0.01)
        stored = predictions.of_role("request").all_keys(1)
    log.close()

    assert stored == ["a"]


def test_what_cannot_be_stored_before_the_server_stops_is_stored_by_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(request_log, "CLOSE_SECONDS", 0.1)
    folder, predictions, goes_on = desk.workspace.paths.requests, desk.workspace.predictions, threading.Event()

    def hang(version: int, rows: Any) -> int:
        assert goes_on.wait(SECONDS)
        raise RetrimError("it is away")

    log = RequestLog(folder, replace_add(hang), is_durable=False)
    log.start()
    log.add((1, "r", 0, LINE, "request", None))
    log.close()
    goes_on.set()
    following = RequestLog(folder, predictions, is_durable=False)
    end = time.monotonic() + SECONDS
    while not (stored := predictions.of_role("request").all_keys(1)) and time.monotonic() < end:
        following.store()
    following.close()

    assert stored == ["a"]
    assert "the next server stores them" in caplog.text


def replace_add(add: Any) -> Any:
    """The data set with another way to add to it."""
    return SimpleNamespace(of_role=lambda _: SimpleNamespace(add=add))


def test_a_disk_that_is_full_refuses_and_does_not_lie(desk: Desk) -> None:
    def full(_: object) -> None:
        raise OSError("the disk is full")

    with running(serving_of(desk, keep=full)) as client:
        assert client.json("/predict", ROW)[0] == HTTPStatus.SERVICE_UNAVAILABLE
        assert client.json("/predict", [ROW])[0] == HTTPStatus.SERVICE_UNAVAILABLE


PROCESS = """
import sys
from pathlib import Path
from types import SimpleNamespace
from retrim.adapters.mlflow_server import bind
from retrim.lineage.prediction_log import PredictionLog
from retrim.lineage.tokens import Doorkeeper
from retrim.serving import request_log, routes
from retrim.serving.metrics import Metrics
from retrim.serving.request_log import RequestLog
from retrim.serving.routes import make_app, run_server
from retrim.serving.server import Serving
from tests.builders.answering import Answering
request_log.STORE_SECONDS, routes.MOST_CONNECTIONS = 2, 9
folder = Path(sys.argv[2])
log = RequestLog(folder / "requests", PredictionLog(str(folder / "p"), "m", folder / "lock"), is_durable=False)
log.start()
serving = Serving(Answering(), Doorkeeper(folder / "none"), log.add, print, Metrics(), load=print, jobs=None)
run_server(make_app({"m": serving}), bind(int(sys.argv[1])))
"""


def begun(folder: Path) -> tuple["subprocess.Popen[bytes]", Client]:
    """A server in a process of its own, once it is up."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-c", PROCESS, str(port), str(folder)], cwd=ROOT)
    client, until = Client(port, None), time.monotonic() + 120  # type: ignore[arg-type]
    while time.monotonic() < until:
        try:
            client.json("/health")
            break
        except ConnectionRefusedError:
            assert process.poll() is None
            time.sleep(0.1)
    return process, client


@pytest.mark.server
def test_more_connections_than_it_has_room_for_are_turned_away(tmp_path: Path) -> None:
    process, client = begun(tmp_path)
    try:
        with ExitStack() as held:
            for _ in range(8):
                held.enter_context(socket.create_connection((HOST, client.port), timeout=SECONDS))
            turned_away = client.ask("GET", "/ready")[0]
        until = time.monotonic() + SECONDS
        while (after := client.ask("GET", "/ready")[0]) != HTTPStatus.OK and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait(timeout=30)

    assert (turned_away, after) == (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.OK)


@pytest.mark.server
def test_a_kill_under_load_tears_no_row_and_loses_no_answer(tmp_path: Path) -> None:

    answered: list[str] = []
    for _ in range(3):
        process, client = begun(tmp_path)
        killer = threading.Timer(3.5, process.send_signal, [signal.SIGKILL])
        killer.start()
        while True:
            try:
                answered.append(client.json("/predict", {})[1]["request_id"])
            except (OSError, HTTPException):  # the kill may come amid an answer
                break
        process.wait(timeout=30)
    predictions = PredictionLog(str(tmp_path / "p"), "m", tmp_path / "lock")
    log = RequestLog(tmp_path / "requests", predictions, is_durable=False)
    log.store()
    log.close()
    stored = predictions.of_role("request").since(None, most=10**6)["request_id"].tolist()

    assert len(answered) > 100
    assert set(answered) <= set(stored)
    assert len(stored) == len(set(stored)) <= len(answered) + 3


def test_the_workspace_is_opened_again_only_once_its_settings_are_other_ones(tmp_path: Path) -> None:
    opened: list[int] = []

    def open_here() -> Any:
        opened.append(len(opened))
        return opened[-1]

    settings = tmp_path / "params.yaml"
    settings.write_text("a: 1\n", encoding="utf-8")
    get = while_as_it_is(open_here, settings)
    assert [get(), get()] == [0, 0]
    fresh = tmp_path / "fresh"
    fresh.write_text("a: 2\n", encoding="utf-8")
    fresh.replace(settings)
    assert [get(), get()] == [1, 1]
