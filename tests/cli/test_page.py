"""The page of a workspace: five answers on top, every check with an address, nothing loaded, nothing unescaped."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from retrim.cli.page import StatusPage, drift_table, find_page, page_html
from tests.builders.desk import START, Desk, make_desk

SHIFT = {"kind": "shift", "size": 3.0, "since": START + pd.Timedelta(12, "D")}
FETCHES = {"img": "src", "script": "src", "link": "href", "iframe": "src"}


class Read(HTMLParser):
    """The anchors, targets, loaded addresses and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: list[str] = []
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if "id" in found:
            self.anchors.append(found["id"])
        if tag == "a":
            self.targets.append(found["href"].removeprefix("#"))
        if FETCHES.get(tag) in found:
            self.loaded.append(found[FETCHES[tag]])


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A version, and four checks of rows that shift."""
    made = make_desk(tmp_path_factory.mktemp("page") / "workspace", drift=SHIFT, changes={"gain": {"cost": 1000.0}})
    made.land(made.rows(0, 10), 10)
    made.make_version(10)
    for day in (12, 14, 16, 18):
        made.land(made.rows(day - 2, day), day)
        made.check(day)
    return made


@pytest.fixture(scope="module")
def page(desk: Desk) -> StatusPage:
    return find_page(desk.workspace, now=desk.day(18))


def test_it_answers_what_a_person_asks_first(page: StatusPage) -> None:
    said = {answer.question: answer for answer in page.answers}

    assert said["What is live, and why?"].lines[0].startswith("version 1 since")
    assert said["Why was it retrained, or not, at the last check?"].lines[0].startswith("none: accumulated gain")
    assert not said["What happens next?"].calm  # nothing is scheduled here
    assert said["What waits for you?"].lines == ("Nothing.",)


def test_every_check_version_and_batch_has_an_address_that_leads_there(desk: Desk, page: StatusPage) -> None:
    read = Read(page_html(page))
    checks = [row.id for row in desk.workspace.store.decisions(desk.workspace.model, source="check")]
    batches = [file.batch for file in desk.workspace.landing.batches()]

    assert len(checks) == 4
    assert {*checks, *batches, "version-1"} <= set(read.anchors)
    assert set(read.targets) <= set(read.anchors)
    assert len(read.anchors) == len(set(read.anchors))


def test_it_loads_nothing_and_runs_nothing(page: StatusPage) -> None:
    read = Read(page_html(page))

    assert len(read.loaded) == 2
    assert all(address.startswith("data:image/png;base64,") for address in read.loaded)
    assert "script" not in read.tags


def test_what_a_table_names_is_text(page: StatusPage) -> None:
    evil = "<script>alert(1)</script>"
    row = (evil, (page.drift[0][1][0],) * len(page.drift_at))
    text = page_html(replace(page, model=evil, facts=((evil, evil),), drift=(row,)))

    assert evil not in text
    assert "script" not in Read(text).tags


def test_columns_that_drift_are_shaded_at_the_checks_that_saw_it(desk: Desk, page: StatusPage) -> None:
    by_name = dict(page.drift)
    shifted = [cell.over for cell in by_name["level"]]

    assert shifted == [False, True, True, True]
    assert by_name["level"][0].level < 3
    assert drift_table([]) == ((), ())


def test_same_state_same_bytes(desk: Desk, page: StatusPage) -> None:
    assert page_html(page) == page_html(find_page(desk.workspace, now=desk.day(18)))


def test_before_the_first_version_it_says_what_to_do(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    page = find_page(desk.workspace, now=desk.day(1))

    assert page.pictures == ()
    assert ("to do", "land rows: retrim ingest FILE; then make version 1: retrim retrain") in page.facts
    assert "No check has been made yet" in page_html(page)
