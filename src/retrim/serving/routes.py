"""The routes of a server, and their description at /openapi.json: all requests but plain rows come here."""

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import JsonValue
from starlette.requests import ClientDisconnect

from retrim import __version__
from retrim.lineage.tokens import Scope
from retrim.serving.request_rows import MOST_BYTES, MOST_ROWS, WrongRequestError
from retrim.serving.served import ServedVersion
from retrim.serving.server import DEGRADED, JSON, SECONDS, RefusedRequestError, Serving, Turns, by_prefix
from retrim.table.data import ColumnType

LEFT = 499
"""Status of a request whose client left before all of it had come; nobody reads it, the figures count it."""


async def read_body(request: Request) -> bytes:
    """The body of a request.

    Raises:
        RefusedRequestError: It is too long, or takes too long to arrive.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > MOST_BYTES:
                    said = f"a request may have at most {MOST_BYTES:,} bytes; send fewer rows at once"
                    raise RefusedRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said)
    except TimeoutError:
        raise RefusedRequestError(
            HTTPStatus.REQUEST_TIMEOUT, f"the request did not arrive within {SECONDS} s; send fewer rows at once"
        ) from None
    return bytes(body)


def make_app(models: Mapping[str, Serving]) -> FastAPI:
    """The routes of each model below /models/NAME, and those of the first model without it too."""
    app = FastAPI(title="retrim", docs_url=None, redoc_url=None, openapi_url=None)

    @app.exception_handler(RefusedRequestError)
    async def refuse(_: Request, error: RefusedRequestError) -> Response:
        answer = _json({"detail": [{"allowed": error.said}]}, error.status)
        if error.status is HTTPStatus.UNAUTHORIZED:
            answer.headers["www-authenticate"] = "Bearer"
        return answer

    @app.exception_handler(ClientDisconnect)
    async def note_who_left(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=LEFT)

    @app.exception_handler(WrongRequestError)
    async def say_what_is_wrong(_: Request, error: WrongRequestError) -> Response:
        return _json(error.as_record(), HTTPStatus.UNPROCESSABLE_ENTITY)

    for prefix, serving in by_prefix(models).items():
        app.include_router(_routes(serving, prefix), prefix=prefix)
    return app


def _routes(serving: Serving, prefix: str) -> APIRouter:
    """The routes of a model, and their description at /openapi.json."""
    routes = APIRouter()

    @routes.post("/predict", summary="Predict one row or many")
    async def predict(request: Request) -> Response:
        """A row or an array of rows, as JSON. ?version=N selects a version."""
        serving.check(request.headers.raw, "predict")
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if kind != JSON:
            reason = f"the content type {kind[:100]!r} is not supported; send {JSON}"
            raise RefusedRequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)
        body, version = await read_body(request), request.query_params.get("version")
        answer = await serving.answers.take(lambda: serving.answer(body, version=version))
        return Response(answer, media_type=JSON)

    async def json_in_turn(turns: Turns, request: Request, scope: Scope, work: Callable[[bytes], bytes]) -> Response:
        serving.check(request.headers.raw, scope)
        body = await read_body(request)
        return Response(await turns.take(lambda: work(body)), media_type=JSON)

    @routes.post("/explain", summary="Explain what each feature contributes to the raw score of each row")
    async def explain(request: Request) -> Response:
        """Rows as JSON, as for /predict; ?version=N selects a version."""
        version = request.query_params.get("version")
        explain = partial(serving.explain, version=version)
        return await json_in_turn(serving.answers, request, "predict", explain)

    @routes.post("/labels", summary="Land labels of rows")
    async def labels(request: Request) -> Response:
        """An array of objects with the table's key, the label and, if the table has one, the label time."""
        return await json_in_turn(serving.labels, request, "label", serving.take_labels)

    @routes.post("/jobs", summary="Predict the rows of a file or an address")
    async def ask_for_job(request: Request) -> Response:
        """An object with `in`, `out` and, for a version that is not live, `version`; /jobs/ID shows the progress."""
        serving.check(request.headers.raw, "operate")
        body = await read_body(request)
        job = await serving.job_requests.take(lambda: serving.take_job(body))
        return Response(job, HTTPStatus.ACCEPTED, media_type=JSON)

    @routes.get("/jobs/{job}", summary="Show the progress of a job")
    async def show_job(request: Request, job: str) -> Response:
        serving.check(request.headers.raw, "operate")
        return Response(await serving.job_requests.take(lambda: serving.show_job(job)), media_type=JSON)

    @routes.get("/metrics", summary="Metrics for Prometheus")
    async def metrics(request: Request) -> Response:
        serving.check(request.headers.raw, "read")
        return Response(await serving.answers.take(serving.metrics.as_text), media_type=CONTENT_TYPE_LATEST)

    @routes.get("/health", summary="Whether the process is running")
    async def health() -> Response:
        return _json({"up": True})

    @routes.get("/ready", summary="Whether the server can predict, and with which version")
    async def ready() -> Response:
        record = {"ready": True, "version": serving.served.version}
        return _json(record if serving.behind is None else {**record, DEGRADED: serving.behind})

    @routes.get("/openapi.json", include_in_schema=False)
    async def describe(request: Request) -> Response:
        serving.check(request.headers.raw, "read")
        at: list[dict[str, str | Any]] = [{"url": prefix or "/"}]
        schema = get_openapi(title="retrim", version=__version__, routes=routes.routes, servers=at)
        schema["paths"]["/predict"]["post"] |= _predict_described(serving.served)
        return _json(schema)

    return routes


def _json(record: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(record), int(status), media_type=JSON)


JSON_TYPES: dict[ColumnType, dict[str, JsonValue]] = {
    "number": {"type": ["number", "null"]},
    "integer": {"type": ["integer", "null"]},
    "category": {"type": ["string", "null"]},
    "time": {"type": ["string", "null"], "format": "date-time"},
}


def _predict_described(served: ServedVersion) -> dict[str, JsonValue]:
    """What /predict takes and gives, by the columns of the version."""
    needs = served.needs
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
