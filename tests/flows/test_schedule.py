"""The schedule for real: server, deployments and worker in one command, the server killed, and what our store says."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.adapters import prefect_server
from retrim.adapters.prefect_server import PrefectApi
from retrim.decision.stored_rows import DecisionRow, RunRow
from tests.builders.receivers import webhook
from tests.builders.world import COMMAND, World, ask_when_free, commands_of, lay_world, processes_of

pytestmark = [pytest.mark.e2e(minutes=4), pytest.mark.server]

EVERY = "20s"
# A shell that starts the tests aside has Ctrl-C ignored, by whatever they start too.
HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
CONSECUTIVE = 3
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
DEADLINE_SECONDS = 300
SECRETS = tuple(f"planted{what}4711" for what in ("Path", "Word", "Ping"))  # this file lies in the workspace too
QUICK = {
    "RETRIM_PREFECT_URL": "",  # a server of its own
    "PREFECT_WORKER_QUERY_SECONDS": "1",
    "PREFECT_SERVER_CONCURRENCY_MAXIMUM_CONCURRENCY_SLOT_WAIT_SECONDS": "3",
}


@dataclass(frozen=True)
class Story:
    """What happened: flow runs as Prefect tells them, decisions and runs as our store does, and how it ended."""

    scheduled: list[dict[str, Any]]
    late: pd.Timestamp
    late_runs: list[dict[str, Any]]
    retrainings: list[dict[str, Any]]
    killed: pd.Timestamp
    decisions: list[DecisionRow]
    summaries: list[dict[str, Any]]
    runs: list[RunRow]
    second_schedule: "subprocess.CompletedProcess[str]"
    next_run: dict[str, str] | None
    status: tuple[str, str]
    exit_code: int
    output: str
    left: list[str]
    posted: list[dict[str, Any]]
    leaked: list[str]

    def rows_of(self, run: dict[str, Any]) -> list[DecisionRow]:
        """Decisions of the moment a flow run was scheduled for."""
        at = pd.Timestamp(run["expected_start_time"])
        return [row for row in self.decisions if pd.Timestamp(row.as_of) == at]


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    times = {"ingest": "1h", "check": EVERY, "score": "1h"}
    changes = {"schedule": {**times, "prove": None}}
    world = lay_world(tmp_path_factory.mktemp("schedule") / "workspace", changes=changes)
    arrived = pd.Timestamp.now("UTC") - pd.Timedelta("2h")  # a batch that is overdue would be told before the promotion
    world.land(world.day(25), arrived=arrived)
    before = world.retrim("status", environment=QUICK).stdout
    log = world.root / "schedule.log"
    with log.open("wb") as out, webhook(path=SECRETS[0]) as (address, posted):
        host = address.partition("://")[2]
        told = {"RETRIM_ALERTS": f"json://me:{SECRETS[1]}@{host}", "RETRIM_PING": f"http://{host}/{SECRETS[2]}"}
        process = subprocess.Popen(
            [sys.executable, "-c", HEARING + COMMAND, "up", "--only", "schedule"],
            cwd=world.root,
            env={**world.environment, **QUICK, **told},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            return _tell(world, process, log, before, posted)
        finally:
            if process.poll() is None:
                process.kill()
            for left in processes_of(world.root):
                left.kill()


def _tell(
    world: World, process: "subprocess.Popen[bytes]", log: Path, before: str, posted: list[dict[str, Any]]
) -> Story:
    workspace = world.workspace
    _until(lambda: "worker started" in log.read_text(encoding="utf-8"), log)
    note = json.loads((workspace.paths.prefect / prefect_server.NOTE).read_text(encoding="utf-8"))
    api = PrefectApi(note["url"], note["login"])
    late = (pd.Timestamp.now("UTC") - pd.Timedelta("1h")).floor("s")
    deployment = ask_when_free(api, f"deployments/name/check/{workspace.model}")
    asked = {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": late.isoformat()}}}
    late_ids = [
        ask_when_free(api, f"deployments/{deployment['id']}/create_flow_run", {**asked, "idempotency_key": key})["id"]
        for key in ("late", "again")
    ]

    def monitors() -> list[dict[str, Any]]:
        runs = ask_when_free(api, "flow_runs/filter", {"deployments": {"id": {"any_": [deployment["id"]]}}})
        return sorted(runs, key=lambda run: str(run["expected_start_time"]))

    def planned() -> list[dict[str, Any]]:
        return [run for run in monitors() if run["auto_scheduled"]][:CONSECUTIVE]

    def is_done(run: dict[str, Any]) -> bool:
        at = pd.Timestamp(run["expected_start_time"])
        stored = [pd.Timestamp(row.as_of) for row in workspace.store.decisions(workspace.model)]
        return run["state_type"] == "COMPLETED" and at in stored

    _until(lambda: any(_is_due(run) for run in planned()), log)
    os.killpg(note["pid"], signal.SIGKILL)
    killed = pd.Timestamp.now("UTC")
    _until(lambda: "it was restarted" in log.read_text(encoding="utf-8"), log)
    _until(lambda: len(planned()) == CONSECUTIVE and all(_is_due(run) for run in planned()), log)
    second_schedule = world.retrim("up", "--only", "schedule", code=1, environment=QUICK)
    pause = {"paused": True}  # a busy machine would fall ever further behind
    _until(lambda: ask_when_free(api, f"deployments/{deployment['id']}", pause, method="PATCH") is None, log)
    _until(lambda: all(is_done(run) for run in planned()), log)
    _until(lambda: all(is_done(run) for run in monitors() if run["id"] in late_ids), log)
    wanted = {"deployments": {"name": {"any_": [workspace.model]}}, "flows": {"name": {"any_": ["retrain"]}}}

    def retrainings() -> list[dict[str, Any]]:
        return list(ask_when_free(api, "flow_runs/filter", wanted))

    _until(lambda: any(run["state_type"] in ENDED for run in retrainings()), log)
    scheduled, every = planned(), monitors()
    started = retrainings()
    summaries = ask_when_free(api, "artifacts/filter", {})
    next_run = world.ask("status")["next_run"]
    status = before, world.retrim("status", environment=QUICK).stdout
    outcome = workspace.store.runs(workspace.model)[0].state
    _until(lambda: any(outcome in each.get("title", "") for each in posted), log)
    process.send_signal(signal.SIGINT)
    exit_code = process.wait(60)
    return Story(
        scheduled=scheduled,
        late=late,
        late_runs=[run for run in every if run["id"] in late_ids],
        retrainings=started,
        killed=killed,
        decisions=workspace.store.decisions(workspace.model),
        summaries=summaries,
        runs=workspace.store.runs(workspace.model),
        second_schedule=second_schedule,
        next_run=next_run,
        status=status,
        exit_code=exit_code,
        output=log.read_text(encoding="utf-8"),
        left=commands_of(world.root),
        posted=posted,
        leaked=[str(file.relative_to(world.root)) for file in world.root.rglob("*") if _holds_a_secret(file)],
    )


def _holds_a_secret(file: Path) -> bool:
    if not file.is_file() or file.is_symlink():
        return False
    content = file.read_bytes()
    return any(secret.encode() in content for secret in SECRETS)


def test_each_scheduled_start_has_one_row_of_that_moment(story: Story) -> None:
    assert [len(story.rows_of(run)) for run in story.scheduled] == [1] * CONSECUTIVE


def test_the_scheduled_starts_are_consecutive(story: Story) -> None:
    starts = pd.DatetimeIndex([run["expected_start_time"] for run in story.scheduled])

    assert set(starts.diff()[1:]) == {pd.Timedelta(EVERY)}


def test_the_server_was_killed_between_them(story: Story) -> None:
    first, *_, last = [pd.Timestamp(run["expected_start_time"]) for run in story.scheduled]

    assert first < story.killed < last


def test_a_late_check_is_about_the_moment_it_was_scheduled_for(story: Story) -> None:
    assert story.late.isoformat() in [row.as_of for row in story.decisions]


def test_the_same_check_run_twice_is_one_row(story: Story) -> None:
    rows = [row for row in story.decisions if pd.Timestamp(row.as_of) == story.late]

    assert ([run["state_type"] for run in story.late_runs], len(rows)) == (["COMPLETED", "COMPLETED"], 1)


def test_prefect_has_a_summary_of_each_check(story: Story) -> None:
    found = {each["description"] for each in story.summaries if str(each["key"]).startswith("check-")}
    ids = {f"check {row.id}" for run in story.scheduled for row in story.rows_of(run)}

    assert ids <= found


def test_a_decision_to_retrain_starts_the_deployment_once(story: Story) -> None:
    decided = sorted(row.id for row in story.decisions if row.outcome == "retrain")
    started = sorted(run["parameters"]["decision"] for run in story.retrainings)

    assert started == decided
    assert len(decided) >= 1


def test_the_retraining_ends_in_the_worker_promoted_or_refused(story: Story) -> None:
    first = story.runs[0]
    carried_out = next(run for run in story.retrainings if run["parameters"]["decision"] == first.decision)

    assert first.state in ("promoted", "refused"), first
    assert carried_out["state_type"] == "COMPLETED"


def test_the_status_names_the_next_run(story: Story) -> None:
    assert story.next_run is not None
    assert story.next_run["flow"] in ("ingest", "check", "score", "maintain", "prove")


def test_without_a_schedule_the_status_says_how_to_begin_one(story: Story) -> None:
    assert ["retrim up --only schedule" in status for status in story.status] == [True, False]


def test_a_workspace_has_one_schedule_at_a_time(story: Story) -> None:
    assert "error: schedule is in progress in another process" in story.second_schedule.stderr


def test_ctrl_c_ends_it_cleanly(story: Story) -> None:
    assert (story.exit_code, story.output.splitlines()[-1]) == (0, "stopped")


def test_no_process_is_left(story: Story) -> None:
    assert story.left == []


def test_people_are_told_how_the_retraining_ended(story: Story) -> None:
    (message,) = [each for each in story.posted if story.runs[0].state in each.get("title", "")]

    assert "`retrim versions card 1`" in message["message"]


def test_a_watcher_is_pinged_after_checks(story: Story) -> None:
    pings = [each for each in story.posted if SECRETS[2] in each.get("path", "")]

    assert len(pings) >= CONSECUTIVE


def test_no_secret_of_an_address_is_in_store_logs_mlflow_or_prefect(story: Story) -> None:
    assert story.leaked == []


def _is_due(run: dict[str, Any]) -> bool:
    return pd.Timestamp(run["expected_start_time"]) < pd.Timestamp.now("UTC")


def _until(claim: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            if claim():
                return
        except OSError:  # the server is away
            pass
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-6000:]
        time.sleep(0.25)
