"""The page as a person has it: in a browser, on a phone, in the dark, by keyboard, with axe looking on."""

import re
from pathlib import Path
from typing import Any

import pytest

from retrim.cli.page import find_page, page_html
from retrim.release.versions import find_live_version
from tests.browser.conftest import NARROW, Open, Visit
from tests.builders.desk import Desk, add_checks

LOOKS: list[dict[str, Any]] = [
    {},
    {"color_scheme": "dark"},
    {"size": NARROW, "has_touch": True},
    {"size": NARROW, "color_scheme": "dark"},
]
MANY_MS = 120_000
REASON = "the north is <worse>"


def act(visit: Visit, button: str) -> str:
    """Gives a reason in the form of a button, presses it, and gives what the page says."""
    name = re.compile(button)
    form = visit.page.locator("form").filter(has=visit.page.get_by_role("button", name=name))
    form.get_by_label("Reason").fill(REASON)
    form.get_by_role("button", name=name).click()
    return visit.said


@pytest.mark.parametrize("looks", LOOKS, ids=["wide", "dark", "phone", "dark phone"])
def test_axe_finds_nothing_grave_and_nothing_scrolls_sideways(
    waiting: Desk, visit: Open, looks: dict[str, Any]
) -> None:
    shown = visit(waiting, 15, **looks)

    assert shown.page.get_by_role("heading", name="Is it healthy?").is_visible()
    assert shown.faults() == []
    assert not shown.scrolls_sideways()


def test_the_dark_page_is_dark(desk: Desk, visit: Open) -> None:
    colours = [
        visit(desk, 15, color_scheme=scheme).page.evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    ]
    light, dark = (sum(int(part) for part in re.findall(r"\d+", colour)[:3]) for colour in colours)

    assert light > 3 * 200 > 3 * 60 > dark


def test_the_file_that_stands_alone_opens_without_a_server(desk: Desk, visit: Open, tmp_path: Path) -> None:
    file = tmp_path / "status.html"
    file.write_text(page_html(find_page(desk.workspace, now=desk.day(15))), encoding="utf-8")
    shown = visit(desk, 15)
    asked: list[str] = []
    shown.page.on("request", lambda request: asked.append(request.url))
    shown.page.goto(file.as_uri())

    assert shown.page.get_by_role("heading", name="What is live, and why?").is_visible()
    assert shown.page.locator("form").count() == 0
    assert shown.faults() == []
    assert [address for address in asked if not address.startswith(("file:", "data:"))] == []


def test_approving_makes_the_version_live_with_reason_and_actor(waiting: Desk, visit: Open) -> None:
    shown = visit(waiting, 15)

    assert act(shown, "^Approve").startswith("Version 3 is live")
    live = find_live_version(waiting.workspace)
    assert live is not None
    assert (live.version, live.by) == (3, "ines")
    assert live.reason.endswith(REASON)
    assert "<worse>" in shown.page.locator("main").inner_text()  # as text


def test_rejecting_refuses_it(waiting: Desk, visit: Open) -> None:
    shown = visit(waiting, 15)

    assert act(shown, "^Reject").startswith("Version 3 is refused")
    assert waiting.workspace.store.runs(waiting.workspace.model)[-1].state == "refused"
    assert shown.page.get_by_role("button", name="Reject").count() == 0


def test_acknowledging_ends_the_hold(desk: Desk, visit: Open) -> None:
    shown = visit(desk, 15)

    assert act(shown, "^Acknowledge").startswith("Acknowledged by ines")
    last = desk.workspace.store.decisions(desk.workspace.model)[-1]
    assert (last.source, last.actor, last.reason) == ("settlement", "ines", REASON)
    assert shown.page.get_by_role("button", name="Acknowledge").count() == 0


def test_a_quarantined_batch_is_landed(desk: Desk, visit: Open) -> None:
    before = len(desk.workspace.landing.batches())

    assert "has landed" in act(visit(desk, 15), "^Land it")
    assert len(desk.workspace.landing.batches()) == before + 1


def test_rolling_back_by_keyboard_alone(desk: Desk, visit: Open) -> None:
    shown = visit(desk, 15)
    for _ in range(60):
        shown.page.keyboard.press("Tab")
        where = shown.page.evaluate(
            "[document.activeElement.tagName, document.activeElement.closest('form')?.innerText]"
        )
        if where[0] == "INPUT" and "Roll back" in where[1]:
            break
    outline = shown.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    shown.page.keyboard.type("complaints")
    shown.page.keyboard.press("Enter")

    assert outline == "solid"
    assert shown.said == "Version 1 is live again instead of version 2: mean loss 1.5 when judged"


def test_without_a_reason_the_browser_sends_nothing(desk: Desk, visit: Open) -> None:
    shown = visit(desk, 15)
    shown.page.get_by_role("button", name="Roll back").click()

    assert shown.page.get_by_role("status").count() == 0
    assert shown.page.evaluate("document.activeElement.name") == "reason"


DETAILS = {
    "decision": ("section#checks tbody a", "decision "),
    "version": ("section#versions tbody a", "version "),
    "batch": ("section#batches tbody a", "batch "),
    "drift": ("table.drift tbody td a", "level at the check"),
}


@pytest.mark.parametrize("looks", [LOOKS[0], LOOKS[3]], ids=["wide", "dark phone"])
@pytest.mark.parametrize("kind", DETAILS)
def test_each_thing_is_one_click_away_at_an_address_of_its_own(
    desk: Desk, visit: Open, kind: str, looks: dict[str, Any]
) -> None:
    where, title = DETAILS[kind]
    shown = visit(desk, 15, **looks)
    shown.page.locator(where).first.click()
    heading = shown.page.get_by_role("heading", level=1).inner_text()
    shown.open(shown.page.url.removeprefix(shown.at))  # as a colleague who was sent it

    assert heading.startswith(title)
    assert shown.page.get_by_role("heading", level=1).inner_text() == heading
    assert shown.faults() == []
    assert not shown.scrolls_sideways()
    shown.page.get_by_role("link", name="generated").first.click()
    assert shown.page.get_by_role("heading", name="Is it healthy?").is_visible()


def test_a_cell_of_the_heat_map_leads_to_both_distributions(desk: Desk, visit: Open) -> None:
    shown = visit(desk, 15)
    shown.page.locator("table.drift td.over a").first.click()
    widths = [
        [round(bar.bounding_box()["width"]) for bar in shown.page.locator(f"tbody span.bar.{window}").all()]  # type: ignore[index]
        for window in ("reference", "current")
    ]

    assert shown.page.get_by_role("heading", name="Both distributions").is_visible()
    assert [len({width for width in each if width}) > 3 for each in widths] == [True, True]
    assert widths[0].index(max(widths[0])) < widths[1].index(max(widths[1]))  # it was shifted up


def test_a_life_of_ten_thousand_checks_is_paged_through(desk: Desk, visit: Open) -> None:
    add_checks(desk, 10_000)
    shown = visit(desk, 15 + 10_000 / 24, limit=MANY_MS)
    first = shown.page.locator("section#checks tbody a").first.inner_text()
    shown.page.get_by_role("link", name="Older checks").click()
    older = shown.page.locator("section#checks tbody a").first.inner_text()
    shown.page.get_by_role("link", name="Newest checks").click()

    assert older < first == shown.page.locator("section#checks tbody a").first.inner_text()
    assert shown.page.locator("section#checks tbody tr").count() == 100
    assert shown.faults() == []
