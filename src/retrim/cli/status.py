"""What is live and what comes next, here or everywhere.

The pages of this workspace in a browser.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from retrim.cli.base import AsJson, as_time, example, workspace_here

app = typer.Typer()


@app.command(epilog=example("retrim status"))
def status(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[DIR ...]", help="With --all: workspaces, or folders with workspaces."),
    ] = None,
    everywhere: Annotated[
        bool, typer.Option("--all", help="Show every model of these workspaces and of their stores.")
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="FILE", help="Write a page with pictures, which stands alone, and show nothing."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show on one screen what is live and what comes next.

    Live version, last check, accumulated gain against the retraining cost, last decision, next scheduled run.
    With --all, one line per model: live version, last check, and what waits, is late or went wrong.
    """
    from retrim.cli import render
    from retrim.errors import BadInputError

    if everywhere:
        from retrim.cli.screens import show_places
        from retrim.reports.everywhere import find_models as look
        from retrim.stats.codec import to_record

        places = look(folders or [], here=Path.cwd(), now=as_time(None))
        if as_json:
            render.show_json({"models": [to_record(place) for place in places]})
        else:
            show_places(places)
        return
    if folders:
        raise BadInputError(f"{folders[0]}: status shows the workspace you are in; add --all for others")
    from retrim.cli.answers import find_status
    from retrim.cli.screens import show_status

    if page is not None:
        from retrim.cli.page import find_page, page_html
        from retrim.files import write_file

        write_file(page, page_html(find_page(workspace_here(), now=as_time(None))).encode())
        render.OUT.print(f"written: {page}", highlight=False, markup=False)
        return
    found = find_status(workspace_here(), now=as_time(None))
    if as_json:
        render.show_json(found)
    else:
        show_status(found)


PORT = 5000


@app.command(epilog=example("retrim ui --port 5001"))
def ui(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1. 0 takes a free one.")
    ] = PORT,
) -> None:
    """Show the MLflow pages of this workspace until Ctrl-C.

    Only this machine can open them, and they ask for a password. The command prints where it is.
    """
    from retrim.adapters import mlflow_server
    from retrim.errors import BadInputError
    from retrim.files import keep_password
    from retrim.reading.address import address_of

    workspace = workspace_here()
    if mlflow_server.is_server(workspace.mlflow_url):
        shown = address_of(workspace.mlflow_url).shown
        raise BadInputError(f"RETRIM_MLFLOW_URL is the address of an MLflow server, {shown}; open its own pages there")
    os.chdir(workspace.paths.root)  # an address of a file may be relative to it
    listener = mlflow_server.bind(port)
    password = keep_password(workspace.paths.ui_password)
    file = workspace.paths.ui_password.relative_to(workspace.paths.root)
    at = f"http://{mlflow_server.HOST}:{listener.getsockname()[1]}{mlflow_server.PAGE}"
    print(f"the MLflow pages are at {at} in some seconds")  # noqa: T201  at once, also into a pipe
    print(f"log in as {mlflow_server.USER}; the password is the line in {file}; stop with Ctrl-C", flush=True)  # noqa: T201
    try:
        mlflow_server.serve(
            listener, tracking_url=workspace.mlflow_url, artifacts=workspace.mlflow_artifacts, password=password
        )
    except KeyboardInterrupt:
        print("stopped", flush=True)  # noqa: T201
