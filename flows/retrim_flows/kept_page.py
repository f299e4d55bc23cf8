"""The page as it is after a check: kept in MLflow beside the version that was live, with a summary in Prefect."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect.artifacts import create_markdown_artifact

from retrim.checking.check import CheckOutcome
from retrim.files import RETRIM
from retrim.lineage.workspace import Workspace
from retrim.reports import kept_page
from retrim_flows.lines import say
from retrim_flows.moment import open_workspace

SECONDS = 120
"""What making a page may take."""
MAKER: ContextVar[Callable[[], bytes] | None] = ContextVar("MAKER", default=None)
"""What makes the page of a check by hand; None: nobody, and only a check of the schedule has one."""


def write_page() -> bytes:
    """The page by the command line, in a process of its own: what goes wrong there ends nothing here."""
    with TemporaryDirectory(prefix="retrim-page-") as folder:
        file = Path(folder) / "status.html"
        command = [*RETRIM, "status", "--html", str(file)]
        subprocess.run(command, check=True, timeout=SECONDS, stdin=subprocess.DEVNULL, capture_output=True)
        return file.read_bytes()


@contextmanager
def made_by(make: Callable[[], bytes]) -> Iterator[None]:
    """Has checks in the block keep their page, made so: a command has loaded what makes it."""
    before = MAKER.set(make)
    try:
        yield
    finally:
        MAKER.reset(before)


def keep_page(checked: CheckOutcome) -> str:
    """Keeps both; why one cannot be kept is only said, and given. A check that was made before has its page."""
    if not checked.fresh:
        return ""
    try:
        workspace = open_workspace()
        kept = kept_page.keep_page(workspace, checked, MAKER.get() or write_page)
        key = "check-" + re.sub("[^a-z0-9]+", "-", workspace.model.lower()).strip("-")
        summary = summarise(workspace, checked, kept)
        create_markdown_artifact(markdown=summary, key=key, description=f"check {checked.id}")
    except Exception as error:  # noqa: BLE001  the check is made, whatever becomes of its page
        failed = f"{type(error).__name__}: {error}"
    else:
        failed = kept.error
    if failed:
        say("page", f"failed: {failed}")
    return failed


def summarise(workspace: Workspace, checked: CheckOutcome, page: kept_page.KeptPage) -> str:
    """A check in some lines of Markdown, and where its page is."""
    record = checked.record
    kept = f"`{page.place}` in the run of the live version"
    if page.place is None:
        kept = f"none is kept, {page.error or 'as no version was live'}"
    lines = (
        f"# {workspace.model}: {checked.outcome}",
        checked.reason,
        f"- as of {record.as_of.isoformat()}, live: {record.champion or 'nothing yet'}",
        f"- drifted: {', '.join(record.drifted) or 'nothing'}",
        f"- page in MLflow: {kept}; the page of the workspace has it at `/retrim/decisions/{checked.id}`",
    )
    return "\n\n".join(lines)
