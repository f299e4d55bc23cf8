"""The HTTP server: an application for each model, mounted below /models/NAME, the first one at / too."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from http import HTTPStatus
from pathlib import Path
from time import perf_counter
from typing import Any

import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import JsonValue
from starlette.requests import ClientDisconnect
from starlette.routing import Mount, Router
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from retrim import __version__
from retrim.adapters.database import iso
from retrim.errors import BadInputError, RefusedError
from retrim.lineage.tokens import Scope
from retrim.lineage.workspace import clock
from retrim.serving.metrics import OTHER, Metrics
from retrim.serving.request_rows import MOST_BYTES, MOST_ROWS, WrongRequestError, wrong
from retrim.serving.served import ServedVersion
from retrim.serving.server import DEGRADED, Serving, refusal
from retrim.table.data import ColumnType

ACCESS = logging.getLogger("retrim.access")
"""A line of JSON for each request, where `retrim serve --access-log` asks for it."""
JSON = "application/json"
SECONDS = 30
"""That a request may take to arrive."""
MOST_CONNECTIONS = 256
"""Beyond, uvicorn answers 503: each may hold a body of `MOST_BYTES`."""
GRACE_SECONDS = 5
"""For requests that are under way when the server is stopped."""
LEFT = 499
"""Status of a request whose client left before all of it had come; nobody reads it, the figures count it."""
REFUSED = (BadInputError, RefusedError, ClientDisconnect)
"""Errors that are answers, beside those of FastAPI."""
SAFE = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'", "x-frame-options": "DENY"}
DOCS = """<!doctype html><html lang="en"><meta charset="utf-8"><title>retrim</title><style>
body{{font:16px/1.5 system-ui,sans-serif;max-width:50em;margin:2em auto;padding:0 1em;color:#222;background:#fff}}
td{{padding:.2em 1.5em .2em 0;vertical-align:top}}code{{white-space:nowrap}}
@media(prefers-color-scheme:dark){{body{{color:#ddd;background:#181818}}a{{color:#8bf}}}}</style>
<h1>retrim serves a model</h1><table>{rows}</table>
<p>The description of rows and answers for programs is at <a href="openapi.json">openapi.json</a>. Where the server has
tokens, each request but those of this page, <code>/</code>, <code>/health</code> and <code>/ready</code> needs the
header <code>Authorization: Bearer TOKEN</code>.</html>"""
"""The page of the routes: it loads nothing from elsewhere, and says nothing of the model."""
JSON_TYPES: dict[ColumnType, dict[str, JsonValue]] = {
    "number": {"type": ["number", "null"]},
    "integer": {"type": ["integer", "null"]},
    "category": {"type": ["string", "null"]},
    "time": {"type": ["string", "null"], "format": "date-time"},
}


async def read_body(request: Request) -> bytes:
    """The body of a request that is neither too long nor takes too long to arrive."""
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    reason = f"a request may have at most {MOST_BYTES:,} bytes; send fewer rows at once"
                    raise refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)
    except TimeoutError:
        raise refusal(
            HTTPStatus.REQUEST_TIMEOUT, f"the request did not arrive within {SECONDS} s; send fewer rows at once"
        ) from None
    return bytes(body)


class Counted:
    """Counts the requests of an application, path of the route, status, seconds, and notes each in the access log."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        began, status = perf_counter(), int(HTTPStatus.INTERNAL_SERVER_ERROR)

        async def noting(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            route = scope.get("route")  # the mount, where none of the application takes it
            path = route.path if isinstance(route, APIRoute) else OTHER
            seconds = perf_counter() - began
            self._metrics.requests.labels(path, str(status)).inc()
            self._metrics.seconds.labels(path).observe(seconds)
            if ACCESS.isEnabledFor(logging.INFO):
                facts = {name: scope.get("state", {}).get(name) for name in ("request_id", "token", "rows")}
                line = {"at": iso(clock()), "path": path, "status": status, "ms": round(1000 * seconds, 3), **facts}
                ACCESS.info(orjson.dumps(line).decode())


def make_app(models: Mapping[str, Serving]) -> Router:
    """The application of each model below /models/NAME; that of the first model answers at / too."""
    first = next(iter(models.values()))
    app = Router([Mount("", app_of_model(first))])
    for name, serving in models.items():
        add_model(app, name, serving)
    return app


def add_model(app: Router, name: str, serving: Serving) -> None:
    """Has a model answer below /models/NAME, from the next request on."""
    app.routes.insert(0, Mount(f"/models/{name}", app_of_model(serving)))  # the routes at / take what is left


async def _refuse(_: Request, error: Exception) -> Response:
    """The answer to what cannot be answered, by the class of the error."""
    match error:
        case WrongRequestError():
            return _json(error.as_record(), HTTPStatus.UNPROCESSABLE_ENTITY)
        case BadInputError():
            return _json(wrong(str(error)).as_record(), HTTPStatus.UNPROCESSABLE_ENTITY)
        case RefusedError():
            return _json({"detail": [{"allowed": str(error)}]}, HTTPStatus.CONFLICT)
    return Response(status_code=LEFT)  # the client


def app_of_model(serving: Serving) -> FastAPI:
    """The routes of a model."""
    app = FastAPI(openapi_url=None, docs_url=None, exception_handlers=dict.fromkeys(REFUSED, _refuse))
    app.add_middleware(Counted, metrics=serving.metrics)

    @app.post("/predict", summary="Predict one row or many")
    async def predict(request: Request) -> Response:
        """A row or an array of rows, as JSON. ?version=N selects a version."""
        request.state.token = serving.check(request.headers.raw, "predict")
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if kind != JSON:
            reason = f"the content type {kind[:100]!r} is not supported; send {JSON}"
            raise refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)
        body, version = await read_body(request), request.query_params.get("version")
        facts = request.scope["state"]
        if version is None and serving.is_quick(body):
            return Response(serving.answer(body, facts=facts), media_type=JSON)
        answer = await _in_turn(serving.answers, lambda: serving.answer(body, version=version, facts=facts))
        return Response(answer, media_type=JSON)

    async def json_in_turn(
        thread: Executor | None, request: Request, scope: Scope, work: Callable[[bytes], bytes]
    ) -> Response:
        request.state.token = serving.check(request.headers.raw, scope)
        body = await read_body(request)
        return Response(await _in_turn(thread, lambda: work(body)), media_type=JSON)

    @app.post("/explain", summary="Explain what each feature contributes to the raw score of each row")
    async def explain(request: Request) -> Response:
        """Rows as JSON, as for /predict; ?version=N selects a version."""
        version = request.query_params.get("version")
        explain = partial(serving.explain, version=version)
        return await json_in_turn(serving.answers, request, "predict", explain)

    @app.post("/labels", summary="Land labels of rows")
    async def labels(request: Request) -> Response:
        """An array of objects with the table's key, the label and, if the table has one, the label time."""
        return await json_in_turn(serving.labels, request, "label", serving.take_labels)

    @app.post("/jobs", summary="Predict the rows of a file or an address")
    async def ask_for_job(request: Request) -> Response:
        """An object with `in`, `out` and, for a version that is not live, `version`; /jobs/ID shows the progress."""
        answer = await json_in_turn(None, request, "operate", serving.take_job)
        answer.status_code = HTTPStatus.ACCEPTED
        return answer

    @app.get("/jobs/{job}", summary="Show the progress of a job")
    async def show_job(request: Request, job: str) -> Response:
        serving.check(request.headers.raw, "operate")
        return Response(await _in_turn(None, lambda: serving.show_job(job)), media_type=JSON)

    _add_facts(app, serving)
    return app


def _add_facts(app: FastAPI, serving: Serving) -> None:
    """The routes that say how the server is."""

    @app.get("/metrics", summary="Metrics for Prometheus")
    async def metrics(request: Request) -> Response:
        serving.check(request.headers.raw, "read")
        return Response(await _in_turn(serving.answers, serving.metrics.as_text), media_type=CONTENT_TYPE_LATEST)

    @app.get("/health", summary="Whether the process is running")
    async def health() -> Response:
        return _json({"up": True})

    @app.get("/ready", summary="Whether the server can predict, and with which version")
    async def ready() -> Response:
        record = {"ready": True, "version": serving.served.version}
        return _json(record if serving.behind is None else {**record, DEGRADED: serving.behind})

    @app.get("/", include_in_schema=False)
    async def paths() -> Response:
        return _json({"retrim": __version__, "docs": "docs", "paths": [path for path, _, _ in _listed(app)]})

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        lines = (f"<tr><td><code>{ways} {path}</code><td>{text}." for path, ways, text in _listed(app))
        return Response(DOCS.format(rows="\n".join(lines)), media_type="text/html", headers=SAFE)

    @app.get("/openapi.json", include_in_schema=False)
    async def describe(request: Request) -> Response:
        serving.check(request.headers.raw, "read")
        at: list[dict[str, str | Any]] = [{"url": request.scope["root_path"] or "/"}]
        schema = get_openapi(title="retrim", version=__version__, routes=app.routes, servers=at)
        schema["paths"]["/predict"]["post"] |= _predict_described(serving.served)
        return _json(schema)


def _listed(app: FastAPI) -> list[tuple[str, str, str]]:
    """The path, the methods and the summary of each route that is for programs."""
    routes = (route for route in app.routes if isinstance(route, APIRoute) and route.include_in_schema)
    return [(route.path, ", ".join(sorted(route.methods or ())), route.summary or "") for route in routes]


async def _in_turn(thread: Executor | None, work: Callable[[], bytes]) -> bytes:
    return await asyncio.get_running_loop().run_in_executor(thread, work)


def _json(record: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(record), int(status), media_type=JSON)


def _predict_described(served: ServedVersion) -> dict[str, JsonValue]:
    """What /predict takes and gives, by the columns of the version."""
    needs = served.needs if served.past_needs is None else served.past_needs
    columns = {**needs.carried, **needs.required}
    required = [name for name in needs.required if name not in needs.calendar]
    if needs.calendar and needs.time not in required:
        required.append(needs.time)
    row: dict[str, JsonValue] = {
        "type": "object",
        "properties": {name: JSON_TYPES[kind] for name, kind in columns.items()},
        "required": [*required],
    }
    rows: dict[str, JsonValue] = {"oneOf": [row, {"type": "array", "items": row, "minItems": 1, "maxItems": MOST_ROWS}]}
    wrong_cells: dict[str, JsonValue] = {
        "description": "Cells that cannot be used: row, field, value, and what is allowed"
    }
    return {
        "requestBody": {"required": True, "content": {JSON: {"schema": rows}}},
        "responses": {
            "200": {"description": "Predictions", "content": {JSON: {"schema": {"type": "object"}}}},
            "422": wrong_cells,
        },
    }


def run_server(app: Router, listener: socket.socket, *, cert: Path | None = None, key: Path | None = None) -> None:
    """Serves in this process until SIGINT or SIGTERM.

    Raises:
        BadInputError: The files are none of a certificate and its key.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        ssl_certfile=cert,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise BadInputError(
            f"TLS cannot use the certificate {cert} with the key {key}: {error}; pass a certificate with --cert and "
            "its private key with --key, both in PEM format"
        ) from error
    uvicorn.Server(config).run(sockets=[listener])
