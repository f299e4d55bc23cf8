"""From a table to version 1 by what is printed: init, a run that is killed and stopped on its way, a check, a backtest.

One world for all. What each command says before there is a version and a check, and after, stands in `WITH_A_VERSION`.
"""

import json
import os
import shlex
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from retrim.adapters.prefect_server import NOTE
from retrim.adapters.signing import pack
from tests.builders.cured import Cure, says
from tests.builders.world import World, commands_of, make_world

pytestmark = [pytest.mark.e2e(minutes=3), pytest.mark.server, pytest.mark.slow]

DEADLINE_SECONDS = 180
OWN_SERVER = {"RETRIM_PREFECT_URL": "", "PREFECT_CLIENT_MAX_RETRIES": "0"}
NOW = 25  # day of version 1
WITH_A_VERSION = {
    "predict": "no version is live, so nothing was predicted; train version 1: retrim retrain",
    "versions": "there is no version yet; train the first: retrim retrain",
    "versions log": "no version has been released yet; train version 1: retrim retrain",
    "versions rollback --reason late": "has no live version; train version 1 with `retrim retrain`",
    "versions fairness": "there is no version yet; train the first one: retrim retrain",
    "versions explain 100": "is live; choose one with --version N, or train one: retrim retrain",
    "policy alarms": "so there is no history to verify on; train a version with `retrim retrain`",
    "status": "none yet: retrim check",
    "policy replay --from 2024-01-26": (
        "no check has run yet, so there is no history to replay; run `retrim check` or"
    ),
}
"""What needs a version or a check says so, and both are made as it says."""


@dataclass(frozen=True)
class Story:
    """What was printed on the way to version 1, and by each command of `WITH_A_VERSION` before and after."""

    world: World
    init: str
    away: str
    status: str
    pruning: str
    stopped: str
    made: str
    check: str
    before: dict[str, str]
    after: dict[str, str]


