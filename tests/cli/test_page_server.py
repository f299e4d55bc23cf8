"""The page over HTTP: what a person does from it is done with the reason, and what is refused says so."""

import http.client
import re
from collections.abc import Iterator
from http import HTTPStatus
from urllib.parse import urlencode

import pytest

from retrim.adapters.mlflow_server import HOST
from retrim.cli.page_server import MOST_BYTES, page_app
from retrim.errors import BadInputError
from retrim.lineage.workspace import Workspace
from tests.builders.desk import Desk, make_desk
from tests.builders.served import SECONDS, serving


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
    app = page_app(made.open_workspace, by="tester", now=lambda: desk.day(15), links=(("MLflow", "/#/experiments"),))
    with serving(app) as made.port:
        yield made


def test_it_shows_the_state_of_the_moment_and_what_may_be_done(visitor: Visitor) -> None:
    status, text = visitor.ask("GET", "/retrim")

    assert status == HTTPStatus.OK
    assert "version 2 since" in text
    assert 'formaction="/retrim/rollback"' in text
    assert '<a href="/#/experiments">MLflow</a>' in text
    assert "default-src 'none'" in visitor.headers["content-security-policy"]
    assert visitor.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("action", "fields", "words"),
    [
        ("rollback", {"value": "1"}, "Say why: nothing was done."),
        ("rollback", {"value": "1", "reason": "  "}, "Say why: nothing was done."),
        ("rollback", {"value": "one", "reason": "why"}, "is not the number of a version"),
        ("rollback", {"value": "9" * 5000, "reason": "why"}, "is not the number of a version"),
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


def test_a_rollback_is_done_and_kept_with_the_reason(visitor: Visitor) -> None:
    status, text = visitor.ask("POST", "/retrim/rollback", value="1", reason="the north is <worse>")
    last = visitor.desk.workspace.store.releases(visitor.desk.workspace.model)[-1]

    assert (status, said(text)) == (HTTPStatus.OK, "Version 1 is live again; 2 was before")
    assert (last.version, last.actor, last.reason) == (1, "tester", "the north is <worse>")
    assert "<worse>" not in text
