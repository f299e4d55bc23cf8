"""The pictures of the page in the README, of a demo that has been run: `make demo`, then

    .venv/bin/python .ci/screenshots.py [WORKSPACE] [FOLDER]

WORKSPACE is var/demo by default, FOLDER docs/images. Debian's Chromium takes them of the page as of the last check;
each has to stay below 150 kB.
"""

import shutil
import sys
from functools import partial
from pathlib import Path

import pandas as pd
from PIL import Image
from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from retrim.cli.page_server import PREFIX, page_app  # noqa: E402
from retrim.files import WorkspacePaths  # noqa: E402
from retrim.lineage.workspace import open_workspace  # noqa: E402
from tests.builders.served import serving  # noqa: E402

MOST_BYTES = 150_000
SIZE = {"width": 1000, "height": 860}
COLOURS = 128  # enough for text and flat charts


def main(root: Path, folder: Path) -> None:
    workspace = open_workspace(root)
    last = workspace.store.decisions(workspace.model, source="check", newest=1)[-1]
    folder.mkdir(parents=True, exist_ok=True)

    def keep(shown: Page | Locator, name: str) -> None:
        file = folder / f"{name}.png"
        shown.screenshot(path=file)
        with Image.open(file) as picture:
            picture.convert("RGB").quantize(COLOURS).save(file, optimize=True)
        size = file.stat().st_size
        print(f"{file.name}: {size / 1000:.0f} kB")
        if size > MOST_BYTES:
            sys.exit(f"{file} has {size} bytes; at most {MOST_BYTES} are allowed")

    app = page_app(partial(open_workspace, root), by="you", now=lambda: pd.Timestamp(last.as_of))
    with sync_playwright() as playwright, serving(app) as port:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)  # type: ignore[arg-type]
        page.goto(f"http://127.0.0.1:{port}{PREFIX}")
        keep(page, "page")
        keep(page.locator("section#drift"), "drift")
        page.locator("table.drift td.over a").first.click()
        keep(page, "distributions")
        browser.close()


if __name__ == "__main__":
    given = [Path(each).resolve() for each in sys.argv[1:]]
    place, into, *_ = [*given, *[ROOT / "var" / "demo", ROOT / "docs" / "images"][len(given) :]]
    main(WorkspacePaths(place).root, into)
