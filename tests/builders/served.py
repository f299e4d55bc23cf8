"""Our pages served by a thread of the test."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from retrim.adapters.mlflow_server import bind

SECONDS = 60


@contextmanager
def serving(app: ASGIApp) -> Iterator[int]:
    """The port on loopback at which the pages are until the block ends."""
    listener = bind(0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(timeout=SECONDS)
        listener.close()
    assert not thread.is_alive()