@pytest.fixture(scope="module")
def ctrl_c() -> Iterator[None]:
    """Commands hear Ctrl-C: a shell that starts the tests aside has it ignored, by whatever they start too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, server: str, ctrl_c: None) -> Story:
    world = make_world(tmp_path_factory.mktemp("first"), server=server)
    world.rows(None, world.day(NOW)).to_csv(world.root / "history.csv", index=False)
    (world.root / ".git" / "info" / "exclude").write_text("history.csv\n", encoding="utf-8")
    init = printed(world, "init --data history.csv --target outcome --name generated --yes")
    before = {line: printed(world, line) for line in WITH_A_VERSION}
    stopped = interrupted(world)
    status, pruning = printed(world, "status"), printed(world, "versions gc --dry-run", columns=200)
    away = without_its_server(world)
    made = printed(world, f"retrain --as-of {world.day(NOW)}")
    check = printed(world, f"check --now {world.day(NOW + 1)}")
    after = {line: printed(world, line) for line in WITH_A_VERSION}
    return Story(world, init, away, status, pruning, stopped, made, check, before, after)


def printed(world: World, line: str, *, columns: int = 80) -> str:
    done = world.retrim(*shlex.split(line), code=(0, 1, 2), environment={"COLUMNS": str(columns)})
    return f"{done.stdout} {done.stderr}"


def until(claim: Callable[[], Any], process: "subprocess.Popen[str]") -> Any:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := claim()):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return found


def is_at(world: World, stage: str) -> bool:
    return any(f"retrim.stages.{stage}" in command for command in commands_of(world.root))


def interrupted(world: World) -> str:
    """What a retraining says that is stopped with Ctrl-C in a stage."""
    running = world.start("retrain", "--as-of", world.day(NOW))
    until(lambda: any("retrim.stages.tune" in command for command in commands_of(world.root)), running)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=DEADLINE_SECONDS)
    return err


def without_its_server(world: World) -> str:
    """What a check says whose own Prefect server is killed before it has resumed the run."""
    workspace = world.workspace
    before = flow_signs(world)
    running = world.start("check", "--now", world.day(NOW), environment=OWN_SERVER)
    until(lambda: flow_signs(world) - before, running)
    note = json.loads((workspace.paths.prefect / NOTE).read_text(encoding="utf-8"))
    os.killpg(note["pid"], signal.SIGKILL)
    _, err = running.communicate(timeout=DEADLINE_SECONDS)
    return err


def flow_signs(world: World) -> set[str]:
    """Flow runs that have begun and not ended."""
    return {file.name for file in world.workspace.paths.runs.glob("flow-*.lock")}


@pytest.mark.cures("next: retrim retrain", "version {}; see `retrim versions` or `retrim ui`")
def test_init_leads_to_a_version_that_is_shown(story: Story, cure: Cure) -> None:
    cure.is_asked(story.init)
    cure.is_asked(story.made)
    cure.is_done(story.after["versions"])

    assert "promoted" in story.made
    assert opened_pages(story.world) == 200


def opened_pages(world: World) -> int:
    """HTTP status of the pages, opened with the line that the command names."""
    running = world.start("ui", "--port", "0")
    try:
        assert running.stdout is not None
        address = next(word for word in running.stdout.readline().split() if word.startswith("http"))
        file = running.stdout.readline().partition("password in ")[2].partition(";")[0]
        login = (world.root / file).read_text(encoding="utf-8").strip()
        store = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        store.add_password(None, address, "retrim", login)
        opener = urllib.request.build_opener(urllib.request.HTTPBasicAuthHandler(store))

        def status() -> int | None:
            try:
                with opener.open(address, timeout=5) as answer:
                    return int(answer.status)
            except OSError:
                return None

        found: int = until(status, running)
        return found
    finally:
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=DEADLINE_SECONDS)


@pytest.mark.cures(
    "the Prefect server at {} no longer responds; check that it is running. The next `retrim check` or `retrim "
    "retrain` finishes the interrupted run",
    "stopped; the next `retrim check` or `retrim retrain` finishes a retraining that was in progress",
    "; `retrim check` resumes it",
    "its run has the state {}: `retrim check` finishes it",
)
def test_what_was_stopped_is_resumed_and_finished(story: Story, cure: Cure) -> None:
    for said in (story.stopped, story.status, story.pruning, story.away):
        cure.is_asked(said)
    cure.is_done(story.made)
    cure.is_done(story.after["status"])
    cure.is_done(printed(story.world, "versions gc --dry-run"))
    (run,) = story.world.workspace.store.runs("generated")

    assert (run.state, run.version) == ("promoted", 1)


@pytest.mark.parametrize("line", WITH_A_VERSION)
def test_a_version_and_a_check_cure_what_asks_for_them(story: Story, line: str) -> None:
    assert says(WITH_A_VERSION[line], story.before[line]), story.before[line]
    assert not says(WITH_A_VERSION[line], story.after[line]), story.after[line]


@pytest.mark.cures("evidence: retrim why {}", "no row has landed since the check of {}: retrim ingest FILE")
def test_a_check_shows_its_evidence_and_what_would_land(story: Story, cure: Cure) -> None:
    world = story.world
    cure.is_asked(story.check)
    shown = printed(world, story.check.rpartition("retrim ")[2].strip())
    assert "none" in shown or "retrain" in shown
    cure.is_asked(printed(world, f"check --now {world.day(NOW + 1.5)}"))
    world.rows(world.day(NOW), world.day(NOW + 2)).to_csv(world.root / "history.csv", index=False)
    landed = printed(world, f"ingest history.csv --arrived {world.day(NOW + 2)}")
    cure.is_done(landed)
    assert "no row has landed since" not in printed(world, f"check --now {world.day(NOW + 2)}")


@pytest.mark.cures(
    "The model card is card/model_card.html in the run's artifacts; `retrim versions card` writes it again."
)
def test_the_note_in_mlflow_names_the_command_that_writes_the_card(story: Story, cure: Cure) -> None:
    world = story.world
    registry = world.workspace.registry
    note = registry.client.get_model_version("generated", "1").description
    cure.is_asked(note)
    cure.is_done(printed(world, "versions card 1 --to var/card.html"))

    assert "<html" in (world.root / "var" / "card.html").read_text(encoding="utf-8").lower()


@pytest.mark.cures("These effects are not calibrated; for calibrated alarms: retrim check.")
def test_the_page_of_the_profile_names_the_check(story: Story, cure: Cure) -> None:
    printed(story.world, "profile --to var/page.html")
    cure.is_asked((story.world.root / "var" / "page.html").read_text(encoding="utf-8"))
    cure.is_done(story.check)


@pytest.mark.cures(
    "no policies have been backtested here yet; backtest them with: retrim policy backtest",
    "apply a policy: retrim policy set NAME",
)
def test_a_policy_is_set_once_it_was_tried(story: Story, cure: Cure) -> None:
    world = story.world
    cure.is_asked(printed(world, "policy set never"))
    cure.is_asked(printed(world, "policy backtest --windows 5 --costs 0.5"))
    cure.is_done(printed(world, "policy set gain-0.5"))

    assert "0.5" in (world.root / "params.yaml").read_text(encoding="utf-8")


@pytest.mark.cures(
    "{} cannot be read: {}; choose a file that `retrim versions export` wrote",
    "{} has no {}; choose a file that `retrim versions export` wrote",
)
def test_an_import_wants_a_file_of_export(story: Story, cure: Cure) -> None:
    world = story.world
    (world.root / "var" / "other.tar").write_bytes(pack({"a": b"b"}))
    cure.is_asked(printed(world, "versions import var/missing.tar"))
    cure.is_asked(printed(world, "versions import var/other.tar"))
    printed(world, "versions export 1 --to var/v1.tar")
    cure.is_done(printed(world, "versions import var/v1.tar"))
