"""MLflow's pages on loopback, for who has the password: every user and every web page of the machine reaches loopback.

MLflow's own middleware checks the name it is called by, and trusts each page that any port of this machine serves.
"""

import base64
import hmac
import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from warnings import catch_warnings, simplefilter

from retrim.errors import BadInputError

HOST = "127.0.0.1"
USER = "retrim"
PAGE = "/#/experiments?workflowType=machine_learning"  # or the pages open as if for language models
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def bind(port: int, host: str = HOST) -> socket.socket:
    """A socket that listens, before anything slow is imported.

    Raises:
        BadInputError: Something else listens there, or the port is none that we may take.
    """
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # An answer is written in two parts. Else the second waits 40 ms for the caller to acknowledge the first, as asyncio
    # sets this for sockets that name their protocol only. Those that are accepted have it from here.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # who comes before the server is ready waits
    except (OSError, OverflowError) as error:
        listener.close()
        raise BadInputError(f"port {port} cannot be used: {error}; choose a different port with --port") from error
    return listener


def is_server(tracking_url: str) -> bool:
    """Whether an address is that of an MLflow server, which has pages of its own."""
    return urlsplit(tracking_url).scheme in ("http", "https")


def serve(listener: socket.socket, mlflow: tuple[str, str] | None, *, password: str, own: App, prefix: str) -> None:
    """Serves the pages in this process until SIGINT or SIGTERM, so that no address stands in a command line.

    Args:
        mlflow: The database that MLflow's pages show, and where files of new experiments lie; None: no such pages.
    """
    port = listener.getsockname()[1]
    names = [f"{HOST}:{port}", f"localhost:{port}"]
    # Read by MLflow while it is imported.
    os.environ["MLFLOW_SERVER_ALLOWED_HOSTS"] = ",".join(names)
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    os.environ.pop("MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", None)
    import uvicorn

    pages = own
    if mlflow is not None:
        with catch_warnings():
            simplefilter("ignore", UserWarning)  # MLflow's use of Starlette is not the reader's to mend
            from mlflow.server.fastapi_app import app
        from mlflow.server.handlers import initialize_backend_stores

        tracking_url, artifacts = mlflow
        initialize_backend_stores(tracking_url, tracking_url, artifacts)
        pages = _beside(app, own, prefix)
    locked = PasswordGate(pages, password, origins=[f"http://{name}" for name in names])
    uvicorn.Server(uvicorn.Config(locked, log_level="warning", access_log=False)).run(sockets=[listener])


def _beside(app: App, own: App, prefix: str) -> App:
    """Our pages under the prefix, MLflow's everywhere else."""

    async def either(scope: Message, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        ours = scope["type"] == "http" and (path == prefix or path.startswith(f"{prefix}/"))
        await (own if ours else app)(scope, receive, send)

    return either


class PasswordGate:
    """Lets through who gives the password of the user `retrim`, unless a page of another origin makes the call."""

    def __init__(self, app: App, password: str, *, origins: list[str]) -> None:
        self.app = app
        self._expected = f"Basic {base64.b64encode(f'{USER}:{password}'.encode()).decode()}".encode()
        self._origins = [origin.encode() for origin in origins]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(dict(scope["headers"]), scope.get("method"))
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain")]
            if refusal is HTTPStatus.UNAUTHORIZED:
                headers.append((b"www-authenticate", b'Basic realm="retrim", charset="UTF-8"'))
            await send({"type": "http.response.start", "status": int(refusal), "headers": headers})
            await send({"type": "http.response.body", "body": refusal.phrase.encode()})

    def _refusal(self, headers: dict[bytes, bytes], method: str | None) -> HTTPStatus | None:
        origin = headers.get(b"origin")
        if origin is not None and origin not in self._origins:
            return HTTPStatus.FORBIDDEN
        if headers.get(b"sec-fetch-site") == b"cross-site" and method not in (None, "GET", "HEAD"):
            return HTTPStatus.FORBIDDEN
        if b"http://" + headers.get(b"host", b"") not in self._origins:
            return HTTPStatus.FORBIDDEN
        if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
            return HTTPStatus.UNAUTHORIZED
        return None
