"""The HTTP server: predictions of the live version for whoever asks.

A plain row of JSON is answered before FastAPI sees the request, by the short way of the version: what FastAPI does for
a request costs more than the prediction. Everything else takes the routes.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from secrets import token_hex
from typing import Any

import orjson
import pyarrow as pa
from fastapi import FastAPI, Request, Response
from fastapi.openapi.utils import get_openapi

from retrim.errors import BadInputError
from retrim.serving.one_row import UnusualRowError
from retrim.serving.request_rows import (
    ARROW,
    MOST_BYTES,
    MOST_ROWS,
    WrongRequestError,
    rows_of_arrow,
    rows_of_json,
    wrong,
)
from retrim.serving.served import Said, ServedVersion
from retrim.table.data import ColumnType

SECONDS = 30
"""That a request may take: to arrive, and to be answered."""
WAITING = 64
"""Requests of many rows that may wait for their turn; they are answered one at a time."""
JSON = "application/json"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class RefusedRequestError(Exception):
    """A request that gets no answer.

    Args:
        status: Of HTTP.
        said: Why, and what to do.
    """

    def __init__(self, status: HTTPStatus, said: str) -> None:
        super().__init__(said)
        self.status, self.said = status, said


class Serving:
    """What a server answers with, and how.

    Args:
        served: The version that answers.
    """

    def __init__(self, served: ServedVersion) -> None:
        self.served = served
        self.waiting = 0
        self._turns = ThreadPoolExecutor(1, "answers")

    def check(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Refuses who may not ask.

        Every page in a browser reaches loopback. A browser names the page's origin, and programs name none.

        Raises:
            RefusedRequestError: A page asks.
        """
        for name, value in headers:
            if name == b"origin":
                raise RefusedRequestError(HTTPStatus.FORBIDDEN, "pages in a browser are not answered")
            if name == b"host" and value.decode("latin-1").rpartition(":")[0] not in LOOPBACK:
                raise RefusedRequestError(HTTPStatus.FORBIDDEN, f"call it by one of {', '.join(LOOPBACK)}")

    def answer_quickly(self, body: bytes) -> bytes | None:
        """The answer to a plain row of JSON; None: `answer` has to look at it."""
        request, served = token_hex(8), self.served
        try:
            row = orjson.loads(body)
            if type(row) is not dict:
                return None
            said = served.answer_one(row, request)
        except (orjson.JSONDecodeError, UnusualRowError):
            return None
        return self._as_json(served, [said], request)

    def answer(self, body: bytes, *, as_arrow: bool) -> bytes:
        """The answer to a request.

        Raises:
            WrongRequestError: Something in it cannot be used.
        """
        request, served = token_hex(8), self.served
        read = rows_of_arrow if as_arrow else rows_of_json
        try:
            said = served.answer(read(body, served.needs, served.reading), request)
        except WrongRequestError:
            raise
        except BadInputError as error:
            raise wrong(str(error)) from error
        if not as_arrow:
            return self._as_json(served, said, request)
        table, sink = served.as_table(said, request), pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        return bytes(sink.getvalue())

    @staticmethod
    def _as_json(served: ServedVersion, said: list[Said], request: str) -> bytes:
        predictions = [served.as_record(each) for each in said]
        return orjson.dumps({"version": served.version, "request_id": request, "predictions": predictions})

    async def in_turn(self, work: Callable[[], bytes]) -> bytes:
        """Does what takes longer, one at a time and beside the requests of one row.

        Raises:
            RefusedRequestError: Too many wait, or it took too long.
        """
        if self.waiting >= WAITING:
            raise RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests wait; ask again later")
        self.waiting += 1
        try:
            async with asyncio.timeout(SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._turns, work)
        except TimeoutError:
            raise RefusedRequestError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"not answered within {SECONDS} s; send fewer rows, or ask again later"
            ) from None
        finally:
            self.waiting -= 1


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
                    said = f"a request has {MOST_BYTES:,} bytes at most; send fewer rows at once"
                    raise RefusedRequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, said)
    except TimeoutError:
        said = f"the request did not arrive within {SECONDS} s"
        raise RefusedRequestError(HTTPStatus.REQUEST_TIMEOUT, said) from None
    return bytes(body)


