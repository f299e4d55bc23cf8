"""Connections of a server: how long one may keep the headers of its request back, and how many there may be."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_SECONDS = 10
"""That the headers of a request may take from the connection, or from their first byte on one that asked before."""
HEALTH = "/health"
"""What is answered however many connections there are, or a supervisor would end a server that has much to do."""
LOGGER = logging.getLogger("retrim.serve")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class PromptProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose request does not begin; uvicorn waits for headers without an end."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_answering():
            self._expect_nothing()
        else:
            self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _expect_headers(self) -> None:
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _expect_nothing(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _give_up(self) -> None:
        self._late = None
        if not self._is_answering():
            self.transport.close()


class BoundedApp:
    """An application that answers 503 while there are too many connections.

    Args:
        app: What answers else.
        most: Connections that there may be, less one.
    """

    def __init__(self, app: App, most: int) -> None:
        self._app, self._most = app, most
        self.connections: Collection[object] = ()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if len(self.connections) < self._most or scope["path"].endswith(HEALTH):
            await self._app(scope, receive, send)
            return
        LOGGER.warning("%s connections are open: a request was refused", len(self.connections))
        said = "too many connections are open; try again later"
        answer = orjson.dumps({"detail": [{"allowed": said}]})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(answer)).encode()),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 503, "headers": headers})
        await send({"type": "http.response.body", "body": answer})
