"""What is live and what comes next, here or everywhere."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from retrim.cli import render
from retrim.cli.base import AsJson, Now, argument, as_time, example, option, workspace_here
from retrim.errors import BadInputError, RetrimError
from retrim.files import write_file

app = typer.Typer()


@app.command(epilog=example("retrim status"))
def status(
    folders: Annotated[
        list[Path] | None, argument("[DIR ...]", "With --all: workspaces, or folders with workspaces.")
    ] = None,
    everywhere: Annotated[
        bool, option("--all", "Show every model of these workspaces, and every other model in their stores.")
    ] = False,
    check: Annotated[
        bool, option("--check", "Print one line for cron and Nagios. Exit code 0: ok, 1: warning, 2: critical.")
    ] = False,
    page: Annotated[
        Path | None, option("--html FILE", "Write the status as a self-contained HTML page with charts.")
    ] = None,
    now: Now = None,
    as_json: AsJson = False,
) -> None:
    """Show on one screen what is live and what comes next.

    The command shows what is wrong, the live version, the last check, the accumulated gain against the retraining
    cost, the last decision and the next scheduled run. --now judges checks, batches and the schedule as of a moment;
    the live version is always that of today. --all prints one line per model: the live version, the last check, what is
    wrong with the model, and what waits for a person, is late or has failed. --check prints one line
    that says what is wrong and what to do. The exit code of --check is 3 if the state cannot be read.
    """
    if check:
        _check(now, as_json=as_json, alone=not (folders or everywhere or page))

    if everywhere:
        from retrim.cli.screens.status import models_report
        from retrim.reports.health import find_models as look

        places = look(folders or [], here=Path.cwd(), now=as_time(now))
        render.show({"models": places}, models_report(places), as_json=as_json)
        return
    if folders:
        raise BadInputError(
            f"{folders[0]}: without --all, status shows only the workspace you are in; add --all, or leave out "
            "the folder"
        )
    from retrim.cli.screens.status import status_report
    from retrim.cli.status_answer import find_status

    if page is not None:
        from retrim.cli.page import find_page, page_html

        write_file(page, page_html(find_page(workspace_here(), now=as_time(now))).encode())
        render.OUT.print(f"written: {page}")
        return
    status = find_status(workspace_here(), now=as_time(now))
    render.show(status, status_report(status), as_json=as_json)


def _check(now: str | None, *, as_json: bool, alone: bool) -> NoReturn:
    """Says how healthy the workspace is; ends with the exit code of a Nagios plug-in."""
    from retrim.decision.model_health import HealthLevel
    from retrim.reports.health import Health, find_health

    try:
        if not alone:
            raise BadInputError(
                "--check prints one line about the workspace you are in; leave out --all, --html and the folders"
            )
        health = find_health(workspace_here(), now=as_time(now))
    except (RetrimError, OSError) as error:
        health = Health(HealthLevel.UNKNOWN, (str(error),), "")
    if as_json:
        render.show_json(health)
    else:
        render.print_now(health.line)
    raise typer.Exit(health.level.exit_code)
