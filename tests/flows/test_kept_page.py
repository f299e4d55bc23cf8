"""The page of a check is kept beside the version that was live; where that fails, the check is made all the same."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from retrim.checking.check import CheckOutcome, check
from retrim.cli.page import find_page, keep_page_of, page_html, pictures_in
from retrim.reports import kept_page
from retrim_flows import kept_page as module
from tests.builders.desk import START, Desk, make_desk

pytestmark = pytest.mark.slow


@pytest.fixture
def said() -> list[str]:
    """What the schedule printed, and the summaries that Prefect was given."""
    return []


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> Desk:
    desk = make_desk(tmp_path / "workspace")
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    desk.land(desk.rows(10, 12), 12)
    monkeypatch.setattr(module, "open_workspace", lambda: desk.workspace)
    monkeypatch.setattr(module, "create_markdown_artifact", lambda **given: said.append(given["markdown"]))
    monkeypatch.setattr(module, "say", lambda what, result: said.append(f"{what}: {result}"))
    monkeypatch.setattr(module, "write_page", lambda: b"a page")
    return desk


def checked(desk: Desk, day: float = 12) -> CheckOutcome:
    return check(desk.workspace, by="a test", now=desk.day(day))


def test_it_lies_beside_the_version_and_the_summary_says_where(desk: Desk, said: list[str]) -> None:
    done = checked(desk)
    module.keep_page(done)

    assert desk.shelf.beside == {1: {f"checks/{done.id}.html": b"a page"}}
    assert f"checks/{done.id}.html" in said[-1]
    assert done.reason in said[-1]


def test_its_figures_stand_in_the_run_of_the_version(desk: Desk, said: list[str]) -> None:
    desk.land(desk.rows(10, 12), 12)
    done = checked(desk)
    module.keep_page(done)

    assert desk.shelf.figures[1]["loss"] == done.record.loss
    assert {"loss_expected", "loss_naive", "drifted_columns"} <= desk.shelf.figures[1].keys()


@pytest.mark.parametrize(
    "error",
    [OSError("the disk is full"), subprocess.TimeoutExpired("retrim", 120), subprocess.CalledProcessError(3, "x")],
)
@pytest.mark.parametrize("broken", ["write_page", "create_markdown_artifact", "open_workspace"])
def test_a_page_that_cannot_be_kept_fails_no_check(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, said: list[str], broken: str, error: Exception
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    done = checked(desk)
    monkeypatch.setattr(module, broken, refuse)
    module.keep_page(done)

    assert said[-1].startswith(f"page: failed: {type(error).__name__}: ")


def test_a_page_that_is_too_large_is_not_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch, said: list[str]) -> None:
    monkeypatch.setattr(module, "write_page", lambda: bytes(kept_page.MOST_BYTES + 1))
    module.keep_page(checked(desk))

    told = ["1000001" in line and "1000000" in line for line in said]

    assert desk.shelf.beside == {}
    assert told == [True, True]  # the summary, and the line of the schedule


def test_a_check_that_was_made_before_keeps_no_second_page(desk: Desk, said: list[str]) -> None:
    checked(desk)
    module.keep_page(checked(desk))

    assert (desk.shelf.beside, said) == ({}, [])


def test_checks_that_had_no_flow_run_get_their_summary_with_the_next_that_has_one(desk: Desk, said: list[str]) -> None:
    module.keep_page(checked(desk))
    at_once = [check(desk.workspace, by="a test", now=desk.day(day)) for day in (12.1, 12.2)]
    failed = [keep_page_of(desk.workspace, at_once[1], now=desk.day(12.2))]
    said.clear()
    desk.land(desk.rows(12, 13), 13)
    newest = check(desk.workspace, by="a test", now=desk.day(13))
    module.keep_page(newest)
    module.keep_page(replace(newest, fresh=False))

    assert failed == [""]
    assert [each.id in line for each, line in zip((*at_once, newest), said, strict=True)] == [True] * 3
    assert [f"`checks/{each.id}.html`" in line for each, line in zip((*at_once, newest), said, strict=True)] == [
        False,  # as nobody kept it
        True,
        True,
    ]


def test_with_nothing_new_the_page_has_the_pictures_of_the_page_before(desk: Desk) -> None:
    first = checked(desk)
    drawn = page_html(find_page(desk.workspace, now=desk.day(12)))
    desk.shelf.add_files(1, {f"checks/{first.id}.html": drawn.encode()})
    again = check(desk.workspace, by="a test", now=desk.day(12.1))
    said = keep_page_of(desk.workspace, again, now=desk.day(12.1))
    kept = desk.shelf.beside[1][f"checks/{again.id}.html"]

    assert said == ""
    assert pictures_in(kept) == pictures_in(drawn.encode()) != ()
    assert "the pictures are those of that check" in kept.decode()
    assert again.id in kept.decode()


def test_pages_of_older_checks_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_page, "MOST_PAGES", 2)
    done = []
    for day in (12, 13, 14):
        desk.land(desk.rows(day, day + 1), day + 1)
        done.append(check(desk.workspace, by="a test", now=desk.day(day + 1)))
        module.keep_page(done[-1])

    assert sorted(desk.shelf.beside[1]) == sorted(f"checks/{each.id}.html" for each in done[1:])


def test_those_that_acted_are_kept_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"rules": ["drift"], "drift_columns": ["level"], "drift_checks": [1, 1]}
    desk = make_desk(
        tmp_path / "workspace",
        drift={"kind": "shift", "size": 2.0, "since": START + pd.Timedelta("10D")},
        changes={"triggers": rule},
    )
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    for day in (13, 16, 19):
        desk.land(desk.rows(day - 3, day), day)
        first = checked(desk, day)
    done = [first, *(checked(desk, day) for day in (19.1, 19.2))]
    for each in done:
        kept_page.keep_page(desk.workspace, each, lambda: b"a page")
    monkeypatch.setattr(kept_page, "MOST_PAGES", 1)
    kept_page.keep_page(desk.workspace, done[-1], lambda: b"a page")

    assert [each.outcome for each in done] == ["retrain", "none", "none"]
    assert sorted(desk.shelf.beside[1]) == sorted(f"checks/{each.id}.html" for each in (done[0], done[-1]))