def make_app(serving: Serving) -> FastAPI:
    """The routes, and their description at /openapi.json."""
    app = FastAPI(title="retrim", docs_url=None, redoc_url=None)

    @app.exception_handler(RefusedRequestError)
    async def refuse(_: Request, error: RefusedRequestError) -> Response:
        return _json({"detail": [{"allowed": error.said}]}, error.status)

    @app.exception_handler(WrongRequestError)
    async def say_what_is_wrong(_: Request, error: WrongRequestError) -> Response:
        return _json(error.as_record(), HTTPStatus.UNPROCESSABLE_ENTITY)

    @app.post("/predict", summary="Predict one row or many")
    async def predict(request: Request) -> Response:
        """Rows as JSON or as an Arrow IPC stream; the answer has the same form."""
        serving.check(request.scope["headers"])
        kind = request.headers.get("content-type", JSON).partition(";")[0].strip().lower()
        if kind not in (JSON, ARROW):
            said = f"the content type is {JSON} or {ARROW}"
            raise RefusedRequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, said)
        body = await read_body(request)
        answer = await serving.in_turn(lambda: serving.answer(body, as_arrow=kind == ARROW))
        return Response(answer, media_type=kind)

    @app.get("/health", summary="Whether the process is up")
    async def health() -> Response:
        return _json({"up": True})

    @app.get("/ready", summary="Whether predictions are answered, and by which version")
    async def ready() -> Response:
        return _json({"ready": True, "version": serving.served.version})

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(title="retrim", version="1", routes=app.routes)
            schema["paths"]["/predict"]["post"] |= _predict_described(serving.served)
            app.openapi_schema = schema
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]
    return app


def _json(record: Any, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return Response(orjson.dumps(record), int(status), media_type=JSON)


JSON_TYPES: dict[ColumnType, dict[str, Any]] = {
    "number": {"type": ["number", "null"]},
    "integer": {"type": ["integer", "null"]},
    "category": {"type": ["string", "null"]},
    "time": {"type": ["string", "null"], "format": "date-time"},
}


def _predict_described(served: ServedVersion) -> dict[str, Any]:
    """What /predict takes and gives, by the columns of the version."""
    needs = served.needs
    columns = {**needs.carried, **needs.required}
    required = [name for name in needs.required if name not in needs.calendar]
    if needs.calendar and needs.time not in required:
        required.append(needs.time)
    row = {
        "type": "object",
        "properties": {name: JSON_TYPES[kind] for name, kind in columns.items()},
        "required": required,
    }
    rows = {"oneOf": [row, {"type": "array", "items": row, "minItems": 1, "maxItems": MOST_ROWS}]}
    binary = {"schema": {"type": "string", "format": "binary"}}
    wrong_cells = {"description": "Cells that cannot be used: row, field, value, and what is allowed"}
    return {
        "requestBody": {"required": True, "content": {JSON: {"schema": rows}, ARROW: binary}},
        "responses": {
            "200": {"description": "Predictions", "content": {JSON: {"schema": {"type": "object"}}, ARROW: binary}},
            "422": wrong_cells,
        },
    }


class Front:
    """Answers plain rows itself and hands everything else to the routes.

    Args:
        serving: What answers.
        app: The routes.
    """

    def __init__(self, serving: Serving, app: FastAPI) -> None:
        self.serving, self.app = serving, app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/predict" and scope["method"] == "POST":
            first = await receive()
            answer = None
            if first["type"] == "http.request" and not first.get("more_body"):
                answer = self._answer(scope["headers"], first["body"])
            if answer is not None:
                headers = [(b"content-type", JSON.encode()), (b"content-length", str(len(answer)).encode())]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                await send({"type": "http.response.body", "body": answer})
                return
            receive = _after(first, receive)
        await self.app(scope, receive, send)

    def _answer(self, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes | None:
        for name, value in headers:
            if name == b"content-type" and value != JSON.encode():
                return None
        try:
            self.serving.check(headers)
        except RefusedRequestError:
            return None  # which the route says
        return self.serving.answer_quickly(body)


def _after(first: Message, receive: Receive) -> Receive:
    """What is received, with the first message again."""
    waiting = [first]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again


def run_server(serving: Serving, listener: socket.socket) -> None:
    """Serves in this process until SIGINT or SIGTERM."""
    import uvicorn

    config = uvicorn.Config(
        Front(serving, make_app(serving)),
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )
    uvicorn.Server(config).run(sockets=[listener])
