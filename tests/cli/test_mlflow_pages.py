"""MLflow's pages of many workspaces: started for who looks, ended when nobody does, and behind the one address."""

import http.client
import json
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pandas as pd
import psutil
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from retrim.adapters.mlflow_server import HOST
from retrim.cli import mlflow_pages
from retrim.cli.mlflow_pages import MOST_BYTES, MlflowPages
from retrim.cli.page_server import MLFLOW_METHODS, places_app
from retrim.files import WorkspacePaths
from tests.builders.served import serving
from tests.builders.waiting import until
from tests.builders.world import World, lay_world

pytestmark = pytest.mark.server

SEARCH = "api/2.0/mlflow/experiments/search"
SECONDS, IDLE, LONG = 120, 2.0, 600.0
NOW = pd.Timestamp("2026-01-01", tz="UTC")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> list[World]:
    folder = tmp_path_factory.mktemp("many")
    return [lay_world(folder / name, changes={"data": {"model": name}}) for name in ("north", "south")]


@pytest.fixture(autouse=True)
def environment(worlds: list[World], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in worlds[0].environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def begun(worlds: list[World]) -> Iterator[Callable[[float], int]]:
    """Serves them until the test ends; gives the port."""
    made: list[MlflowPages] = []
    stops = []

    def begin(idle: float) -> int:
        pages = MlflowPages(idle=idle)
        made.append(pages)
        routes = [
            Route(f"/{world.root.name}/mlflow/{{path:path}}", partial(pages.answer, world.root), methods=MLFLOW_METHODS)
            for world in worlds
        ]
        stop = serving(Starlette(routes=routes))
        stops.append(stop)
        return stop.__enter__()

    yield begin
    for pages in made:
        pages.close()
    for stop in stops:
        stop.__exit__(None, None, None)
    assert running(worlds) == []


def ask(port: int, path: str, body: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=SECONDS)
    try:
        connection.request("GET" if body is None else "POST", path, body, {"content-type": "application/json"})
        answer = connection.getresponse()
        assert answer.getheader("connection") != "keep-alive"
        return answer.status, answer.read()
    finally:
        connection.close()


def running(worlds: list[World]) -> list[str]:
    """Names of the workspaces whose pages a process of this test serves."""
    roots = {str(world.root): world.root.name for world in worlds}
    found = []
    for process in psutil.Process(os.getpid()).children():
        try:
            if "ui" in process.cmdline():
                found.append(roots[process.cwd()])
        except psutil.Error:  # it ends just now
            continue
    return sorted(found)


def test_they_start_for_who_looks_and_are_whole(worlds: list[World], begun: Callable[[float], int]) -> None:
    port = begun(LONG)
    before = running(worlds)
    status, text = ask(port, f"/north/mlflow/{SEARCH}", '{"max_results": 5}')
    page = ask(port, "/north/mlflow/")[1].decode()
    script = page.partition('src="static-files/')[2].partition('"')[0]
    code, source = ask(port, f"/north/mlflow/static-files/{script}")

    assert before == []
    assert (status, code) == (HTTPStatus.OK, HTTPStatus.OK)
    assert [each["name"] for each in json.loads(text)["experiments"]] == ["Default"]
    assert len(source) > mlflow_pages.PIECE_BYTES
    assert running(worlds) == ["north"]


def test_they_end_when_nobody_has_looked_for_a_while_and_start_again(
    worlds: list[World], begun: Callable[[float], int]
) -> None:
    port = begun(IDLE)
    assert ask(port, "/north/mlflow/health")[0] == HTTPStatus.OK
    until(lambda: running(worlds) == [], seconds=SECONDS)

    assert ask(port, "/north/mlflow/health")[0] == HTTPStatus.OK


def test_one_too_many_ends_the_one_that_was_looked_at_least_lately(
    worlds: list[World], begun: Callable[[float], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_pages, "MOST", 1)
    port = begun(LONG)
    for name in ("north", "south"):
        assert ask(port, f"/{name}/mlflow/health")[0] == HTTPStatus.OK

    assert running(worlds) == ["south"]


def test_one_that_was_killed_is_started_again(worlds: list[World], begun: Callable[[float], int]) -> None:
    port = begun(LONG)
    assert ask(port, "/north/mlflow/health")[0] == HTTPStatus.OK
    for process in psutil.Process(os.getpid()).children():
        if "ui" in process.cmdline():
            process.kill()
            time.sleep(0.5)

    assert ask(port, "/north/mlflow/health")[0] == HTTPStatus.OK


def test_why_they_do_not_answer_can_be_seen(worlds: list[World], begun: Callable[[float], int]) -> None:
    south, port = worlds[1], begun(LONG)
    database = south.root / "var" / "mlflow.db"
    database.unlink(missing_ok=True)
    database.write_bytes(b"no database" * 1000)
    status, _ = ask(port, "/south/mlflow/health")
    why = south.retrim("ui", "--port", "0", code=(1, 3))
    database.unlink()
    again, _ = ask(port, "/south/mlflow/health")

    assert (status, again) == (HTTPStatus.BAD_GATEWAY, HTTPStatus.OK)
    assert "file is not a database" in why.stdout + why.stderr


def test_what_is_too_large_is_refused(begun: Callable[[float], int]) -> None:
    assert ask(begun(LONG), f"/north/mlflow/{SEARCH}", "x" * (MOST_BYTES + 1))[0] == 413


def test_a_workspace_that_cannot_be_opened_is_said(tmp_path: Path, worlds: list[World]) -> None:
    (tmp_path / "params.yaml").write_text("data: [\n", encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text("stages: {}\n", encoding="utf-8")
    app = places_app([WorkspacePaths(worlds[0].root), WorkspacePaths(tmp_path)], by="ines", now=lambda: NOW)
    with serving(app) as port:
        status, text = ask(port, "/retrim/at/2/mlflow/")

    assert status == HTTPStatus.SERVICE_UNAVAILABLE
    assert b"params.yaml" in text
