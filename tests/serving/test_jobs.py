"""Jobs: files are predicted at somebody's request, where that is allowed, once, whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.errors import BadInputError, BusyError
from retrim.lineage.tokens import add_token
from retrim.serving import jobs as serving_jobs
from retrim.serving.jobs import AllowedPlaces, Jobs
from retrim.serving.request_rows import WrongRequestError
from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.http_client import Client, running, serving_of
from tests.builders.typed import Session, sit_at_desk
from tests.builders.waiting import until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
SHIPPED = serving_jobs.COMMAND
RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
from retrim.lineage.workspace import Workspace
from tests.builders.desk import Shelf
Workspace.registry = Shelf({1: Path(sys.argv.pop(1))})
sys.argv += sys.stdin.read().split("\\0")
from retrim.cli.main import main
main()
"""
"""`retrim` in a workspace whose versions lie in plain folders."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return make_desk(tmp_path_factory.mktemp("desk") / "workspace", version_at=10)


@pytest.fixture
def desk(made: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    """With rows to predict in the folder of jobs."""
    desk = copy_of(made, tmp_path / "workspace")
    session: Session = sit_at_desk(desk, monkeypatch, capsys)
    assert session is not None
    folder = desk.workspace.paths.var / "jobs"
    folder.mkdir()
    (folder / "link").symlink_to("/etc")
    desk.rows(10, 12).drop(columns="outcome").to_csv(folder / "in.csv", index=False)
    command = (sys.executable, "-c", RUN, str(ROOT), str(desk.shelf.folders[1]), "predict")
    monkeypatch.setattr(serving_jobs, "COMMAND", command)
    return desk


def jobs_of(desk: Desk) -> Jobs:
    paths = desk.workspace.paths
    return Jobs(paths.root, paths.jobs, AllowedPlaces(paths.root, ["var/jobs"]), lambda: desk.day(15))


def may_ask(desk: Desk, client: Client) -> None:
    """Has a client send a token that allows jobs."""
    token = add_token(desk.workspace, "a test", ["operate"], now=desk.day(15))
    client.headers["authorization"] = f"Bearer {token}"


def asked(out: str = "var/jobs/out.csv") -> bytes:
    return json.dumps({"in": "var/jobs/in.csv", "out": out}).encode()


def test_a_job_is_asked_for_done_and_shown(desk: Desk) -> None:
    serving = serving_of(desk)
    with running(serving) as client:
        may_ask(desk, client)
        status, job = client.json("/jobs", {"in": "var/jobs/in.csv", "out": "var/jobs/out.csv", "version": 1})
        before = client.json(f"/jobs/{job['id']}")[1]
        serving.jobs.work_once()
        after = client.json(f"/jobs/{job['id']}")[1]

    written = pd.read_csv(desk.workspace.paths.var / "jobs" / "out.csv")
    assert (status, before["state"], after["state"], after["error"]) == (HTTPStatus.ACCEPTED, "waiting", "done", "")
    assert (len(written), after["result"]["rows"]) == (48, 48)


def test_no_address_stands_in_a_command_line(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    paths, where = desk.workspace.paths, "s3://bucket/data/x.csv"
    shown = "import json, sys; print(json.dumps([sys.argv[1:], sys.stdin.read().split(chr(0))]))"
    monkeypatch.setattr(serving_jobs, "COMMAND", (sys.executable, "-c", shown, "predict"))
    places = AllowedPlaces(paths.root, ["var/jobs", "s3://bucket/data"])
    jobs = Jobs(paths.root, paths.jobs, places, lambda: desk.day(15))
    job = jobs.submit(json.dumps({"in": where, "out": "var/jobs/out.csv"}).encode())
    jobs.work_once()
    done = jobs.find(job.id)

    assert done is not None
    assert done.result == [["predict"], ["--json", "--", where, str(paths.var.resolve() / "jobs" / "out.csv")]]


def test_a_job_runs_the_command_of_retrim() -> None:
    done = subprocess.run(SHIPPED, input="--json\0--help", capture_output=True, text=True, check=False)

    assert (done.returncode, "Usage: retrim predict" in done.stdout) == (0, True)


def test_one_that_was_under_way_at_a_stop_is_done_at_the_next_start(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = jobs_of(desk)
    with monkeypatch.context() as patched:
        patched.setattr(serving_jobs, "COMMAND", (sys.executable, "-c", "import time; time.sleep(600)"))
        job = first.submit(asked())
        first.start()
        until(lambda: getattr(first.find(job.id), "state", None) == "running")
        first.stop()
    second = jobs_of(desk)
    between = second.find(job.id)
    second.work_once()
    done = second.find(job.id)

    assert between is not None
    assert done is not None
    assert (between.state, done.state, done.attempts) == ("running", "done", 2)
    assert len(pd.read_csv(desk.workspace.paths.var / "jobs" / "out.csv")) == 48


IGNORES_TERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
time.sleep(600)
"""


