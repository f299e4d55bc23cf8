"""The HTTP server by command, and the tokens of those who may ask it."""

import logging
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retrim.cli import render
from retrim.cli.base import (
    AsJson,
    Folders,
    PredictingVersion,
    argument,
    as_time,
    example,
    option,
    several_workspaces,
    version_number,
    workspace_here,
)
from retrim.errors import BadInputError
from retrim.files import WorkspacePaths, give_memory_back, lightgbm_alone, uncollected

if TYPE_CHECKING:
    from collections.abc import Callable
    from socket import socket

    from retrim.lineage.workspace import Workspace
    from retrim.serving.models import ServedModel

app = typer.Typer()
PORT = 8000
MOST_SHADOWS = 4  # each answers every request once more
CLOSED = (
    "no token is left, so `retrim serve` refuses every request; add one (retrim token NAME --scope predict), or "
    "let programs on this machine in without one (retrim token --open)"
)


@app.command(epilog=example("retrim serve --port 8001"))
def serve(
    folders: Folders = None,
    host: Annotated[str, option("--host NAME", "Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, option("--port", "Port to listen on. 0: any free port.", min=0, max=65535)] = PORT,
    version: PredictingVersion = None,
    shadow: Annotated[
        list[str] | None,
        option(
            "--shadow WHO",
            "previous, challenger or the number of a version: this version also predicts, but only for "
            "comparison (repeatable, up to 4).",
        ),
    ] = None,
    jobs_under: Annotated[
        list[str] | None,
        option("--jobs-under PLACE", "Folder or URL that jobs may read and write (repeatable). Default: var/jobs."),
    ] = None,
    cert: Annotated[Path | None, option("--cert FILE", "TLS certificate, in PEM format. Needs --key.")] = None,
    key: Annotated[Path | None, option("--key FILE", "Private key of the certificate, in PEM format.")] = None,
    durable: Annotated[
        bool, option("--durable", "Flush each prediction to disk before it is sent. Default: flush once a second.")
    ] = False,
    default: Annotated[
        str | None,
        option("--default VALUE", "What to answer, marked, when no version can. Without it such a request gets 503."),
    ] = None,
    access_log: Annotated[
        Path | None,
        option("--access-log FILE", "Append a line of JSON per request: id, token, rows, ms, status."),
    ] = None,
    wait: Annotated[bool, option("--wait", "If no version is live, wait for one instead of exiting.")] = False,
) -> None:
    """Serve predictions over HTTP until Ctrl-C.

    POST /predict accepts a row or an array of rows, as JSON. The response lists each cell that cannot
    be used, with the allowed values. /explain returns each feature's contribution, /labels lands labels, /jobs predicts
    files, and /metrics provides metrics for Prometheus. /openapi.json describes the API. If several workspaces are
    served, the path of each model is /models/NAME/predict. When a version goes live, the server loads it, tests it and
    then switches to it. To use version N instead of the live version, add ?version=N to the request. Predictions are
    stored in var/predictions every 10 s. Only programs on this machine can connect, unless you set a different --host.
    Before you do so, create a token: `retrim token NAME --scope predict`.
    """
    from retrim.adapters.mlflow_server import bind

    give_memory_back()
    if (cert is None) != (key is None):
        raise BadInputError("TLS needs a certificate and its key; pass both --cert and --key")
    roots, shadows = several_workspaces(folders), shadow or []
    _refuse_versions(version, shadows, workspaces=len(roots))
    listener = bind(port, host)
    with uncollected(for_good=True):
        lightgbm_alone()
        from retrim.serving.models import open_model
    open_one = partial(
        open_model,
        version=version,
        is_local=ip_address(listener.getsockname()[0]).is_loopback,
        is_durable=durable,
        now=lambda: as_time(None),
        shadows=shadows,
        jobs_under=jobs_under or [],
        default=default,
    )
    if access_log is not None:
        log_requests(access_log)
    _answer(roots, open_one, listener, host, port, wait=wait, cert=cert, key=key)


def log_requests(file: Path) -> None:
    try:
        handler = logging.FileHandler(file, encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"{file} cannot be written ({error}); pass another file to --access-log") from error
    logger = logging.getLogger("retrim.access")
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _refuse_versions(version: int | None, shadows: list[str], *, workspaces: int) -> None:
    numbers = [version_number(shadow) for shadow in shadows if shadow not in ("previous", "challenger")]
    if workspaces > 1 and (version is not None or numbers):
        raise BadInputError(
            f"{workspaces} workspaces are served, but a version number belongs to only one workspace; leave out "
            "the number. Clients can request a version with ?version=N, and --shadow accepts previous or "
            "challenger"
        )
    if len(shadows) > MOST_SHADOWS:
        raise BadInputError(f"--shadow is set {len(shadows)} times; set it at most {MOST_SHADOWS} times")


def _answer(
    roots: list[WorkspacePaths],
    open_one: "Callable[[Callable[[], Workspace]], ServedModel]",
    listener: "socket",
    host: str,
    port: int,
    *,
    wait: bool,
    cert: Path | None,
    key: Path | None,
) -> None:
    """Serves these workspaces; without any, the one here."""
    from retrim.adapters.mlflow_server import bind
    from retrim.lineage.workspace import open_workspace, refuse_same_names

    with uncollected(for_good=True):
        from retrim.serving.newcomers import Newcomers, all_at_work
        from retrim.serving.routes import run_server

    places = [paths.root for paths in roots or [WorkspacePaths.find(Path.cwd())]]
    newcomers = Newcomers(places, lambda root: open_one(partial(open_workspace, root))) if wait else None
    if newcomers is not None:
        listener.close()  # or who comes meanwhile would wait too
        models = newcomers.wait()
        listener = bind(port, host)
    else:
        with uncollected(for_good=True):
            refuse_same_names([open_workspace(root).model for root in places])
            models = [open_one(partial(open_workspace, root)) for root in places]
    address, port = listener.getsockname()[:2]
    for number, model in enumerate(models):
        path = f"/models/{model.name}/predict" if number else "/predict"
        who = f"version {model.serving.served.version}{f' of {model.name}' if roots else ''}"
        at = f"http{'' if cert is None else 's'}://{host}:{port}{path}"
        render.print_now(f"{who} is served at {at}; stop with Ctrl-C")
    if not ip_address(address).is_loopback and cert is None:
        render.print_now("tokens are sent unencrypted: set --cert and --key, or use a proxy with TLS")
    with all_at_work(models, newcomers) as app:
        try:
            run_server(app, listener, cert=cert, key=key)
        except KeyboardInterrupt:
            render.print_now("stopped")


@app.command(epilog=example("retrim token dashboard --scope predict --scope read"))
def token(
    name: Annotated[
        str | None, argument("[NAME]", "Name of a token, such as the caller that uses it. Default: list all.")
    ] = None,
    scopes: Annotated[
        list[str] | None,
        option("--scope SCOPE", "What the new token allows: read, predict, label or operate (repeatable)."),
    ] = None,
    remove: Annotated[bool, option("--remove", "Revoke the token NAME.")] = False,
    without: Annotated[
        bool, option("--open", "Let programs on this machine ask without a token again. Refused if one exists.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List, add and revoke tokens for callers of `retrim serve`.

    A new token is shown once; only its hash is stored. The scopes define what a token allows: read (metrics and the API
    description), predict (predictions), label (landing labels) and operate (jobs). Once a token exists, every request
    except /health and /ready needs one, even from this machine, and also after the last one is removed. Jobs always
    need one. Running servers refuse a revoked token at once.
    """
    from retrim.lineage.tokens import add_token, last_uses, open_without_tokens, read_tokens, remove_token

    if (name is None and (scopes or remove)) or bool(scopes) + remove + without > 1 or (without and name is not None):
        raise BadInputError("pass NAME with --scope to add a token or with --remove to revoke it, or --open alone")
    workspace = workspace_here()
    if name is None and not without:
        tokens = read_tokens(workspace.paths.tokens).values()
        used = last_uses(workspace.paths.tokens)
        rows = [
            (one.name, ", ".join(one.scopes), render.moment(one.made), render.moment(used.get(one.name)) or "never")
            for one in tokens
        ]
        answer = {"tokens": list(tokens), "last_used": used}
        titles = ("name", "scopes", "made", "last used")
        render.show_list(answer, titles, rows, none="there is no token", as_json=as_json)
    elif name is None:
        open_without_tokens(workspace)
        render.OUT.print("programs on this machine need no token, except for jobs")
    elif remove:
        remove_token(workspace, name)
        render.OUT.print(f"removed: {name}")
        if not read_tokens(workspace.paths.tokens):
            render.ERR.print(CLOSED, soft_wrap=True)
    else:
        render.print_now(add_token(workspace, name, scopes or [], now=as_time(None)))
