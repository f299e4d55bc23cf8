"""The pages for real in a browser: behind its password, MLflow one click away, and a first version made from it."""

import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import Visit, watched
from tests.builders.world import World, make_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser

STARTING_MS, RETRAIN_SECONDS = 120_000, 400


@pytest.fixture
def world(tmp_path: Path, server: str) -> World:
    made = make_world(tmp_path, server=server)
    made.land(made.day(25))
    return made


@pytest.fixture
def visited(world: World, browser: "Browser") -> Iterator[Visit]:
    """The page of `retrim up --only ui`, for who knows the password."""
    with ExitStack() as stack:
        process = world.start("up", "--only", "ui", "--port", "0")
        stack.callback(process.communicate, timeout=60)
        stack.callback(process.send_signal, signal.SIGINT)
        assert process.stdout is not None
        at = process.stdout.readline().partition("the status page is at ")[2].partition("/retrim")[0]
        password = (world.root / "var" / "ui" / "password").read_text().strip()
        context = browser.new_context(http_credentials={"username": "retrim", "password": password})
        stack.callback(context.close)
        page, wrong = watched(context)
        page.set_default_navigation_timeout(STARTING_MS)
        yield Visit(page, at, wrong)


def test_a_first_version_is_made_from_the_page_and_mlflow_shows_it(world: World, visited: Visit) -> None:
    visited.open()
    form = visited.page.locator("form").filter(has=visited.page.get_by_role("button", name="Retrain"))
    form.get_by_label("Reason").fill("a first one")
    form.get_by_role("button", name="Retrain").click()
    assert visited.said.startswith("A retraining has started")
    deadline = time.monotonic() + RETRAIN_SECONDS
    while not visited.page.get_by_text("version 1 since").count():
        log = (world.root / "var" / "ui" / "retraining.log").read_text()
        assert time.monotonic() < deadline, log
        assert "error" not in log, log
        time.sleep(2)
        visited.open()
    run = world.workspace.store.runs(world.workspace.model)[-1]
    asked = world.workspace.store.decision(run.decision)
    visited.open("/retrim/version-1")
    wrong = [*visited.wrong]
    visited.open()
    visited.page.get_by_role("link", name="MLflow").click()
    visited.page.get_by_text("Experiments").first.wait_for()

    assert asked is not None
    assert asked.reason == "a first one"
    assert wrong == []


def test_without_the_password_nothing_is_shown(visited: Visit, browser: "Browser") -> None:
    visited.open()
    stranger = browser.new_context()
    answer = stranger.request.get(f"{visited.at}/retrim")
    stranger.close()

    assert answer.status == 401
