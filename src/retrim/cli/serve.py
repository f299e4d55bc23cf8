"""The HTTP server by command."""

from typing import Annotated

import typer

from retrim.cli.base import example, version_number, workspace_here

app = typer.Typer()
PORT = 8000


@app.command(epilog=example("retrim serve --port 8001"))
def serve(
    host: Annotated[str, typer.Option("--host", metavar="NAME", help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port. 0 takes a free one.")] = PORT,
    version: Annotated[
        int | None, typer.Option("--version", metavar="N", parser=version_number, help="Default: the live version.")
    ] = None,
) -> None:
    """Answer requests for predictions over HTTP until Ctrl-C.

    POST /predict takes a row as JSON, an array of rows, or an Arrow stream. A cell that cannot be used is named in the
    answer, with what is allowed. /openapi.json describes it all.
    """
    from retrim.adapters.mlflow_server import bind
    from retrim.files import lightgbm_alone

    listener = bind(port, host)
    lightgbm_alone()
    from retrim.serving.predict import version_to_ask
    from retrim.serving.served import serve_version
    from retrim.serving.server import Serving, run_server

    workspace = workspace_here()
    served = serve_version(workspace, version_to_ask(workspace, version))
    at = f"http://{host}:{listener.getsockname()[1]}"
    print(f"version {served.version} answers at {at}/predict; stop with Ctrl-C", flush=True)  # noqa: T201  also into a pipe
    try:
        run_server(Serving(served), listener)
    except KeyboardInterrupt:
        print("stopped", flush=True)  # noqa: T201
