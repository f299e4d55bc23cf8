"""A browser, and workspaces in which something waits for a person; `make e2e` runs what lies here."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrim.cli.page_server import PREFIX, page_app
from retrim.landing.ingest import land_batch
from tests.builders.desk import Desk, copy_of, make_desk
from tests.builders.served import serving
from tests.checking.test_settle import LEVEL, WIDE, beat

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PAGE_MS = 30_000
"""What any step on a page may take."""
NARROW, WIDE_SCREEN = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
BOUNDED = """{"name": "none", "expectations": [{"type": "expect_column_values_to_be_between",
    "kwargs": {"column": "level", "max_value": 1000}}]}"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Debian's Chromium without a screen."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium")
    if found is None:
        pytest.exit("chromium was not found; install it (Debian: apt-get install chromium)", returncode=2)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page that is open, and what went wrong on it."""

    page: "Page"
    at: str
    wrong: list[str] = field(default_factory=list)

    def open(self, path: str = PREFIX) -> None:
        answer = self.page.goto(f"{self.at}{path}")
        assert answer is not None
        assert answer.ok, answer.status

    @property
    def said(self) -> str:
        """What came of the last action."""
        return self.page.get_by_role("status").inner_text()

    def faults(self) -> list[str]:
        """What axe finds grave or worse."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        grave = [each for each in found if each["impact"] in ("serious", "critical")]
        return [f"{each['id']}: {[node['html'] for node in each['nodes']][:3]}" for each in grave]

    def scrolls_sideways(self) -> bool:
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


def watched(context: "BrowserContext") -> "tuple[Page, list[str]]":
    """A page with a time limit, and the list that its errors go into."""
    context.set_default_timeout(PAGE_MS)
    page, wrong = context.new_page(), list[str]()
    page.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    return page, wrong


Open = Callable[..., Visit]


@pytest.fixture
def visit(browser: "Browser") -> Iterator[Open]:
    """Opens the pages of a desk at a day; no error may have been written to the console when the test ends."""
    visits: list[Visit] = []
    with ExitStack() as stack:

        def opened(
            desk: Desk, day: float, *, size: dict[str, int] = WIDE_SCREEN, limit: int = PAGE_MS, **looks: Any
        ) -> Visit:
            app = page_app(lambda: desk.workspace, by="ines", now=lambda: desk.day(day))
            port = stack.enter_context(serving(app))
            context = browser.new_context(viewport=size, **looks)  # type: ignore[arg-type]
            stack.callback(context.close)
            page, wrong = watched(context)
            page.set_default_timeout(limit)
            visits.append(Visit(page, f"http://127.0.0.1:{port}", wrong))
            visits[-1].open()
            return visits[-1]

        yield opened
    assert [text for each in visits for text in each.wrong] == []


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Two versions, the second live; a drift that is held since day 14; and a batch in quarantine."""
    desk = make_desk(
        tmp_path_factory.mktemp("browser") / "workspace",
        changes={
            "triggers": LEVEL,
            "drift": {"min_rows": 24, "alarms": None, "tests": WIDE},
            "release": {"approval": {"moves": ["promote"]}},
        },
    )
    desk.land(desk.rows(0, 10), 10)
    desk.make_version(10)
    first = beat(desk, 12, level=6)
    desk.make_version(12, decision=first.id)
    assert beat(desk, 14, level=-6).outcome == "held"
    workspace = desk.workspace
    (workspace.paths.root / "expectations" / "generated.json").write_text(BOUNDED)
    file = workspace.paths.root / "heavy.csv"
    desk.rows(14, 14.5).assign(level=5000.0).to_csv(file, index=False)
    params, at = workspace.params, desk.day(14.6)
    landed = land_batch(file, workspace=workspace.paths, data=params.data, now=at, correction=False)
    assert landed.outcome == "quarantined", landed
    return desk


@pytest.fixture
def desk(made: Desk, tmp_path: Path) -> Desk:
    return copy_of(made, tmp_path / "workspace")


@pytest.fixture
def waiting(desk: Desk) -> Desk:
    """The same with a version 3 that waits for approval; that a person asked for it has ended the hold."""
    desk.make_version(14.7, waits=True)
    return desk
