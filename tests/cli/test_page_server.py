"""The page over HTTP: what a person does from it is done with the reason, and what is refused says so."""

import http.client
import re
import time
from collections.abc import Iterator
from html import unescape
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlencode

import pytest

from retrim.adapters.mlflow_server import HOST
from retrim.cli import page_server
from retrim.cli.page_server import MOST_BYTES, page_app, places_app, start_command
from retrim.environment import Env
from retrim.errors import BadInputError
from retrim.files import WorkspacePaths, workspaces
from retrim.lineage.workspace import Workspace
from tests.builders.desk import Desk, make_desk
from tests.builders.served import SECONDS, serving
from tests.reports.test_everywhere import made as described


class Visitor:
    """Asks the page of a desk as a browser does."""

    def __init__(self, desk: Desk, port: int) -> None:
        self.desk, self.port, self.headers, self.broken = desk, port, {}, False

    def open_workspace(self) -> Workspace:
        if self.broken:
            raise BadInputError("params.yaml is broken; mend it")
        return self.desk.workspace

    def ask(self, method: str, path: str, **fields: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=SECONDS)
        try:
            body = urlencode(fields) if method == "POST" else None
            connection.request(method, path, body, {"content-type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            self.headers = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, answer.read().decode()
        finally:
            connection.close()


def said(text: str) -> str:
    found = re.search(r'role="status">([^<]*)<', text)
    return found.group(1) if found else ""


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """Two versions, the second live; the server runs in a thread of the test."""
    desk = make_desk(tmp_path_factory.mktemp("served") / "workspace")
    for since, until in ((0, 10), (10, 14)):
        desk.land(desk.rows(since, until), until)
        desk.make_version(until)
    made = Visitor(desk, 0)
    app = page_app(made.open_workspace, by="tester", now=lambda: desk.day(15))
    with serving(app) as made.port:
        yield made


def test_it_shows_the_state_of_the_moment_and_what_may_be_done(visitor: Visitor) -> None:
    status, text = visitor.ask("GET", "/retrim")

    assert status == HTTPStatus.OK
    assert "version 2 since" in text
    assert 'formaction="/retrim/rollback"' in text
    assert '<a href="/#/experiments?workflowType=machine_learning">MLflow</a>' in text
    assert "default-src 'none'" in visitor.headers["content-security-policy"]
    assert visitor.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("action", "fields", "words"),
    [
        ("rollback", {"value": "1"}, "Nothing was done, because no reason was given. Enter a reason, then try again."),
        (
            "rollback",
            {"value": "1", "reason": "  "},
            "Nothing was done, because no reason was given. Enter a reason, then try again.",
        ),
        ("rollback", {"value": "one", "reason": "why"}, "is not a version number"),
        ("rollback", {"value": "9" * 5000, "reason": "why"}, "is not a version number"),
        ("rollback", {"value": "9", "reason": "why"}, "Nothing was done:"),
        ("approve", {"value": "2", "reason": "why"}, "Nothing was done:"),
        ("acknowledge", {"reason": "why"}, "Nothing was done:"),
        ("release", {"value": "../../etc", "reason": "why"}, "Nothing was done:"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words_and_changes_nothing(
    visitor: Visitor, action: str, fields: dict[str, str], words: str
) -> None:
    before = visitor.desk.workspace.store.releases(visitor.desk.workspace.model)
    status, text = visitor.ask("POST", f"/retrim/{action}", **fields)

    assert status == HTTPStatus.CONFLICT
    assert words in said(text).replace("&#39;", "'")
    assert visitor.desk.workspace.store.releases(visitor.desk.workspace.model) == before


def test_settings_that_cannot_be_read_are_said_and_end_nothing(visitor: Visitor) -> None:
    visitor.broken = True
    try:
        status, text = visitor.ask("GET", "/retrim")
        acted, told = visitor.ask("POST", "/retrim/rollback", value="1", reason="why")
    finally:
        visitor.broken = False

    assert (status, acted) == (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.SERVICE_UNAVAILABLE)
    assert "params.yaml is broken" in text
    assert told.startswith("Nothing was done:")


def test_no_other_address_or_size_is_taken(visitor: Visitor) -> None:
    assert visitor.ask("POST", "/retrim/erase", reason="why")[0] == HTTPStatus.NOT_FOUND
    assert visitor.ask("GET", "/retrim/rollback")[0] == HTTPStatus.METHOD_NOT_ALLOWED
    assert visitor.ask("POST", "/retrim/rollback", reason="x" * MOST_BYTES)[0] == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def test_every_link_of_the_page_leads_somewhere(visitor: Visitor) -> None:
    visitor.desk.check(14.5)
    _, text = visitor.ask("GET", "/retrim")
    addresses = sorted({unescape(found) for found in re.findall(r'href="(/retrim/[^"]+)"', text)})
    answers = {address: visitor.ask("GET", address) for address in addresses}

    assert {address.split("/")[2].partition("-")[0] for address in addresses} >= {"decisions", "version", "batches"}
    assert {address: status for address, (status, _) in answers.items() if status != HTTPStatus.OK} == {}
    assert "default-src 'none'" in visitor.headers["content-security-policy"]
    assert "version 1" in answers["/retrim/version-1"][1]


def test_a_column_is_shown_in_both_windows(visitor: Visitor) -> None:
    check = visitor.desk.workspace.store.decisions(visitor.desk.workspace.model, source="check")[-1].id
    status, text = visitor.ask("GET", f"/retrim/drift/{check}/level")

    assert status == HTTPStatus.OK
    assert 'class="bar reference"' in text
    assert 'class="bar current"' in text


@pytest.mark.parametrize(
    "path", ["decisions/none", "version-9", f"version-{'9' * 5000}", "version-x", "batches/none", "drift/none/level"]
)
def test_what_is_not_there_is_not_found(visitor: Visitor, path: str) -> None:
    assert visitor.ask("GET", f"/retrim/{path}")[0] == HTTPStatus.NOT_FOUND


def test_a_retraining_is_started_in_a_process_of_its_own(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str, ...]] = []
    monkeypatch.setattr(
        page_server, "start_command", lambda paths, *words: started.append(words) or Path("var/ui/retraining.log")
    )
    status, text = visitor.ask("POST", "/retrim/retrain", reason="new prices")

    assert status == HTTPStatus.OK
    assert said(text).startswith("A retraining has started")
    assert started == [
        ("retrain", "--as-of", visitor.desk.day(15).isoformat(), "--by", "tester", "--reason", "new prices")
    ]


def test_two_that_are_started_at_once_both_say_their_end(tmp_path: Path) -> None:
    paths = WorkspacePaths(tmp_path)
    paths.ui_password.parent.mkdir(parents=True)
    log = tmp_path / [start_command(paths, "wrong"), start_command(paths, "wronger")][0]
    deadline = time.monotonic() + SECONDS
    while log.read_text(encoding="utf-8").count("known: ") < 2:
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.1)

    assert sorted(re.findall("unknown command '(.*?)'", log.read_text(encoding="utf-8"))) == ["wrong", "wronger"]


def test_a_rollback_is_done_and_kept_with_the_reason(visitor: Visitor) -> None:
    status, text = visitor.ask("POST", "/retrim/rollback", value="1", reason="the north is <worse>")
    last = visitor.desk.workspace.store.releases(visitor.desk.workspace.model)[-1]

    assert (status, said(text)) == (
        HTTPStatus.OK,
        "Version 1 is live again instead of version 2: mean loss 1.5 when judged",
    )
    assert (last.version, last.actor, last.reason) == (1, "tester", "the north is <worse>")
    assert "<worse>" not in text


def test_several_workspaces_are_listed_by_health_and_each_has_its_page(tmp_path: Path) -> None:
    desks = [described(tmp_path, model) for model in ("bike", "boat")]
    desks[0].land(desks[0].rows(0, 10), 10)
    desks[0].make_version(10)
    (tmp_path / "torn").mkdir()
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / "torn" / name).write_text("{")
    roots = workspaces([tmp_path])
    visitor = Visitor(desks[0], 0)
    with serving(places_app(roots, by="tester", now=lambda: visitor.desk.day(10.5))) as visitor.port:
        status, text = visitor.ask("GET", "/retrim")
        pages = [visitor.ask("GET", f"/retrim/at/{number}") for number in (1, 2, 3)]

    assert status == HTTPStatus.OK
    assert re.findall(r"<h2>(\w+)</h2>", text) == ["WARNING", "UNKNOWN", "OK"]
    assert [code for code, _ in pages] == [HTTPStatus.OK, HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE]
    assert '<a href="/retrim">All models</a>' in pages[0][1]
    assert 'formaction="/retrim/at/1/retrain"' in pages[0][1]


@pytest.mark.server
def test_the_pages_of_a_prefect_server_that_runs_are_a_click_away(visitor: Visitor, server: str) -> None:
    here = visitor.open_workspace()
    app = page_app(
        lambda: Workspace(here.paths, here.params, Env(prefect_url=server)),
        by="t",
        now=lambda: visitor.desk.day(15),
    )
    with serving(app) as port:
        beside = Visitor(visitor.desk, port).ask("GET", "/retrim")[1]

    assert f'<a href="{server.removesuffix("/api")}">Prefect</a>' in beside
    assert "Prefect</a>" not in visitor.ask("GET", "/retrim")[1]