@pytest.mark.parametrize("begins", ["before", "while"])
def test_no_process_outlives_a_stop_that_begins_while_one_starts(
    begins: str, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs, started, popen = jobs_of(desk), list["subprocess.Popen[bytes]"](), subprocess.Popen
    stopping = threading.Thread(target=jobs.stop)

    def stop() -> None:
        stopping.start()
        stopping.join(1)

    def look(places: AllowedPlaces, where: str) -> None:
        if begins == "before" and stopping.ident is None:
            stop()

    def start(*args: Any, **options: Any) -> "subprocess.Popen[bytes]":
        started.append(popen(*args, **options))
        if begins == "while":
            stop()
        return started[0]

    monkeypatch.setattr(serving_jobs, "STOP_SECONDS", 1)
    monkeypatch.setattr(serving_jobs, "COMMAND", (sys.executable, "-c", IGNORES_TERM))
    monkeypatch.setattr(AllowedPlaces, "refuse_links_out", look)
    monkeypatch.setattr(subprocess, "Popen", start)
    job = jobs.submit(asked())
    jobs.start()
    until(lambda: stopping.ident is not None)
    stopping.join(10)
    states = [process.poll() for process in started]
    for process in started:
        process.kill()

    assert (stopping.is_alive(), len(started), None in states) == (False, begins == "while", False)
    assert getattr(jobs.find(job.id), "state", None) == "running"


def test_one_that_fails_says_why(desk: Desk) -> None:
    jobs = jobs_of(desk)
    (desk.workspace.paths.var / "jobs" / "in.csv").write_text("a\n1\n", encoding="utf-8")
    job = jobs.submit(asked())
    jobs.work_once()
    failed = jobs.find(job.id)

    assert failed is not None
    assert (failed.state, "level" in failed.error) == ("failed", True)


def test_one_that_is_refused_is_tried_some_times(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_jobs, "COMMAND", (sys.executable, "-c", "raise SystemExit(1)"))
    jobs, states = jobs_of(desk), []
    job = jobs.submit(asked())
    for _ in range(serving_jobs.ATTEMPTS + 1):
        jobs.work_once()
        states.append(getattr(jobs.find(job.id), "state", None))

    assert states == ["waiting"] * (serving_jobs.ATTEMPTS - 1) + ["failed"] * 2


HOSTILE = [
    "/etc/passwd",
    "../../../../etc/passwd",
    "var/jobs/../serve/tokens.json",
    "var/jobs/../../params.yaml",
    "var/serve/tokens.json",
    "var/jobs",
    "var/jobs/",
    "var/jobs/.",
    "var/jobs/*.csv",
    "var/jobs/in\x00.csv",
    "var/jobs/link/passwd",
    "~/.ssh/id_rsa",
    "file:///etc/passwd",
    "file://var/jobs/in.csv",
    "sqlite:////etc/x.db",
    "postgresql://host/db",
    "http://169.254.169.254/latest/meta-data",
    "simplecache::http://127.0.0.1/x.csv",
    "s3://elsewhere/x.csv",
    "s3://bucket/data",
    "s3://bucket/data/",
    "s3://bucket/database/x.csv",
    "s3://bucket/data/../other/x.csv",
    "s3://bucket/data/%2e%2e/x.csv",
    "",
    ".",
    "-",
    "a" * 100_000,
    "\ud800",
]
NO_PLACES = [None, 7, ["var/jobs/in.csv"], {"a": 1}]


@pytest.mark.parametrize("where", HOSTILE, ids=lambda where: repr(where)[:40])
def test_what_lies_elsewhere_is_neither_read_nor_written(where: Any, desk: Desk) -> None:
    places = AllowedPlaces(desk.workspace.paths.root, ["var/jobs", "s3://bucket/data"])
    with pytest.raises(WrongRequestError):
        places.take(where, "in")


@pytest.mark.parametrize("named", ["link.csv", "deep/link.csv"])
def test_a_link_in_a_folder_that_leads_out_of_it_is_not_read(desk: Desk, tmp_path: Path, named: str) -> None:
    folder = desk.workspace.paths.var / "jobs" / "in"
    (folder / named).parent.mkdir(parents=True)
    (folder.parent / "in.csv").rename(tmp_path / "secret.csv")
    jobs = jobs_of(desk)
    job = jobs.submit(json.dumps({"in": "var/jobs/in/", "out": "var/jobs/out.csv"}).encode())
    (folder / named).symlink_to(tmp_path / "secret.csv")
    jobs.work_once()
    failed = jobs.find(job.id)

    assert failed is not None
    assert (failed.state, named in failed.error, (folder.parent / "out.csv").exists()) == ("failed", True, False)


def test_a_file_that_became_a_link_since_it_was_asked_for_is_not_read(desk: Desk, tmp_path: Path) -> None:
    file, jobs = desk.workspace.paths.var / "jobs" / "in.csv", jobs_of(desk)
    job = jobs.submit(asked())
    file.rename(tmp_path / "secret.csv")
    file.symlink_to(tmp_path / "secret.csv")
    jobs.work_once()

    assert getattr(jobs.find(job.id), "state", None) == "failed"


def test_no_database_is_a_place_of_jobs_and_its_password_is_not_said(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="retrim predict") as refused:
        AllowedPlaces(tmp_path, ["postgresql://me:hunter2@host/sales"])
    assert "hunter2" not in str(refused.value)


def test_what_lies_below_a_prefix_is_taken(desk: Desk, tmp_path: Path) -> None:
    root = desk.workspace.paths.root
    places = AllowedPlaces(root, ["var/jobs", "s3://bucket/data", str(tmp_path / "other")])

    assert places.take("var/jobs/in.csv", "in") == str(root.resolve() / "var" / "jobs" / "in.csv")
    assert places.take("s3://bucket/data/x.csv", "in") == "s3://bucket/data/x.csv"
    assert places.take(str(tmp_path / "other" / "out") + "/", "out") == str(tmp_path / "other" / "out") + "/"


def test_a_request_that_is_no_job_is_refused_and_no_error_of_the_server(desk: Desk) -> None:
    serving = serving_of(desk)
    good = {"in": "var/jobs/in.csv", "out": "var/jobs/out.csv"}
    with running(serving) as client:
        may_ask(desk, client)
        bodies = [b"", b"[]", b"7", b"{", b"\xff", b'{"in": "var/jobs/in.csv"}', b" " * 20_000]
        bodies += [json.dumps(good | more).encode() for more in ({"x": 1}, {"version": "1"}, {"version": True})]
        bodies += [json.dumps(good | {"in": where}).encode() for where in (*HOSTILE, *NO_PLACES)]
        codes = {client.ask("POST", "/jobs", body)[0] for body in bodies}
        names = {
            client.ask("GET", f"/jobs/{name}")[0] for name in ("x", "0" * 16, "..%2f..%2fparams", "%00", "a" * 5000)
        }

    assert codes == {422}
    assert names == {404}
    assert list(desk.workspace.paths.jobs.iterdir()) == []


def test_a_job_that_cannot_be_kept_is_refused_and_no_error_of_the_server(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = serving_of(desk)

    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(serving_jobs, "write_private", full)
    with running(serving) as client:
        may_ask(desk, client)
        code, said = client.json("/jobs", json.loads(asked()))

    assert (code, "cannot be stored" in str(said)) == (HTTPStatus.SERVICE_UNAVAILABLE, True)


def test_jobs_take_a_scope_of_their_own(desk: Desk) -> None:
    tokens = {
        scope: add_token(desk.workspace, scope, [scope], now=desk.day(15))
        for scope in ("read", "predict", "label", "operate")
    }
    serving = serving_of(desk)
    with running(serving) as client:
        codes = {}
        for scope, token in tokens.items():
            given = {"authorization": f"Bearer {token}"}
            body = {"in": "var/jobs/in.csv", "out": "var/jobs/out.csv"}
            codes[scope] = client.json("/jobs", body, **given)[0], client.json("/jobs/x", **given)[0]
        bare = client.json("/jobs/x")[0]

    assert codes == {"read": (403, 403), "predict": (403, 403), "label": (403, 403), "operate": (202, 404)}
    assert bare == HTTPStatus.UNAUTHORIZED


def test_few_wait_and_few_that_ended_are_remembered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_jobs, "MOST_WAITING", 3)
    monkeypatch.setattr(serving_jobs, "MOST_KEPT", 4)
    monkeypatch.setattr(serving_jobs, "COMMAND", (sys.executable, "-c", "raise SystemExit(2)"))
    jobs = jobs_of(desk)
    for _ in range(3):
        jobs.submit(asked())
    with pytest.raises(BusyError):
        jobs.submit(asked())
    for _ in range(4):
        jobs.work_once()
        jobs.submit(asked())

    assert len(list(desk.workspace.paths.jobs.glob("*.json"))) == 4


def test_a_long_result_is_kept_and_half_of_one_is_none(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, found = jobs_of(desk), []
    for said in ("print('{\"out\": \"' + 20_000 * 'x' + '\"}')", "print('{\"out\": '); raise SystemExit(3)"):
        monkeypatch.setattr(serving_jobs, "COMMAND", (sys.executable, "-c", said))
        job = jobs.submit(asked())
        jobs.work_once()
        found.append(jobs.find(job.id))

    assert [(each.state, each.error) for each in found if each] == [("done", ""), ("failed", "exit code 3")]
    assert found[0] is not None
    assert found[0].result == {"out": 20_000 * "x"}


WAITS = """
import sys, time
from pathlib import Path
Path("began").touch()
end = time.monotonic() + 60
while not Path("go").exists() and time.monotonic() < end:
    time.sleep(0.02)
print("{}")
"""
"""A job that takes until it is told to go on."""


def test_what_outlives_a_killed_server_is_waited_for(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_jobs, "COMMAND", (sys.executable, "-c", WAITS))
    jobs = jobs_of(desk)
    job = jobs.submit(asked())
    server = os.fork()
    if not server:
        jobs.work_once()
        os._exit(0)
    until((desk.workspace.paths.root / "began").exists)
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    for _ in range(serving_jobs.ATTEMPTS + 1):
        jobs.work_once()
    between = jobs.find(job.id)
    (desk.workspace.paths.root / "go").touch()
    until(lambda: is_done_after_work(jobs, job.id))
    done = jobs.find(job.id)

    assert between is not None
    assert done is not None
    assert (between.state, between.attempts, done.state, done.attempts) == ("running", 1, "done", 2)


def is_done_after_work(jobs: Jobs, name: str) -> bool:
    jobs.work_once()
    return getattr(jobs.find(name), "state", None) == "done"


@pytest.mark.parametrize("held", ["{", "{}", "[]", '{"id": 3}'])
def test_a_file_that_holds_no_job_stops_nothing(held: str, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_jobs, "COMMAND", (sys.executable, "-c", "raise SystemExit(2)"))
    jobs = jobs_of(desk)
    (desk.workspace.paths.jobs / f"{'0' * 16}.json").write_text(held, encoding="utf-8")
    job = jobs.submit(asked())
    jobs.work_once()

    assert jobs.find("0" * 16) is None
    assert getattr(jobs.find(job.id), "state", None) == "failed"
