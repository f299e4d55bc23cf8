"""The page of a check is kept beside the version that was live; where that fails, the check is made all the same."""

from pathlib import Path
from typing import Any

import pytest

from retrim.checking.check import CheckOutcome, check
from retrim.cli.page import keep_page
from retrim_flows import monitor as module
from tests.builders.desk import Desk, add_checks, make_desk

pytestmark = pytest.mark.slow


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    desk.land(desk.rows(10, 12), 12)
    return desk


def checked(desk: Desk) -> CheckOutcome:
    return check(desk.workspace, by="a test", now=desk.day(12))


def test_after_ten_thousand_checks_a_page_is_small(desk: Desk) -> None:
    checked(desk)
    add_checks(desk, 10_000)
    newest = desk.workspace.store.decisions(desk.workspace.model)[-1]
    name = keep_page(desk.workspace, newest.id, 1, now=desk.day(430))
    page = desk.shelf.beside[1][name]

    assert name == f"checks/{newest.id}.html"
    assert newest.id in page.decode()
    assert len(page) < 500_000


@pytest.mark.parametrize("broken", ["keep_page", "create_markdown_artifact", "open_workspace"])
def test_a_page_that_cannot_be_kept_fails_no_check(desk: Desk, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    said: list[str] = []

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(module, "open_workspace", lambda: desk.workspace)
    monkeypatch.setattr(module, "create_markdown_artifact", lambda **given: said.append(given["markdown"]))
    monkeypatch.setattr(module, "say", lambda what, result: said.append(f"{what}: {result}"))
    monkeypatch.setattr(module, broken, refuse)
    module.show(checked(desk), desk.day(12))

    assert said[-1] == "page: failed: OSError: the disk is full"


def test_a_check_that_was_made_before_keeps_no_second_page(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "open_workspace", lambda: desk.workspace)
    monkeypatch.setattr(module, "create_markdown_artifact", lambda **_: None)
    module.show(checked(desk), desk.day(12))
    first = dict(desk.shelf.beside[1])
    desk.shelf.beside.clear()
    module.show(checked(desk), desk.day(12))

    assert len(first) == 1
    assert desk.shelf.beside == {}
