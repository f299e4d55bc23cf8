"""What is live and what comes next, here or everywhere.

The pages of this workspace in a browser.
"""

import os
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from retrim.cli.base import AsJson, Now, as_time, example, several_workspaces, workspace_here

app = typer.Typer()


@app.command(epilog=example("retrim status"))
def status(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR ...]", help="With --all: workspaces, or folders with workspaces."),
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--all", help="Show every model of these workspaces, and every other model in their stores.")
    ] = False,
    check: Annotated[
        bool,
        typer.Option("--check", help="Print one line for cron and Nagios. Exit code 0: ok, 1: warning, 2: critical."),
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option("--html", metavar="FILE", help="Write the status as a self-contained HTML page with charts."),
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
    from retrim.cli import render
    from retrim.errors import BadInputError

    if check:
        _check(now, as_json=as_json, alone=not (folders or everywhere or page))

    if everywhere:
        from retrim.cli.screens import models_report
        from retrim.reports.health import find_models as look
        from retrim.stats.codec import to_record

        places = look(folders or [], here=Path.cwd(), now=as_time(now))
        render.show({"models": [to_record(place) for place in places]}, models_report(places), as_json=as_json)
        return
    if folders:
        raise BadInputError(
            f"{folders[0]}: without --all, status shows only the workspace you are in; add --all, or leave out "
            "the folder"
        )
    from retrim.cli.answers import find_status
    from retrim.cli.screens import status_report

    if page is not None:
        from retrim.cli.page import find_page, page_html
        from retrim.files import write_file

        write_file(page, page_html(find_page(workspace_here(), now=as_time(now))).encode())
        render.OUT.print(f"written: {page}", highlight=False, markup=False)
        return
    found = find_status(workspace_here(), now=as_time(now))
    render.show(found, status_report(found), as_json=as_json)


def _check(now: str | None, *, as_json: bool, alone: bool) -> NoReturn:
    """Says how healthy the workspace is; ends with the exit code of a Nagios plug-in."""
    from retrim.cli import render
    from retrim.decision.model_health import HealthLevel
    from retrim.errors import BadInputError, RetrimError
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
        print(health.line)  # noqa: T201  one line, however narrow the terminal
    raise typer.Exit(health.level.exit_code)


PORT = 5000


@app.command(epilog=example("retrim ui --port 5001"))
def ui(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[DIR ...]", help="Workspaces, or folders with workspaces.")
    ] = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1. 0: any free port.")] = PORT,
) -> None:
    """Serve the status page and MLflow of this workspace until Ctrl-C.

    If you pass DIR, or run the command in a folder that contains workspaces, it serves the status pages of all
    those workspaces, without MLflow. Models that need a person come first.

    The pages can be opened only on this machine, and they ask for a password. The command prints the path of the
    password file. On the status page you can approve or reject a version, acknowledge a decision on hold, roll back,
    retrain, and land a quarantined batch. Each action needs a reason.
    """
    from retrim.adapters import mlflow_server
    from retrim.cli.page_server import PREFIX, page_app, places_app
    from retrim.files import keep_password, login
    from retrim.reading.address import address_of

    def say_where(password: Path, pages: str) -> None:
        print(f"the status page is at {at}{PREFIX}{pages}")  # noqa: T201  at once, also into a pipe
        print(f"log in as {mlflow_server.USER} with the password in {password}; stop with Ctrl-C", flush=True)  # noqa: T201

    roots = several_workspaces(folders)
    if roots:
        listener = mlflow_server.bind(port)
        at = f"http://{mlflow_server.HOST}:{listener.getsockname()[1]}"
        password = keep_password(roots[0].ui_password)
        say_where(roots[0].ui_password, "")
        pages, mlflow = places_app(roots, by=login(), now=lambda: as_time(None)), None
    else:
        workspace = workspace_here()
        remote = mlflow_server.is_server(workspace.mlflow_url)
        os.chdir(workspace.paths.root)  # an address of a file may be relative to it
        listener = mlflow_server.bind(port)
        at = f"http://{mlflow_server.HOST}:{listener.getsockname()[1]}"
        password = keep_password(workspace.paths.ui_password)
        page = address_of(workspace.mlflow_url).shown if remote else mlflow_server.PAGE
        shown = page if remote else at + page
        file = workspace.paths.ui_password.relative_to(workspace.paths.root)
        say_where(file, f" and, in a few seconds, the MLflow pages at {shown}")
        pages = page_app(workspace_here, by=login(), now=lambda: as_time(None))
        mlflow = None if remote else mlflow_server.MlflowStores(workspace.mlflow_url, workspace.mlflow_artifacts)
    try:
        mlflow_server.serve(listener, mlflow, password=password, own=pages, prefix=PREFIX)
    except KeyboardInterrupt:
        print("stopped", flush=True)  # noqa: T201
