"""The page as it is after a check: kept in MLflow beside the version that was live, with a summary in Prefect."""

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory

from prefect.artifacts import create_markdown_artifact

from retrim.adapters.database import iso
from retrim.checking.check import CheckOutcome
from retrim.checking.history import CHECK, as_check
from retrim.files import RETRIM
from retrim.lineage.workspace import Workspace
from retrim.reports import kept_page
from retrim_flows.lines import say
from retrim_flows.moment import open_workspace
from retrim_flows.warm_run import FORKED

SECONDS = 120
"""What making a page may take."""
SUMMARIES = "summaries of checks"
"""Up to which check Prefect has one, as the store notes it."""
MAKER: ContextVar[Callable[[], bytes] | None] = ContextVar("MAKER", default=None)
"""What makes the page of a check by hand; None: nobody, and only a check of the schedule has one."""


def write_page() -> bytes:
    """The page by the command line, in another process: what goes wrong there ends nothing here."""
    with TemporaryDirectory(prefix="retrim-page-") as folder:
        file = Path(folder) / "status.html"
        command = [*FORKED, *RETRIM[1:], "status", "--html", str(file)]
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
        for each, page in (*checks_at_once(workspace, checked), (checked, kept)):
            _add_summary(workspace, each, page)
    except Exception as error:  # noqa: BLE001  the check is made, whatever becomes of its page
        failed = f"{type(error).__name__}: {error}"
    else:
        failed = kept.error
    if failed:
        say("page", f"failed: {failed}")
    return failed


def checks_at_once(workspace: Workspace, checked: CheckOutcome) -> list[tuple[CheckOutcome, kept_page.KeptPage]]:
    """Checks by hand that had nothing new and so no flow run, since the last check that had one; each with its page."""
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=kept_page.MOST_PAGES)
    done = workspace.store.done_until(workspace.model, SUMMARIES)
    made = []
    for row in rows:
        if done is not None and row.as_of > done and row.id != checked.id:
            at_once = CheckOutcome(row.id, row.outcome, row.reason, as_check(row).record, fresh=True)
            kept = kept_page.find_kept_page(workspace, row.id, at_once.record.champion)
            page = kept_page.KeptPage(None if kept is None else kept_page.place_of(row.id))
            made.append((at_once, page))
    return made


def _add_summary(workspace: Workspace, checked: CheckOutcome, page: kept_page.KeptPage) -> None:
    """An artifact of Prefect, at the flow run that goes on."""
    key = "check-" + re.sub("[^a-z0-9]+", "-", workspace.model.lower()).strip("-")
    summary = summarise(workspace, checked, page)
    create_markdown_artifact(markdown=summary, key=key, description=f"check {checked.id}")
    workspace.store.mark_done(workspace.model, SUMMARIES, until=iso(checked.record.as_of))


def summarise(workspace: Workspace, checked: CheckOutcome, page: kept_page.KeptPage) -> str:
    """A check in some lines of Markdown, and where its page is."""
    record = checked.record
    kept = f"`{page.place}` in the run of the live version"
    if page.place is None:
        missing = "it could not be stored, or it was removed with older pages"
        why = "no version was live" if record.champion is None else missing
        kept = f"none ({page.error or why})"
    lines = (
        f"# {workspace.model}: {checked.outcome}",
        checked.sentence,
        f"- as of {record.as_of.isoformat()}, live version: {record.champion or 'none yet'}",
        f"- drifted columns: {', '.join(record.drifted) or 'none'}",
        f"- page in MLflow: {kept}; in the workspace's pages: `/retrim/decisions/{checked.id}`",
    )
    return "\n\n".join(lines)
