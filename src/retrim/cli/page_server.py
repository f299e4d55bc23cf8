"""The page of a workspace over HTTP: shown anew at each visit, with forms for what a person may do."""

import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pandas as pd
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from retrim.adapters import mlflow_server
from retrim.adapters.prefect_server import known_server
from retrim.card.pages import rendered
from retrim.checking.holds import acknowledge
from retrim.cli import render
from retrim.cli.base import LONGEST, as_time, several_workspaces, workspace_here
from retrim.cli.page import (
    BATCHES,
    DECISIONS,
    DRIFT,
    DetailPage,
    batch_page,
    decision_page,
    drift_page,
    find_page,
    page_html,
    version_page,
)
from retrim.errors import BadInputError, RetrimError
from retrim.files import WorkspacePaths, keep_password, login, shorten_log
from retrim.landing.ingest import release_quarantined
from retrim.lineage.workspace import Workspace, open_workspace
from retrim.reading.address import address_of
from retrim.release import approval
from retrim.release.release import rollback
from retrim.release.versions import judged_in_words
from retrim.reports.health import find_models, places_by_health
from retrim.retraining.retrain import retrain_at_once

PREFIX = "/retrim"
MOST_BYTES = 10_000  # of a form: a reason has 500 characters at most
MOST_LOG = 1_000_000  # bytes of the log of retrainings, after which another is begun
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
}

Act = Callable[[Workspace, str, str, str, pd.Timestamp], str]


def _approve(workspace: Workspace, value: str, reason: str, by: str, now: pd.Timestamp) -> str:
    answer = approval.approve(workspace, _version(value), by=by, reason=reason, now=now)
    return f"Version {answer.version} is live: {answer.words}"


def _reject(workspace: Workspace, value: str, reason: str, by: str, now: pd.Timestamp) -> str:
    answer = approval.reject(workspace, _version(value), by=by, reason=reason, now=now)
    return f"Version {answer.version} is refused: {answer.words}"


def _acknowledge(workspace: Workspace, value: str, reason: str, by: str, now: pd.Timestamp) -> str:
    done = acknowledge(workspace, reason=reason, by=by, now=now)
    return f"Acknowledged by {done.by}; stored as decision {done.id}"


def _rollback(workspace: Workspace, value: str, reason: str, by: str, now: pd.Timestamp) -> str:
    moved = rollback(workspace, _version(value), by=by, reason=reason, now=now)
    judged = judged_in_words(moved.loss)
    return f"Version {moved.version} is live again instead of version {moved.previous}: {judged}"


def _release(workspace: Workspace, value: str, reason: str, by: str, now: pd.Timestamp) -> str:
    params = workspace.params
    landed = release_quarantined(
        value,
        workspace=workspace.paths,
        data=params.data,
        now=now,
        by=by,
        reason=reason,
        reading=params.reading,
        at=workspace.landing_address,
    )
    return f"Batch {landed.batch} has landed"


def _retrain(workspace: Workspace, value: str, reason: str, by: str, now: pd.Timestamp) -> str:
    """Refuses or defers here what can be told at once, and has a process of its own do the rest."""
    deferred = retrain_at_once(workspace, as_of=now, mode=None, by=by, reason=reason, now=now)
    if deferred is not None:
        return f"{deferred.state}: {deferred.reason}"
    log = start_command(workspace.paths, "retrain", "--as-of", now.isoformat(), "--by", by, "--reason", reason)
    return f"A retraining has started. When it ends, its result appears here. Its output is in {log}"


