"""The page and the figures of a check, kept in MLflow beside the version that was live."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from retrim.checking.check import CheckOutcome
from retrim.checking.history import CHECK, as_check
from retrim.errors import RetrimError
from retrim.lineage.workspace import Workspace

MOST_BYTES = 1_000_000
"""Of a page that is kept: each check has one."""
MOST_PAGES = 100
"""Of checks whose pages are kept beside a version, and as many older ones that acted: 40 to 80 MB."""


@dataclass(frozen=True)
class KeptPage:
    """Where the page of a check is.

    Args:
        place: Among the artifacts of the run of the version that was live; None: it is kept nowhere.
        error: Why it could not be kept; empty: it was, or no version was live, or the check was made before.
    """

    place: str | None
    error: str = ""


def keep_page(workspace: Workspace, checked: CheckOutcome, make: Callable[[], bytes]) -> KeptPage:
    """Keeps the page, and drops those of old checks. That it cannot be kept is said: the check is made all the same.

    Args:
        workspace: The workspace.
        checked: The check.
        make: Gives the page as it is now.
    """
    version = checked.record.champion
    if version is None or not checked.fresh:
        return KeptPage(None)
    try:
        page = make()
        if len(page) > MOST_BYTES:
            raise RetrimError(f"the page has {len(page)} bytes, but at most {MOST_BYTES} bytes are allowed")
        place, row = place_of(checked.id), workspace.store.version(workspace.model, version)
        run = None if row is None else row.made_from.mlflow_run
        workspace.registry.add_files(version, {place: page}, run=run)
        comparison = checked.record.comparison
        if comparison is not None:
            figures = comparison.figures | {"drifted_columns": len(checked.record.drifted)}
            number = workspace.store.last_sequence(workspace.model)
            workspace.registry.log_check(version, figures, step=number, at=checked.record.as_of)
        decisions = partial(workspace.store.decisions, workspace.model, source=CHECK, newest=MOST_PAGES)
        kept = {place_of(row.id) for row in (*decisions(), *decisions(acted=True))}
        workspace.registry.drop_files(version, "checks", kept=kept, run=run)
    except Exception as error:  # noqa: BLE001  whatever becomes of its page
        return KeptPage(None, str(error) if isinstance(error, RetrimError) else f"{type(error).__name__}: {error}")
    return KeptPage(place)


@dataclass(frozen=True)
class PageBefore:
    """The page of the check before.

    Args:
        as_of: Of that check.
        page: It.
    """

    as_of: str
    page: bytes


def find_page_before(workspace: Workspace, checked: CheckOutcome) -> PageBefore | None:
    """The page of the check before, where it is kept and the same version was live."""
    rows = workspace.store.decisions(workspace.model, source=CHECK, newest=2)
    if len(rows) < 2 or rows[1].id != checked.id:
        return None
    page = find_kept_page(workspace, rows[0].id, as_check(rows[0]).record.champion)
    same = as_check(rows[0]).record.champion == checked.record.champion
    return PageBefore(rows[0].as_of, page) if same and page is not None else None


def find_kept_page(workspace: Workspace, check: str, version: int | None) -> bytes | None:
    """The page of a check beside the version that was live; None where it is not kept."""
    row = None if version is None else workspace.store.version(workspace.model, version)
    if row is None:
        return None
    return workspace.registry.file_of(row.version, place_of(check), run=row.made_from.mlflow_run)


def place_of(check: str) -> str:
    """Where the page of a check is among the artifacts of the run of a version."""
    return f"checks/{check}.html"
