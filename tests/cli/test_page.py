"""The page of a workspace: five answers on top, every check with an address, nothing loaded, nothing unescaped."""

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pandas as pd
import pytest

from retrim.cli.page import MOST_LISTED, StatusPage, drift_table, find_page, page_html
from retrim.decision import check_record
from tests.builders.desk import START, Desk, add_checks, copy_of, make_desk

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
    made = make_desk(
        tmp_path_factory.mktemp("page") / "workspace", drift=SHIFT, changes={"gain": {"cost": 1000.0}}, version_at=10
    )
    for day in (12, 14, 16, 18):
        made.pass_days(day - 2, day)
    return made


@pytest.fixture(scope="module")
def page(desk: Desk) -> StatusPage:
    return find_page(desk.workspace, now=desk.day(18))


def test_it_answers_what_a_person_asks_first(page: StatusPage) -> None:
    said = {answer.question: answer for answer in page.answers}

    assert said["What is live, and why?"].lines[0].startswith("version 1 since")
    assert said["Why was it retrained, or not, at the last check?"].lines[0].startswith("none: accumulated gain")
    assert not said["What happens next?"].calm  # nothing is scheduled here
    asked = "The last check asks: retrim retrain --reason WHY, or let the accumulated gain decide."
    assert said["What waits for you?"].lines == (asked,)


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

    assert len(read.loaded) == len(page.pictures) > 0
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


def test_ten_thousand_checks_are_read_in_parts(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    many = copy_of(desk, tmp_path / "workspace")
    add_checks(many, 10_000)
    now = many.day(19 + 10_000 / 24)
    reads: list[Any] = []
    read = check_record.read_record
    monkeypatch.setattr(check_record, "read_record", lambda kind, kept: reads.append(kind) or read(kind, kept))
    newest = find_page(many.workspace, now=now)
    ((_, address), *_) = newest.tables[0].others
    older = find_page(many.workspace, now=now, until=unquote(address.removeprefix("?until=")))
    listed = [[row[0] for row in page.tables[0].rows] for page in (newest, older)]

    assert len(page_html(newest)) < 1_000_000
    assert listed[0][0] == many.workspace.store.decisions(many.workspace.model)[-1].id
    assert [len(rows) for rows in listed] == [MOST_LISTED, MOST_LISTED]
    assert listed[0][-1] > listed[1][0]  # the ids are of moments
    assert older.tables[0].others[-1] == ("Newest checks", "")
    assert len(reads) < 2000


def test_before_the_first_version_it_says_what_to_do(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "workspace")
    page = find_page(desk.workspace, now=desk.day(1))

    assert page.pictures == ()
    assert ("to do", "land rows: retrim ingest FILE; then train version 1: retrim retrain") in page.facts
    assert "No check has been made yet" in page_html(page)
