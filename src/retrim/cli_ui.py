"""The pages of this workspace in a browser."""

import os
from typing import Annotated

import typer

from retrim.cli_base import example, house_here

app = typer.Typer()
PORT = 5000


@app.command(epilog=example("retrim ui --port 5001"))
def ui(
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port on 127.0.0.1; 0 takes a free one.")
    ] = PORT,
) -> None:
    """Show the MLflow pages of this workspace until Ctrl-C.

    Only this machine can open them, and they ask for a password. The command prints where it is.
    """
    from retrim.adapters import mlflow_server
    from retrim.datasets.address import address_of
    from retrim.errors import BadInputError
    from retrim.files import keep_password

    house = house_here()
    if mlflow_server.is_server(house.mlflow_url):
        shown = address_of(house.mlflow_url).shown
        raise BadInputError(f"RETRIM_MLFLOW_URL is the address of an MLflow server, {shown}; open its own pages there")
    os.chdir(house.workspace.root)  # an address of a file may be relative to it
    listener = mlflow_server.bind(port)
    password = keep_password(house.workspace.ui_password)
    file = house.workspace.ui_password.relative_to(house.workspace.root)
    at = f"http://{mlflow_server.HOST}:{listener.getsockname()[1]}{mlflow_server.PAGE}"
    print(f"the MLflow pages are at {at} in some seconds")  # noqa: T201  at once, also into a pipe
    print(f"log in as {mlflow_server.USER}; the password is the line in {file}; stop with Ctrl-C", flush=True)  # noqa: T201
    try:
        mlflow_server.serve(
            listener, tracking_url=house.mlflow_url, artifacts=house.mlflow_artifacts, password=password
        )
    except KeyboardInterrupt:
        print("stopped", flush=True)  # noqa: T201