def start_command(paths: WorkspacePaths, *arguments: str) -> Path:
    """Starts a command of retrim in a workspace; it goes on if this process ends. Gives the file that it writes to."""
    log = paths.ui_password.with_name("retraining.log")
    command = [sys.executable, "-P", "-c", "from retrim.cli.main import main; main()", *arguments]
    shorten_log(log, MOST_LOG)
    with log.open("ab") as out:  # another, that was started a moment ago, may still write to it
        process = subprocess.Popen(
            command, cwd=paths.root, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    threading.Thread(target=process.wait, daemon=True).start()  # or it would stay a zombie
    return log.relative_to(paths.root)


ACTIONS: Mapping[str, Act] = {
    "approve": _approve,
    "reject": _reject,
    "acknowledge": _acknowledge,
    "rollback": _rollback,
    "release": _release,
    "retrain": _retrain,
}


def _version(value: str) -> int:
    if not value.isdecimal() or len(value) > LONGEST:
        raise BadInputError(f"{value!r} is not a version number; go back to the page and use its button")
    return int(value)


def _version_page(workspace: Workspace, version: str) -> DetailPage:
    return version_page(workspace, _version(version))


DETAILS: Mapping[str, Callable[..., DetailPage]] = {
    f"{DECISIONS}{{decision}}": decision_page,
    "/version-{version}": _version_page,
    f"{BATCHES}{{batch}}": batch_page,
    f"{DRIFT}{{check}}/{{column:path}}": drift_page,
}
"""What shows one thing, by its path."""


def _detail(
    open_here: Callable[[], Workspace], find: Callable[..., DetailPage], prefix: str
) -> Callable[[Request], Awaitable[Response]]:
    """What answers at the address of one thing."""

    def answered(**named: Any) -> Response:
        try:
            return HTMLResponse(
                rendered("detail.html.j2", page=find(open_here(), **named), prefix=prefix), 200, HEADERS
            )
        except BadInputError as error:
            return PlainTextResponse(str(error), 404, HEADERS)
        except RetrimError as error:
            return PlainTextResponse(str(error), 503, HEADERS)

    async def answer(request: Request) -> Response:
        return await run_in_threadpool(answered, **request.path_params)

    return answer


def page_app(open_here: Callable[[], Workspace], *, by: str, now: Callable[[], pd.Timestamp]) -> Starlette:
    """The page of a workspace at `/retrim`, an address for each thing on it, and a POST for each action."""
    return Starlette(routes=_routes(open_here, by=by, now=now, prefix=PREFIX, mlflow=mlflow_server.PAGE))


def places_app(roots: Sequence[WorkspacePaths], *, by: str, now: Callable[[], pd.Timestamp]) -> Starlette:
    """A list of workspaces at `/retrim`, those that need somebody first, and below it the page of each."""
    paths = {root.root: f"{PREFIX}/at/{number}" for number, root in enumerate(roots, start=1)}

    def listed() -> Response:
        models = places_by_health(find_models(list(paths), here=roots[0].root, now=now()), now=now())
        html = rendered("places.html.j2", models=models, addresses=paths, at=now())
        return HTMLResponse(html, 200, HEADERS)

    async def show(request: Request) -> Response:
        return await run_in_threadpool(listed)

    routes = [Route(PREFIX, show), Route(f"{PREFIX}/", show)]
    for root, path in paths.items():
        links = (("All models", PREFIX),)
        routes += _routes(partial(open_workspace, root), by=by, now=now, links=links, prefix=path)
    return Starlette(routes=routes)


def _mlflow_link(workspace: Workspace, here: str | None) -> tuple[tuple[str, str], ...]:
    """The pages of the workspace's MLflow: those of a server that somebody else runs, or those here, if there are."""
    address = address_of(workspace.mlflow_url).shown if mlflow_server.is_server(workspace.mlflow_url) else here
    return () if address is None else (("MLflow", address),)


def _prefect_link(workspace: Workspace) -> tuple[tuple[str, str], ...]:
    """The pages of the workspace's Prefect server, which ask for a login of their own, while it runs."""
    server = known_server(workspace.paths.prefect, workspace.env.prefect_url)
    return () if server is None else (("Prefect", server.pages_url),)


def _routes(
    open_here: Callable[[], Workspace],
    *,
    by: str,
    now: Callable[[], pd.Timestamp],
    prefix: str,
    mlflow: str | None = None,
    links: tuple[tuple[str, str], ...] = (),
) -> list[Route]:
    def shown(status: int, said: str = "", *, failed: bool = False, until: str | None = None) -> Response:
        try:
            workspace = open_here()
            page = find_page(workspace, now=now(), until=until)
            others = (*links, *_mlflow_link(workspace, mlflow), *_prefect_link(workspace))
            html = page_html(page, prefix=prefix, links=others, said=said, failed=failed)
            return HTMLResponse(html, status, HEADERS)
        except RetrimError as error:
            return PlainTextResponse(f"{said}\n{error}".strip(), 503, HEADERS)

    async def show(request: Request) -> Response:
        return await run_in_threadpool(shown, 200, until=request.query_params.get("until"))

    async def act(request: Request) -> Response:
        action = ACTIONS.get(request.path_params["action"])
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return Response("the form has more than 10,000 bytes; shorten the reason", 413, HEADERS)
        if action is None:
            return Response("there is no such action; use a button on the page", 404, HEADERS)
        fields = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        value, reason = fields.get("value", ""), fields.get("reason", "").strip()

        def done() -> tuple[str, bool]:
            if not reason:
                return "Nothing was done, because no reason was given. Enter a reason, then try again.", True
            try:
                return action(open_here(), value, reason, by, now()), False
            except RetrimError as error:
                return f"Nothing was done: {error}", True

        message, failed = await run_in_threadpool(done)
        return await run_in_threadpool(shown, 409 if failed else 200, message, failed=failed)

    return [
        Route(prefix, show),
        Route(f"{prefix}/", show),
        *(Route(f"{prefix}{path}", _detail(open_here, find, prefix)) for path, find in DETAILS.items()),
        Route(f"{prefix}/{{action}}", act, methods=["POST"]),
    ]


def serve_pages(folders: list[Path] | None, port: int) -> None:
    """Serves the pages of workspaces until Ctrl-C; those of one with MLflow's beside them."""

    def say_where(password: Path, pages: str) -> None:
        render.print_now(f"the status page is at {at}{PREFIX}{pages}")
        render.print_now(f"log in as {mlflow_server.USER} with the password in {password}; stop with Ctrl-C")

    roots = several_workspaces(folders)
    workspace = None if roots else workspace_here()
    listener = mlflow_server.bind(port)
    at = f"http://{mlflow_server.HOST}:{listener.getsockname()[1]}"
    if workspace is None:
        password = keep_password(roots[0].ui_password)
        say_where(roots[0].ui_password, "")
        pages, mlflow = places_app(roots, by=login(), now=lambda: as_time(None)), None
    else:
        remote = mlflow_server.is_server(workspace.mlflow_url)
        os.chdir(workspace.paths.root)  # an address of a file may be relative to it
        password = keep_password(workspace.paths.ui_password)
        page = address_of(workspace.mlflow_url).shown if remote else mlflow_server.PAGE
        shown = page if remote else at + page
        file = workspace.paths.ui_password.relative_to(workspace.paths.root)
        say_where(file, f" and, in a few seconds, the MLflow pages at {shown}")
        pages = page_app(workspace_here, by=login(), now=lambda: as_time(None))
        mlflow = None if remote else (workspace.mlflow_url, workspace.mlflow_artifacts)
    try:
        mlflow_server.serve(listener, mlflow, password=password, own=pages, prefix=PREFIX)
    except KeyboardInterrupt:
        render.print_now("stopped")
