"""The page of a workspace over HTTP: shown anew at each visit, with forms for what a person may do."""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

import pandas as pd
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from retrim.cli.base import LONGEST
from retrim.cli.page import ServedPage, find_page, page_html
from retrim.errors import BadInputError, RetrimError
from retrim.landing.ingest import release_quarantined
from retrim.lineage.workspace import Workspace
from retrim.release import approval
from retrim.release.release import rollback

PREFIX = "/retrim"
MOST_BYTES = 10_000
"""Of a form: a reason has 500 characters at most."""
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
    from retrim.checking.check import acknowledge

    done = acknowledge(workspace, reason=reason, by=by, now=now)
    return f"Acknowledged by {done.by}; kept as {done.id}"


def _rollback(workspace: Workspace, value: str, reason: str, by: str, now: pd.Timestamp) -> str:
    moved = rollback(workspace, _version(value), by=by, reason=reason, now=now)
    return f"Version {moved.version} is live again; {moved.previous} was before"


def _release(workspace: Workspace, value: str, reason: str, by: str, now: pd.Timestamp) -> str:
    params = workspace.params
    landed = release_quarantined(
        value, workspace=workspace.paths, data=params.data, now=now, by=by, reason=reason, reading=params.reading
    )
    return f"Batch {landed.batch} has landed"


ACTIONS: Mapping[str, Act] = {
    "approve": _approve,
    "reject": _reject,
    "acknowledge": _acknowledge,
    "rollback": _rollback,
    "release": _release,
}


def _version(value: str) -> int:
    if not value.isdecimal() or len(value) > LONGEST:
        raise BadInputError(f"{value!r} is not the number of a version; go back to the page and press its button")
    return int(value)


def page_app(
    open_here: Callable[[], Workspace],
    *,
    by: str,
    now: Callable[[], pd.Timestamp],
    links: tuple[tuple[str, str], ...],
) -> Starlette:
    """The page at `/retrim`, and a POST for each action.

    Args:
        open_here: Opens the workspace; at each visit, as its settings may have changed.
        by: Who acts.
        now: The moment of a visit.
        links: Other pages beside it: name and address.
    """

    def render(said: str = "", *, failed: bool = False) -> str:
        return page_html(find_page(open_here(), now=now()), ServedPage(links, said, failed))

    def shown(status: int, said: str = "", *, failed: bool = False) -> Response:
        try:
            return HTMLResponse(render(said, failed=failed), status, HEADERS)
        except RetrimError as error:
            return PlainTextResponse(f"{said}\n{error}".strip(), 503, HEADERS)

    async def show(request: Request) -> Response:
        return await run_in_threadpool(shown, 200)

    async def act(request: Request) -> Response:
        action = ACTIONS.get(request.path_params["action"])
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return Response("a form has 10,000 bytes at most", 413, HEADERS)
        if action is None:
            return Response("no such action", 404, HEADERS)
        fields = {name: values[-1] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}
        value, reason = fields.get("value", ""), fields.get("reason", "").strip()

        def done() -> tuple[str, bool]:
            if not reason:
                return "Say why: nothing was done.", True
            try:
                return action(open_here(), value, reason, by, now()), False
            except RetrimError as error:
                return f"Nothing was done: {error}", True

        said, failed = await run_in_threadpool(done)
        return await run_in_threadpool(shown, 409 if failed else 200, said, failed=failed)

    return Starlette(
        routes=[Route(PREFIX, show), Route(f"{PREFIX}/", show), Route(f"{PREFIX}/{{action}}", act, methods=["POST"])]
    )
