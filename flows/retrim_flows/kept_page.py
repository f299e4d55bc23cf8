"""The page as it is after a check: kept in MLflow beside the version that was live, with a summary in Prefect."""

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect.artifacts import create_markdown_artifact

from retrim.checking.check import CheckOutcome
from retrim.checking.history import CHECK
from retrim.errors import RetrimError
from retrim.files import RETRIM
from retrim.lineage.workspace import Workspace
from retrim_flows.lines import say
from retrim_flows.moment import open_workspace

SECONDS = 120
"""What making a page may take."""
MOST_BYTES = 1_000_000
"""Of a page that is kept: each check has one."""
MOST_PAGES = 100
"""Of checks whose pages are kept beside a version: at an hour a check four days, and 40 MB."""


def keep_page(checked: CheckOutcome) -> None:
    """Keeps both; that one cannot be kept is only said. A check that was made before has its page."""
    if not checked.fresh:
        return
    try:
        workspace = open_workspace()
        place = _keep_page(workspace, checked)
        key = "check-" + re.sub("[^a-z0-9]+", "-", workspace.model.lower()).strip("-")
        summary = summarise(workspace, checked, place)
        create_markdown_artifact(markdown=summary, key=key, description=f"check {checked.id}")
        if checked.record.champion is not None:
            _drop_old_pages(workspace, checked.record.champion)
    except Exception as error:  # noqa: BLE001  the check is made, whatever becomes of its page
        say("page", f"failed: {type(error).__name__}: {error}")


def summarise(workspace: Workspace, checked: CheckOutcome, place: str | None) -> str:
    """A check in some lines of Markdown, and where its page is."""
    record = checked.record
    kept = "none is kept, as no version was live" if place is None else f"`{place}` in the run of the live version"
    lines = (
        f"# {workspace.model}: {checked.outcome}",
        checked.reason,
        f"- as of {record.as_of.isoformat()}, live: {record.champion or 'nothing yet'}",
        f"- drifted: {', '.join(record.drifted) or 'nothing'}",
        f"- page in MLflow: {kept}; the page of the workspace has it at `/retrim/decisions/{checked.id}`",
    )
    return "\n\n".join(lines)


def write_page(file: Path) -> None:
    """Has the command line write the page, in a process of its own: what goes wrong there ends nothing here."""
    command = [*RETRIM, "status", "--html", str(file)]
    subprocess.run(command, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL, capture_output=True)


def _keep_page(workspace: Workspace, checked: CheckOutcome) -> str | None:
    """Where the page is among the artifacts of the run of the version that was live; None where none was."""
    if checked.record.champion is None:
        return None
    with TemporaryDirectory(prefix="retrim-page-") as folder:
        file = Path(folder) / "status.html"
        write_page(file)
        page = file.read_bytes()
    if len(page) > MOST_BYTES:
        raise RetrimError(f"it has {len(page)} bytes, more than {MOST_BYTES}")
    name = place_of(checked.id)
    workspace.registry.add_files(checked.record.champion, {name: page})
    return name


def place_of(check: str) -> str:
    """Where the page of a check is among the artifacts of the run of a version."""
    return f"checks/{check}.html"


def _drop_old_pages(workspace: Workspace, version: int) -> None:
    """Keeps the pages of the newest checks, of those beside a version."""
    newest = workspace.store.decisions(workspace.model, source=CHECK, newest=MOST_PAGES)
    workspace.registry.drop_files(version, "checks", kept={place_of(row.id) for row in newest})
