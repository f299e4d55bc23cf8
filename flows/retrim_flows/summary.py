"""What a check leaves in other tools: a short Markdown artifact in Prefect, and its figures in MLflow."""

import re

from prefect.artifacts import create_markdown_artifact

from retrim.checking.check import CheckOutcome
from retrim.lineage.workspace import Workspace
from retrim_flows.context import say


def leave_summary(workspace: Workspace, checked: CheckOutcome) -> None:
    """Does so once for each check. That a tool is away fails no check: a line of the schedule says so."""
    if not checked.fresh:
        return
    key = "check-" + re.sub("[^a-z0-9]+", "-", workspace.model.lower()).strip("-")
    try:
        create_markdown_artifact(summarise(workspace.model, checked), key, description=f"check {checked.id}")
        _log_figures(workspace, checked)
    except Exception as error:  # noqa: BLE001  the check is made, whatever becomes of its summary
        say("summary", f"failed: {type(error).__name__}: {error}")


def summarise(model: str, checked: CheckOutcome) -> str:
    """A check in some lines of Markdown."""
    record = checked.record
    figures = {} if record.performance.comparison is None else record.performance.comparison.figures
    lines = (
        f"# {model}: {checked.outcome}",
        checked.sentence,
        f"- as of {record.as_of.isoformat()}, live version: {record.champion or 'none yet'}",
        *(f"- {name.replace('_', ' ')}: {value:.4g}" for name, value in figures.items()),
        f"- accumulated gain: {record.gain.now.balance:.4g} of {record.gain.retraining_cost:.4g}",
        f"- drifted columns: {', '.join(record.drift.drifted) or 'none'}",
        f"- on the status page: `/retrim/decisions/{checked.id}`",
    )
    return "\n\n".join(lines)


def _log_figures(workspace: Workspace, checked: CheckOutcome) -> None:
    record = checked.record
    if record.champion is not None and record.performance.comparison is not None:
        figures = record.performance.comparison.figures | {"drifted_columns": len(record.drift.drifted)}
        step = workspace.store.last_sequence(workspace.model)
        workspace.registry.log_check(record.champion, figures, step=step, at=record.as_of)
